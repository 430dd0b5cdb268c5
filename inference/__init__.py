"""What a score is: scorers, model repository, training."""

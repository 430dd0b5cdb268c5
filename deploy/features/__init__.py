"""What `headrace features` does: features from files, beside the store, and into it."""

"""What trust is: label join, progressive validation, River learners, detectors, alerts."""

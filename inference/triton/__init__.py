"""Scoring on Triton: its repository files, its models under control, its scores."""

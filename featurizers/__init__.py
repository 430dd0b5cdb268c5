"""What a feature is: definitions, the window kernel, the store, offline computation."""

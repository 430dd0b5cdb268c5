"""How fast and how safely: open-loop load tests."""

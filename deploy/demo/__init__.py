"""`headrace demo`: everything at once, from nothing to a report."""

"""Prometheus rules: service levels and alerts stand here once, the rule file is made from them."""

"""Peers: the same job done otherwise, on the same broker, to be measured beside Headrace."""

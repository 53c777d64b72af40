"""Measures the cost of the link: per switch point, per request, and over many requests."""

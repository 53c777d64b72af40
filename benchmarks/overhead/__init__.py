"""What following costs: per switch point, per request and over many requests."""

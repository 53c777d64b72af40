"""The commands, for development and tests. No application imports them."""

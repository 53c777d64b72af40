"""The command-line tools, for development and tests. No application imports them."""

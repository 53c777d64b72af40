"""Frames of a shop's stacks, and a search for nodes in a flame graph."""

MAIN = ("main", "/srv/shop/app.py", 3)
VIEW = ("cart", "/srv/shop/views.py", 10)
ROUTER = ("route", "/srv/venv/lib/python3.11/site-packages/router/core.py", 7)
SORT = ("sort", "/srv/shop/views.py", 20)
LOAD = ("load", "/srv/shop/models.py", 30)


def profile_id(message):
    return message.span_id.hex()


def node(name, graph):
    """Return the only node with a name in a flame graph."""
    found, rest = [], [graph["root"]]
    while rest:
        current = rest.pop()
        found += [current] if current["name"] == name else []
        rest += current["children"]
    (only,) = found
    return only

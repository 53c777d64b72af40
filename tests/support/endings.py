"""The table of endings: each adapter has a test of each."""

ENDINGS = (
    "normal",
    "exception in the application",
    "exception in a streaming body",
    "client disconnects",
    "body closed before it is iterated",
    "body never iterated",
    "cancellation",
    "nested applications",
    "lifespan",
    "websocket",
    "unknown scope",
)


class Table:
    """The endings that the tests of one adapter cover.

    Args:
        **elsewhere: Why an ending has no test here, by its name with underscores.
    """

    def __init__(self, **elsewhere):
        self._covered = [name.replace("_", " ") for name in elsewhere]

    def __call__(self, name):
        """Mark a test as one of an ending."""
        self._covered.append(name)
        return lambda test: test

    def check(self):
        assert set(self._covered) == set(ENDINGS)

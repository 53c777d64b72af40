"""Takes the place of the rest of the package in tests of the relay."""


class Link:
    """Answers the relay, and keeps what the relay told it."""

    upload_buffer = 2**25

    def __init__(self, *, wants=True):
        self.wants = wants
        self.pushes = []
        self.told = []

    def wants_relay(self):
        return self.wants

    def labels_of(self, number):
        return (("span_id", f"{number:016x}"), ("span_name", f"GET /{number}"))

    def pushed(self, until, live, _):
        self.pushes.append((set(until), live))

    def agent_starts(self, arguments, *, through_relay):
        pass

    def agent_started(self, kinds):
        self.told.append("started through the relay" if kinds else "started")

    def agent_stopped(self):
        self.told.append("stopped")

"""The beginning of programs that start the agent, each in its own process."""

from __future__ import annotations

# Reads settings and arms the agent with them.
ARM = """
import logging
from pyroscope_otel.setup import agent
from pyroscope_otel.link import thread_labels
from pyroscope_otel.setup.settings import read_settings

class Printer(logging.Handler):
    def emit(self, record):
        print(record.levelname, record.getMessage())

logging.getLogger("pyroscope_otel").addHandler(Printer())

def settings(**arguments):
    return read_settings({"application_name": "shop", **arguments}, environ={})

def state():
    print(agent.AGENT._state.name, "needed" if agent.AGENT.needed else "not needed")

def counting(function):
    def counted(*args, **kwargs):
        counted.calls += 1
        return function(*args, **kwargs)
    counted.calls = 0
    return counted
"""


FORK = """
def in_child(function):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        function()
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""
# The agent warns that upstream does not support a fork while it runs.
QUIET = ("-W", "ignore::DeprecationWarning")

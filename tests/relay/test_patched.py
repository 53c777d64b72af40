"""The relay's threads are OS threads, even under gevent and eventlet."""

import sys

import pytest

from pyroscope_otel.tools.receiver import Receiver
from tests.relay.agents import PROGRAM, spans
from tests.support.child import run
from tests.support.push_server import SILENT, Server

PATCH = {
    "gevent": "from gevent import monkey; monkey.patch_all()\n",
    "eventlet": "import eventlet; eventlet.monkey_patch()\n",
}
SPAWN = {
    "gevent": "import gevent; spawn, join = gevent.spawn, gevent.joinall\n",
    "eventlet": (
        "import eventlet; spawn = eventlet.spawn\n"
        "join = lambda threads: [thread.wait() for thread in threads]\n"
    ),
}
# eventlet warns at import that it is deprecated.
WARNINGS = ["-W", "ignore::DeprecationWarning"]


needs_eventlet = pytest.mark.skipif(
    sys.version_info < (3, 11),
    reason="on Python 3.10 eventlet cannot be imported beside dnspython and trio",
)


@pytest.fixture(params=["gevent", pytest.param("eventlet", marks=needs_eventlet)])
def library(request):
    return request.param


@pytest.fixture(params=["before", "after"])
def program(request, library):
    """Return the beginning of a program, patched before or after the relay is imported."""
    parts = [PATCH[library], PROGRAM] if request.param == "before" else [PROGRAM, PATCH[library]]
    return "".join([*parts, SPAWN[library]])


BLOCKED = """
assert configure()
# No greenlet can run in the meantime: this code only releases the GIL.
burn_until(lambda: relay.state().sent >= 2, mark(7))

def work(number):
    for _ in range(5):
        mark(number)(burn, 0.05)
        time.sleep(0.01)

join([spawn(work, number) for number in (1, 2, 3)])
assert pyroscope.shutdown() is True
"""


def test_pushes_arrive_while_no_greenlet_can_run(program):
    with Receiver() as receiver:
        run(program + BLOCKED, env={"SERVER": receiver.url}, python_arguments=WARNINGS)
        # A stack that is read while greenlets switch can lose its mark.
        assert spans(receiver.profiles) - {None} == {"GET /1", "GET /2", "GET /3", "GET /7"}


AT_THE_END = """
assert configure(upload_interval=600)
mark(7)(burn)
"""


def test_waiting_pushes_are_sent_at_the_end(program):
    with Receiver() as receiver:
        run(program + AT_THE_END, env={"SERVER": receiver.url}, python_arguments=WARNINGS)
        assert spans(receiver.profiles) == {"GET /7"}


WAITING = """
assert configure()
burn_until(lambda: relay.state().taken)
turns = []

def turn():
    for _ in range(10):
        turns.append(relay.state().sent)
        time.sleep(0.001)

join([spawn(turn) for _ in range(3)])
assert turns == [0] * 30
"""


def test_greenlets_run_while_the_relay_waits(program):
    with Server(SILENT) as server:
        run(program + WAITING, env={"SERVER": server.url}, python_arguments=WARNINGS)
        server.stopping.set()


LOGGING = """
logging.basicConfig(stream=sys.stdout, format="%(levelname)s", level=logging.WARNING)
assert configure()
burn_until(lambda: relay.state().last_answer == "503")
assert relay.log.wait_until_logged(20)
"""


def test_log_is_written(program):
    with Server(503) as server:
        out = run(program + LOGGING, env={"SERVER": server.url}, python_arguments=WARNINGS)
    assert "WARNING" in out


HTTPS = """
assert configure(upload_interval=600)
mark(7)(burn)
"""


def test_https(program, tls, trusted):
    with Server(200, tls=tls) as server:
        run(
            program + HTTPS,
            env={"SERVER": server.url, "SSL_CERT_FILE": str(trusted)},
            python_arguments=WARNINGS,
        )
        assert len(server.requests) == 1

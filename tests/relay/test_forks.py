"""Forked processes: the child starts its own relay, and the parent's goes on."""

import sys

import pytest

from pyroscope_otel.tools.receiver import Receiver
from tests.relay.agents import PROGRAM, spans
from tests.support.child import run
from tests.support.push_server import SILENT, Server, closed_port, full_port

# From 3.12 on Python warns of each fork in a process with threads, and so does the agent.
WARNINGS = ["-W", "ignore::DeprecationWarning"]

FORK = """
import contextlib
import socket
import stat
import traceback

SYN_SENT, LISTEN = 2, 10

def in_child(function):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid

def wait(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

def tcp_sockets():
    # Each TCP socket of this process, and its state as in Linux's `tcp_states.h`.
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
        except OSError:
            continue  # the descriptor of the listing itself
        with socket.socket(fileno=os.dup(fd)) as one:
            if one.family == socket.AF_INET:
                yield one, one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]

def ports():
    # The local and the remote port of each connection.
    ports = []
    for one, _ in tcp_sockets():
        with contextlib.suppress(OSError):  # not connected
            ports.append((one.getsockname()[1], one.getpeername()[1]))
    return ports
"""

ANEW = """
def child():
    assert relay.state() is None
    assert configure()
    mark(2)(burn)
    assert pyroscope.shutdown() is True
    assert relay.state() is None

assert configure()
mark(1)(burn)
parents = relay.agent_start._process.relay
pid = in_child(child)
mark(1)(burn)
wait(pid)
assert relay.agent_start._process.relay is parents
mark(3)(burn)
assert pyroscope.shutdown() is True
print(link.told)
"""


@pytest.fixture
def server():
    with Receiver() as receiver:
        yield receiver


def test_child_has_its_own_relay(server):
    told = run(PROGRAM + FORK + ANEW, env={"SERVER": server.url}, python_arguments=WARNINGS)
    assert told == ["['started through the relay', 'stopped']"]
    assert spans(server.profiles) == {"GET /1", "GET /2", "GET /3"}


PLAIN_CHILD = """
server = int(os.environ["SERVER"].rpartition(":")[2])
assert configure()
burn_until(lambda: server in [remote for _, remote in ports()])
relays = relay.agent_start._process.relay
(listens_on,) = [one.getsockname()[1] for one, state in tcp_sockets() if state == LISTEN]

def child():
    # Nothing of the parent's relay: no state, and no socket. The agent's client keeps its own.
    assert relay.state() is None
    assert listens_on not in [one.getsockname()[1] for one, _ in tcp_sockets()]
    assert server not in [remote for _, remote in ports()]
    # Code that has kept it may call it, and it does nothing.
    assert relays.flush(5) is False
    assert relays.stop(5) is True

wait(in_child(child))
taken = relay.state().taken
burn_until(lambda: relay.state().taken > taken)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for sockets in /proc")
def test_child_without_an_agent_closes_the_inherited_sockets():
    # It does not answer, so the parent waits while it forks.
    with Server(SILENT) as server:
        run(PROGRAM + FORK + PLAIN_CHILD, env={"SERVER": server.url}, python_arguments=WARNINGS)


CONNECTING_CHILD = """
def connecting():
    return SYN_SENT in [state for _, state in tcp_sockets()]

def child():
    assert not connecting()

assert configure()
burn_until(connecting)
wait(in_child(child))
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for sockets in /proc")
def test_child_closes_a_socket_that_the_parent_is_connecting():
    with full_port() as port:
        server = f"http://127.0.0.1:{port}"
        run(PROGRAM + FORK + CONNECTING_CHILD, env={"SERVER": server}, python_arguments=WARNINGS)


EXITS = """
assert configure(upload_interval=600)
mark(1)(burn)
sys.stdout.flush()
if os.fork() == 0:
    sys.exit(0)
os.wait()
"""


def test_child_that_exits_sends_no_push_of_its_parent(server):
    run(PROGRAM + EXITS, env={"SERVER": server.url}, python_arguments=WARNINGS)
    assert spans(server.profiles) == {"GET /1"}
    assert len(server.profiles) == 1


WHILE_BUSY = """
def child():
    assert configure()
    mark(2)(burn, 0.1)
    assert pyroscope.shutdown() is True

assert configure()
link.labels_of = lambda number: burn(0.2) or (("span_id", f"{number:016x}"),)
for i in range(8):
    mark(1)(burn, 0.15)
    wait(in_child(child))
assert pyroscope.shutdown() is True
"""


@pytest.mark.parametrize("away", ["closed", "silent"])
def test_forks_while_the_relay_is_busy(away):
    """The child waits for no lock that was held during the fork."""
    with Server(SILENT) as server:
        address = server.url if away == "silent" else f"http://127.0.0.1:{closed_port()}"
        program = WHILE_BUSY if away == "closed" else WHILE_BUSY.replace("range(8)", "range(2)")
        run(PROGRAM + FORK + program, env={"SERVER": address}, python_arguments=WARNINGS)
        server.stopping.set()


POOL = """
import multiprocessing

def work(number):
    assert relay.state() is None
    assert configure()
    mark(number)(burn)
    return pyroscope.shutdown()

# The agent does not run here: on CPython 3.10, a pool in a process with the agent
# sometimes hangs in a child, even without our package.
if __name__ == "__main__":
    relay.install(link)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(work, [1, 2, 3, 4]) == [True] * 4
"""


def test_workers_of_a_pool(server):
    run(PROGRAM + POOL, env={"SERVER": server.url}, python_arguments=WARNINGS)
    assert spans(server.profiles) >= {"GET /1", "GET /2", "GET /3", "GET /4"}

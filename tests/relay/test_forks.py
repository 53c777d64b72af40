"""Forked processes: the child starts its own relay, and the parent's goes on."""

import sys

import pytest

from pyroscope_otel.tools.receiver import Receiver
from tests.relay.agents import PROGRAM, spans
from tests.support.child import run
from tests.support.push_server import SILENT, Server, closed_port

# From 3.12 on Python warns of each fork in a process with threads, and so does the agent.
WARNINGS = ["-W", "ignore::DeprecationWarning"]

FORK = """
import socket
import stat
import traceback

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

def connected_ports():
    # The local and the remote port of each socket of this process.
    ports = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
        except OSError:
            continue  # the descriptor of the listing itself
        with socket.socket(fileno=os.dup(fd)) as one:
            if one.family == socket.AF_INET:
                try:
                    remote = one.getpeername()[1]
                except OSError:
                    remote = None  # it listens
                ports.append((one.getsockname()[1], remote))
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
burn_until(lambda: server in [remote for _, remote in connected_ports()])
relays = relay.agent_start._process.relay
(listens_on,) = [local for local, remote in connected_ports() if remote is None]

def child():
    # Nothing of the parent's relay: no state, and no socket. The agent's client keeps its own.
    assert relay.state() is None
    assert not [ports for ports in connected_ports() if listens_on == ports[0]]
    assert not [ports for ports in connected_ports() if server == ports[1]]
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

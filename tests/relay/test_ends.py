"""How a process ends, and what the server has by then: each case in its own process."""

import os
import subprocess
import sys
import time

import pytest

from pyroscope_otel.tools.receiver import Receiver
from tests.relay.agents import PROGRAM, spans
from tests.support.child import PRELUDE, run
from tests.support.push_server import SILENT, Answer, Server, closed_port

# Nothing is pushed before the end.
START = """
assert configure(upload_interval=600)
mark(7)(burn)
"""

ENDS = {
    "the end of main": "",
    "shutdown": "assert pyroscope.shutdown() is True",
    "shutdown twice": "pyroscope.shutdown(); pyroscope.shutdown()",
    "sys.exit": "sys.exit(0)",
    "an exception": "sys.stderr = open(os.devnull, 'w')\nraise ValueError",
    "a thread that outlives main": """
def outlive():
    threading.main_thread().join()
    burn(0.3)
threading.Thread(target=outlive).start()
""",
    "a daemon that works to the end": """
threading.Thread(target=lambda: burn(100), daemon=True).start()
time.sleep(0.05)
""",
    "shutdown in a thread as main ends": """
import _thread
_thread.start_new_thread(pyroscope.shutdown, ())
time.sleep(0.001)
""",
    "an exit handler of the application": """
import atexit
atexit.register(mark(8), burn, 0.3)
""",
    "uninstalled": "relay.uninstall()",
}


def ended(program, server):
    """Run a program to its end; return its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + program],
        env=os.environ | {"SERVER": server, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_samples_of_the_agent_are_sent_at_the_end(end):
    with Receiver() as receiver:
        code, _, _ = ended(PROGRAM + START + end, receiver.url)
        assert code == ("raise" in end)
        assert "GET /7" in spans(receiver.profiles)
        if "mark(8)" in end:
            assert "GET /8" in spans(receiver.profiles)


def test_waiting_pushes_are_sent_at_the_end_if_the_server_is_back():
    later = Answer(503, (("Retry-After", "300"),))
    with Server(later, 200) as server:
        run(
            PROGRAM
            + """
assert configure()
mark(7)(burn)
while relay.state().last_answer != "503":
    burn(0.05)
mark(8)(burn)
""",
            env={"SERVER": server.url},
        )
        bodies = server.bodies
    assert len(bodies) >= 3
    assert bodies[0] in bodies[1:]


@pytest.mark.parametrize("end", ["", "pyroscope.shutdown()"])
@pytest.mark.parametrize("interval", [1, 600])
def test_silent_server_delays_the_end_for_a_bounded_time(end, interval):
    program = f"configure(upload_interval={interval}); mark(7)(burn)"
    if interval == 1:
        program += "; burn_until(lambda: relay.state().taken)"
    program += "; print(time.monotonic())"
    with Server(SILENT) as server:
        code, out, err = ended(f"{PROGRAM}\n{program}\n{end}\nsys.exit(7)", server.url)
        now = time.monotonic()
        server.stopping.set()
    # The exit code stays the program's, and the log names the loss.
    assert code == 7
    *earlier, lost = err.splitlines()
    # On a busy machine the program may see a push fail before it ends.
    assert all(line.startswith("Cannot send profiles to ") for line in earlier)
    assert lost.startswith(f"Pushes of profiles that {server.url} did not take before the end: ")
    # The end takes 5 s. We promise 7; a busy machine gets more here.
    assert now - float(out) < 12


def test_absent_server_does_not_delay_the_end():
    address = f"http://127.0.0.1:{closed_port()}"
    (took,) = run(
        PROGRAM
        + """
assert configure()
burn_until(lambda: relay.state().taken)
before = time.monotonic()
assert pyroscope.shutdown() is True
print(time.monotonic() - before)
""",
        env={"SERVER": address},
    )
    assert float(took) < 5

"""Starting and stopping the agent in several threads and across forks."""

from __future__ import annotations

import pytest

from tests.setup.agent_process import ARM, FORK, QUIET
from tests.support.child import run

# Threads


def test_concurrent_requests_start_the_agent_once_and_do_not_wait():
    # The last request arrives during the first one's start.
    assert run(
        ARM
        + """
configure = pyroscope.configure
is_starting, may_go_on = threading.Event(), threading.Event()
def slow_configure(**arguments):
    is_starting.set()
    may_go_on.wait()
    return configure(**arguments)
pyroscope.configure = counting(slow_configure)
agent.arm(settings())
first = threading.Thread(target=agent.ensure_running)
first.start()
is_starting.wait()
agent.ensure_running()
state()
print(agent.stop(0.05))
may_go_on.set()
first.join()
state()
print(pyroscope.configure.calls)
"""
    ) == ["OFF needed", "False", "RUNNING not needed", "1"]


def test_request_does_not_wait_for_another_threads_start():
    assert run(
        ARM
        + """
agent.arm(settings())
agent.AGENT._lock.acquire()
agent.ensure_running()
state()
agent.AGENT._lock.release()
agent.ensure_running()
state()
"""
    ) == ["OFF needed", "RUNNING not needed"]


def test_greenlets_run_while_the_agent_stops(silent_server_url):
    pytest.importorskip("gevent")
    lines = run(
        """
from gevent import monkey
monkey.patch_all()
import gevent
"""
        + ARM
        + f"""
agent.arm(settings(server_address="{silent_server_url}"))
agent.ensure_running()
burn()
print(gevent.spawn(burn, 0.01).ready())
other = gevent.spawn(gevent.sleep, 0.01)
print(agent.stop(0.5))
print(other.ready())
"""
    )
    # The relay also logs what it could not send.
    unsent = ("WARNING Cannot send profiles", "WARNING Pushes of profiles")
    said = [line for line in lines if not line.startswith(unsent)]
    assert said == ["False", "False", "True"]


# Fork


def test_first_request_in_a_forked_child_starts_the_agent_again(server):
    assert run(
        ARM
        + FORK
        + f"""
def serve():
    state()
    agent.ensure_running()
    state()
    burn()
    print(agent.stop(20))

agent.arm(settings(server_address="{server.url}"))
agent.ensure_running()
burn()  # until its threads run: forked while they start, the agent hangs in the child
in_child(serve)
state()
sys.stdout.flush()
os._exit(0)  # without the parent's own flush
""",
        python_arguments=QUIET,
    ) == ["OFF needed", "RUNNING not needed", "True", "RUNNING not needed"]
    assert len(server.pushes) == 1


def test_start_now_does_not_start_the_agent_during_a_fork():
    assert run(
        ARM
        + FORK
        + """
agent.arm(settings(start="now"))
in_child(state)
""",
        python_arguments=QUIET,
    ) == ["OFF needed"]


def test_child_of_an_application_with_its_own_agent_starts_ours():
    assert run(
        ARM
        + FORK
        + """
pyroscope.configure(application_name="own")
agent.arm(settings())
agent.ensure_running()
state()
def serve():
    agent.ensure_running()
    state()
in_child(serve)
""",
        python_arguments=QUIET,
    ) == ["FOREIGN not needed", "RUNNING not needed"]


def test_fork_during_a_start_does_not_lock_the_child():
    assert run(
        ARM
        + FORK
        + """
agent.arm(settings())
agent.AGENT._lock.acquire()
def serve():
    agent.ensure_running()
    state()
in_child(serve)
"""
    ) == ["RUNNING not needed"]


def test_child_of_a_disarmed_process_starts_no_agent():
    assert run(
        ARM
        + FORK
        + """
agent.arm(settings())
agent.disarm()
def serve():
    state()
    agent.ensure_running()
    state()
in_child(serve)
"""
    ) == ["OFF not needed", "OFF not needed"]

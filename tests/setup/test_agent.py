"""Starting and stopping the real agent: each case in its own process."""

from __future__ import annotations

from tests.setup.agent_process import ARM
from tests.support.child import run


def test_first_request_starts_the_agent():
    assert run(
        ARM
        + """
agent.arm(settings())
state()
print(thread_labels.agent_is_running())
agent.ensure_running()
state()
print(thread_labels.agent_is_running())
"""
    ) == ["OFF needed", "False", "RUNNING not needed", "True"]


def test_start_now_starts_the_agent_when_armed():
    assert run(
        ARM
        + """
agent.arm(settings(start="now"))
state()
"""
    ) == ["RUNNING not needed"]


def test_agent_does_not_start_before_it_is_armed():
    assert run(
        ARM
        + """
agent.ensure_running()
state()
print(agent.stop())
"""
    ) == ["OFF not needed", "True"]


def test_settings_reach_the_server(server):
    run(
        ARM
        + f"""
agent.arm(settings(
    server_address="{server.url}/prefix/",
    auth_token="abc",
    tenant_id="team-a",
    http_headers={{"X-More": "1"}},
    tags={{"region": "eu-north"}},
))
agent.ensure_running()
burn()
print(agent.stop(20))
"""
    )
    path, headers, body = server.pushes[0]
    assert path == "/prefix/push.v1.PusherService/Push"
    assert headers.get_all("Authorization") == ["Bearer abc"]
    assert headers.get_all("X-Scope-OrgID") == ["team-a"]
    assert headers["X-More"] == "1"
    assert b"shop" in body
    assert b"eu-north" in body


def test_stop_flushes_and_the_next_request_starts_it_again(server):
    assert (
        run(
            ARM
            + f"""
agent.arm(settings(server_address="{server.url}"))
for _ in range(2):
    agent.ensure_running()
    state()
    burn()
    print(agent.stop(20))
    state()
"""
        )
        == ["RUNNING not needed", "True", "OFF needed"] * 2
    )
    assert len(server.pushes) == 2


def test_new_agent_gets_the_labels_of_a_thread_again():
    assert run(
        ARM
        + """
labels = ((("span_id", "0011223344556677"),),) * 2
agent.arm(settings())
agent.ensure_running()
thread_labels.add_thread_tag = counting(thread_labels.add_thread_tag)

def carry_and_count():
    before = thread_labels.add_thread_tag.calls
    thread_labels.carry(thread_labels.this_thread(), labels)
    print(thread_labels.add_thread_tag.calls - before)

carry_and_count()
carry_and_count()
agent.stop(20)
agent.ensure_running()
carry_and_count()
"""
    ) == ["1", "0", "1"]


def test_silent_server_does_not_delay_the_stop(silent_server_url):
    # If it waited for the flush, "flushed" would come before the states.
    lines = run(
        ARM
        + f"""
shutdown = pyroscope.shutdown
def telling_shutdown():
    shutdown()
    print("flushed", flush=True)
pyroscope.shutdown = telling_shutdown

agent.arm(settings(server_address="{silent_server_url}"))
agent.ensure_running()
burn()
print(agent.stop(0.2))
state()
print(agent.stop(0.2))
# A request arrives in the meantime.
agent.ensure_running()
agent.arm(settings())
agent.ensure_running()
state()
"""
    )
    assert lines[:4] == ["False", "STOPPING not needed", "False", "STOPPING needed"]


def test_stop_after_its_timeout_ends_later(server):
    assert run(
        ARM
        + f"""
shutdown = pyroscope.shutdown
may_go_on = threading.Event()
def slow_shutdown():
    may_go_on.wait()
    return shutdown()
pyroscope.shutdown = slow_shutdown

agent.arm(settings(server_address="{server.url}"))
agent.ensure_running()
print(agent.stop(0))
may_go_on.set()
print(agent.stop(20))
agent.ensure_running()
state()
"""
    ) == ["False", "True", "RUNNING not needed"]


def test_agent_disarmed_while_it_stops_does_not_start_again():
    assert run(
        ARM
        + """
agent.arm(settings())
agent.ensure_running()
agent.disarm()
print(agent.stop(20))
agent.ensure_running()
state()
"""
    ) == ["True", "OFF not needed"]


def test_agent_of_the_application_is_used_and_not_stopped(server):
    assert run(
        ARM
        + f"""
logging.getLogger("pyroscope_otel").setLevel("INFO")
pyroscope.configure(application_name="own", server_address="{server.url}")
pyroscope.configure = counting(pyroscope.configure)
agent.arm(settings(server_address="http://127.0.0.1:9"))
agent.ensure_running()
state()
print(pyroscope.configure.calls)
burn()
print(agent.stop(20))
print(thread_labels.agent_is_running())
"""
    ) == [
        "INFO The application's own Pyroscope agent runs; it is used as it is",
        "FOREIGN not needed",
        "0",
        "True",
        "True",
    ]
    # By its own exit handler.
    assert b"own" in server.pushes[0][2]


def test_agent_that_the_application_starts_at_the_same_moment_is_used():
    assert run(
        ARM
        + """
configure = pyroscope.configure
def overtaken(**arguments):
    configure(application_name="own")
    return configure(**arguments)
pyroscope.configure = overtaken
agent.arm(settings())
agent.ensure_running()
state()
"""
    ) == ["FOREIGN not needed"]


REFUSED = (
    "ERROR The Pyroscope agent did not start; there are no profiles. It will be tried again "
    "every 60 s. With enable_logging=True the agent logs the reason to stderr"
)


def test_refused_start_is_logged_once_and_tried_again_later():
    # The real agent refuses this, after our own checks have passed.
    assert run(
        ARM
        + """
import dataclasses
pyroscope.configure = counting(pyroscope.configure)
agent.arm(dataclasses.replace(settings(), cpu_enabled=False))
agent.ensure_running()
agent.ensure_running()
print(pyroscope.configure.calls)
agent.AGENT._retry_at = 0  # a minute later
agent.ensure_running()
print(pyroscope.configure.calls)
state()
agent.arm(settings())
agent.ensure_running()
state()
"""
    ) == [REFUSED, "1", "2", "REFUSED needed", "RUNNING not needed"]


def test_failing_start_does_not_break_the_request():
    lines = run(
        ARM
        + """
import dataclasses
pyroscope.configure = counting(pyroscope.configure)
agent.arm(dataclasses.replace(settings(), sample_rate="fast"))
agent.ensure_running()
agent.ensure_running()
print(pyroscope.configure.calls)
agent.AGENT._retry_at = 0  # a minute later
agent.ensure_running()
print(pyroscope.configure.calls)
"""
    )
    assert lines[0].startswith("ERROR pyroscope-otel failed to start the Pyroscope agent")
    assert lines[1:] == ["1", "2"]


def test_log_names_application_and_server_without_the_password():
    assert run(
        ARM
        + """
logging.getLogger("pyroscope_otel").setLevel("INFO")
agent.arm(settings(
    server_address="http://ann:hunter2@127.0.0.1:9", start="now", cpu_implementation="pyspy"
))
"""
    ) == ["INFO Pyroscope agent started for 'shop', server 'http://***@127.0.0.1:9', sampler pyspy"]


# Exit


def test_exit_flushes(server):
    run(
        ARM
        + f"""
agent.arm(settings(server_address="{server.url}"))
agent.ensure_running()
burn()
"""
    )
    assert len(server.pushes) == 1


def test_stop_in_an_exit_handler_loses_nothing(server):
    # From Python 3.12 on it cannot start a thread there.
    run(
        ARM
        + f"""
import atexit
atexit.register(agent.stop, 20)
agent.arm(settings(server_address="{server.url}"))
agent.ensure_running()
burn()
"""
    )
    assert len(server.pushes) == 1

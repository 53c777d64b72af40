"""Questions of the relay to the set-up: labels of numbers, and whether an agent is ours."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from pyroscope_otel.link.held_request import hold_request, release, run_held
from pyroscope_otel.link.marks import LABEL, MARKS, nearest_mark
from pyroscope_otel.link.state import STATE
from pyroscope_otel.setup import sampler
from pyroscope_otel.setup.settings import read_settings
from pyroscope_otel.setup.uploads import OTHER_NAMES, Uploads
from tests.support.child import run
from tests.support.threads import in_threads

CPU = ("process_cpu",)


@pytest.fixture
def uploads(recorder, monkeypatch):
    """Return the uploads of a process whose agent is the recorder, with a relay."""
    # Restored after the test.
    monkeypatch.setattr(STATE, "labels_only", STATE.labels_only)
    uploads = Uploads()
    yield uploads
    MARKS.forget_samples()
    # The labels of the old agent are removed from the new one: it may be the same agent.
    assert all(wrong.startswith("remove") for wrong in recorder.wrong)
    recorder.wrong.clear()


def stop(uploads, recorder):
    recorder.stop()
    uploads.agent_stopped()


def start(uploads, recorder, kinds=CPU):
    recorder.start()
    uploads.agent_started(kinds)


def settings(**arguments):
    return read_settings({"application_name": "shop", **arguments}, environ={})


def with_number(hold, name, tracer):
    """Hold a request with a root span of this name; return its number and root span."""

    def request():
        with tracer.start_as_current_span(name) as root:
            return nearest_mark().number, root

    return run_held(hold, request)


# An agent that starts and stops: the labels of threads are forgotten


def test_agent_starts_late(uploads, recorder, tracer, now):
    """Scenario 47: the current root span from the next switch on."""
    stop(uploads, recorder)
    with tracer.start_as_current_span("root"):
        assert now() is None
        start(uploads, recorder)
        assert now() is None
        with tracer.start_as_current_span("child"):
            assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_agent_is_restarted(uploads, recorder, tracer, now):
    """Scenario 47: the same root span again, in the same scope."""
    with tracer.start_as_current_span("root"):
        assert now() == "root"
        stop(uploads, recorder)
        assert now() is None
        with tracer.start_as_current_span("child"):
            assert now() is None
        start(uploads, recorder)
        with tracer.start_as_current_span("child"):
            assert now() == "root"
        assert now() == "root"
    assert now() is None
    assert recorder.left_behind() == {}


def test_agent_is_restarted_without_a_switch_in_between(uploads, recorder, tracer, now):
    """Scenario 47: no switch happened without an agent."""
    with tracer.start_as_current_span("root"):
        stop(uploads, recorder)
        start(uploads, recorder)
        assert recorder.left_behind() == {}
        with tracer.start_as_current_span("child"):
            assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_agent_that_ended_without_a_stop(uploads, recorder, tracer, now):
    """In a forked process the agent is the parent's, and was not stopped."""
    with tracer.start_as_current_span("root"):
        recorder.stop()
        start(uploads, recorder)
        with tracer.start_as_current_span("child"):
            assert now() == "root"
    assert now() is None


def test_agent_restarted_by_the_application(uploads, recorder, tracer):
    """Not through us: the label is added again at the next switch."""
    with tracer.start_as_current_span("root"):
        stop(uploads, recorder)
        recorder.start()
        with tracer.start_as_current_span("child"):
            assert recorder.left_behind() != {}


def test_agent_is_restarted_by_another_thread(uploads, recorder, tracer, now):
    """Scenario 47: each thread notices at its own next switch."""

    def other():
        with tracer.start_as_current_span("other"):
            labelled.set()
            restarted.wait()
            with tracer.start_as_current_span("child"):
                seen.append(now())
        seen.append(now())

    def restart():
        labelled.wait()
        stop(uploads, recorder)
        start(uploads, recorder)
        restarted.set()

    labelled, restarted, seen = threading.Event(), threading.Event(), []
    in_threads(other, restart)
    assert seen == ["other", None]
    assert recorder.left_behind() == {}


def test_held_request_needs_no_label(uploads, recorder, tracer, now):
    """Its stack names the request, to the new agent as to the old one."""

    def request():
        with tracer.start_as_current_span("root"):
            stop(uploads, recorder)
            start(uploads, recorder)
            return now()

    hold = hold_request({})
    assert run_held(hold, request) == "root"
    release(hold)
    assert recorder.log == []


# An agent that pushes to its server directly


def test_agent_without_a_relay_gets_span_labels(uploads, recorder, tracer):
    with tracer.start_as_current_span("root"):
        assert {key for _, key, _ in recorder.log} == {LABEL}
        start(uploads, recorder, kinds=())
        with tracer.start_as_current_span("child"):
            pass
        (labels,) = recorder.left_behind().values()
        assert {key for key, _ in labels} == {"span_id", "span_name"}


def test_next_agent_uses_a_relay_again(uploads, recorder, tracer):
    start(uploads, recorder, kinds=())
    with tracer.start_as_current_span("root"):
        start(uploads, recorder)
        with tracer.start_as_current_span("child"):
            pass
        (labels,) = recorder.left_behind().values()
        assert {key for key, _ in labels} == {LABEL}


@pytest.mark.parametrize(
    ("attribution", "reason", "way_out"),
    [
        ("stack", "was started before pyroscope_otel was imported", "Import pyroscope_otel before"),
        ("thread", "attribution is 'thread'", "attribution='stack' is exact"),
    ],
)
def test_direct_mode_is_logged_once(uploads, caplog, attribution, reason, way_out):
    caplog.set_level(logging.INFO, "pyroscope_otel")
    uploads.configure(settings(attribution=attribution))
    uploads.agent_started(CPU)
    assert caplog.messages == []
    for _ in range(2):
        uploads.agent_started(())
    (message,) = caplog.messages
    assert reason in message
    assert way_out in message
    assert "right for turns of 20 ms" in message


def test_attribution_by_thread_uses_no_relay(uploads):
    assert uploads.wants_relay()
    uploads.configure(settings(attribution="thread"))
    assert not uploads.wants_relay()


@pytest.mark.parametrize(("chosen", "started"), [("auto", sampler.PYSPY), ("stack", sampler.STACK)])
def test_pyspy_replaces_stack_in_direct_mode(uploads, monkeypatch, chosen, started):
    """Unless Stack was asked for by name: it reads no thread labels."""
    monkeypatch.setattr(sampler, "prepare_stack", lambda: None)
    monkeypatch.setattr(sampler._Process, "stack_has_run", False)
    uploads.configure(settings(cpu_implementation=chosen))
    arguments = {"cpu_implementation": sampler.implementation(sampler.STACK)}
    uploads.agent_starts(arguments, through_relay=False)
    uploads.agent_started(())
    assert sampler.name_of(arguments["cpu_implementation"]) == started
    assert sampler.has_stack_run() is (started == sampler.STACK)


# Names


def test_span_names_are_read_at_upload(uploads, tracer):
    def request():
        with tracer.start_as_current_span("GET") as root:
            number = nearest_mark().number
            assert dict(uploads.labels_of(number))["span_name"] == "GET"
            root.update_name("GET /items/{item}")
        return number, root

    hold = hold_request({})
    number, root = run_held(hold, request)
    release(hold)
    assert uploads.labels_of(number) == (
        ("span_name", "GET /items/{item}"),
        ("span_id", format(root.context.span_id, "016x")),
    )


@pytest.mark.parametrize("number", [0, 1, 2**16, 2**31])
def test_unknown_numbers_have_no_labels(uploads, number):
    assert uploads.labels_of(number) == ()


def test_number_of_span_names_is_bounded(uploads, tracer, caplog):
    """Further names become one name. Their links stay."""
    uploads.configure(settings(max_span_names=2))
    holds = [hold_request({}) for _ in range(5)]
    numbers = [with_number(hold, f"root {index}", tracer)[0] for index, hold in enumerate(holds)]
    for _ in range(2):
        labels = [dict(uploads.labels_of(number)) for number in numbers]
        assert [each["span_name"] for each in labels] == [
            "root 0",
            "root 1",
            OTHER_NAMES,
            OTHER_NAMES,
            OTHER_NAMES,
        ]
        assert [each["span_id"] for each in labels] == [hold.profile_id for hold in holds]
    (message,) = caplog.messages
    assert "more than 2 names" in message
    assert "or raise max_span_names" in message
    for hold in holds:
        release(hold)


def test_span_names_without_samples_do_not_count(uploads, tracer):
    uploads.configure(settings(max_span_names=1))
    holds = [hold_request({}) for _ in range(3)]
    numbers = [with_number(hold, f"root {i}", tracer)[0] for i, hold in enumerate(holds)]
    assert dict(uploads.labels_of(numbers[2]))["span_name"] == "root 2"
    assert dict(uploads.labels_of(numbers[0]))["span_name"] == OTHER_NAMES
    for hold in holds:
        release(hold)


# Numbers


def one_request(tracer):
    """Serve a request that may have samples; return its number and the time it ended."""
    hold = hold_request({})
    number, root = with_number(hold, "root", tracer)
    release(hold)
    del hold, root
    return number, time.time()


def test_number_stands_for_its_request_until_the_upload(uploads, tracer):
    uploads.agent_started(["process_cpu", "memory"])
    number, over = one_request(tracer)
    assert dict(uploads.labels_of(number))["span_name"] == "root"
    uploads.pushed({"process_cpu": over + 5}, (), ())
    assert uploads.labels_of(number) != ()
    uploads.pushed({"memory": over + 5}, {number}, ())
    assert uploads.labels_of(number) != (), "its memory is still in use"
    uploads.pushed({"process_cpu": over + 15, "memory": over + 15}, (), ())
    assert uploads.labels_of(number) == ()


def test_upload_that_ended_before_the_request(uploads, tracer):
    uploads.agent_started(CPU)
    number, over = one_request(tracer)
    uploads.pushed({"process_cpu": over}, (), ())
    assert uploads.labels_of(number) != ()


def test_stopped_agent_has_nothing_to_upload(uploads, tracer):
    uploads.agent_started(CPU)
    number, _ = one_request(tracer)
    uploads.agent_stopped()
    assert uploads.labels_of(number) == ()
    number, _ = one_request(tracer)
    assert uploads.labels_of(number) == (), "nor what comes before the next one"


# The real agent, in processes of their own

SAY = """
def say():
    import logging
    logging.basicConfig(level=logging.INFO, format="%(message).60s", stream=sys.stdout)

def how():
    from pyroscope_otel.link.state import STATE
    from pyroscope_otel.relay import state
    print("labels" if STATE.labels_only else "marks", "no relay" if state() is None else "relay")

def begin(configure):
    assert configure(application_name="shop", server_address="http://127.0.0.1:9")
"""

DIRECTLY = "Requests are told apart by thread labels, as the Pyroscope a"


def test_upload_state_is_of_the_running_agent():
    code = """
from pyroscope_otel import upload_state
print(upload_state())
begin(pyroscope.configure)
print(upload_state().server, upload_state().taken)
pyroscope.shutdown()
print(upload_state())
"""
    assert run(SAY + code) == ["None", "http://127.0.0.1:9 0", "None"]


def test_agent_started_before_the_import():
    assert run(SAY + "say(); begin(pyroscope.configure); import pyroscope_otel; how()") == [
        DIRECTLY,
        "labels no relay",
    ]


def test_agent_started_after_the_import():
    code = "say(); import pyroscope_otel; how(); begin(pyroscope.configure); how()"
    assert run(SAY + code) == ["marks no relay", "marks relay"]


def test_configure_imported_before_us():
    code = """
from pyroscope import configure
say()
import pyroscope_otel
begin(configure)
how()
"""
    assert run(SAY + code) == ["marks relay"]


def test_agent_stopped_before_the_import():
    code = """
say()
begin(pyroscope.configure)
pyroscope.shutdown()
import pyroscope_otel
how()
begin(pyroscope.configure)
how()
"""
    assert run(SAY + code) == ["marks no relay", "marks relay"]


def test_agent_started_before_the_import_is_restarted():
    """From its next start on it uses the relay."""
    code = """
begin(pyroscope.configure)
import pyroscope_otel
how()
pyroscope.shutdown()
begin(pyroscope.configure)
how()
"""
    assert run(SAY + code) == ["labels no relay", "marks relay"]

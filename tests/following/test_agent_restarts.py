"""Following the agent: what threads carry is forgotten when it starts or stops."""

import threading

import pyroscope
import pytest

from pyroscope_otel.following import agent_restarts
from pyroscope_otel.following.agent_restarts import AgentRestarts


@pytest.fixture
def agent(recorder, monkeypatch):
    """The recorder as an agent that the application configures and shuts down."""

    def configure(application_name=None, **_):
        if application_name == "wrong":
            raise TypeError(application_name)
        if recorder.running:
            return False
        recorder.start()
        return True

    def shutdown():
        was_running = recorder.running
        recorder.stop()
        return was_running

    monkeypatch.setattr(pyroscope, "configure", configure)
    monkeypatch.setattr(pyroscope, "shutdown", shutdown)
    hook = AgentRestarts()
    hook.install()
    yield recorder
    hook.remove()
    assert pyroscope.configure is configure
    assert pyroscope.shutdown is shutdown
    # A new agent is asked to take off what the old one had: there may have been
    # one all the time.
    assert all(wrong.startswith("remove") for wrong in recorder.wrong)
    recorder.wrong.clear()


def test_an_agent_that_starts_late(agent, tracer, now):
    """Scenario 47: the current root from the next switch on."""
    agent.stop()
    with tracer.start_as_current_span("root"):
        assert now() is None
        assert pyroscope.configure(application_name="shop") is True
        assert now() is None
        with tracer.start_as_current_span("child"):
            assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_an_agent_that_is_restarted(agent, tracer, now):
    """Scenario 47: the same root again, in the same scope."""
    with tracer.start_as_current_span("root"):
        assert now() == "root"
        assert pyroscope.shutdown() is True
        assert now() is None
        with tracer.start_as_current_span("child"):
            assert now() is None
        pyroscope.configure(application_name="shop")
        with tracer.start_as_current_span("child"):
            assert now() == "root"
        assert now() == "root"
    assert now() is None
    assert agent.left_behind() == {}


def test_an_agent_that_is_restarted_without_a_switch_in_between(agent, tracer, now):
    """Scenario 47: nobody saw that there was none."""
    with tracer.start_as_current_span("root"):
        pyroscope.shutdown()
        pyroscope.configure(application_name="shop")
        assert agent.left_behind() == {}
        with tracer.start_as_current_span("child"):
            assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_an_agent_that_is_restarted_by_another_thread(agent, tracer, now):
    """Scenario 47: each thread notices at its own next switch."""

    def other():
        with tracer.start_as_current_span("other"):
            labelled.set()
            restarted.wait()
            with tracer.start_as_current_span("child"):
                seen.append(now())
        seen.append(now())

    labelled, restarted, seen = threading.Event(), threading.Event(), []
    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    labelled.wait()
    pyroscope.shutdown()
    pyroscope.configure(application_name="shop")
    restarted.set()
    thread.join()
    assert seen == ["other", None]
    assert agent.left_behind() == {}


def test_a_second_start_is_refused(agent, tracer, now):
    """The labels are there still, and stay right."""
    with tracer.start_as_current_span("root"):
        assert pyroscope.configure(application_name="shop") is False
        assert now() == "root"
        with tracer.start_as_current_span("child"):
            assert now() == "root"
    assert now() is None
    assert agent.wrong == []


def test_the_agent_s_own_error_arrives(agent, tracer, now):
    agent.stop()
    with pytest.raises(TypeError, match="wrong"):
        pyroscope.configure(application_name="wrong")
    with tracer.start_as_current_span("root"):
        assert now() is None


def test_a_second_stop_says_so(agent):
    assert pyroscope.shutdown() is True
    assert pyroscope.shutdown() is False
    assert not agent.running


def test_the_functions_keep_their_names(agent):
    assert agent.running
    assert pyroscope.configure.__name__ == "configure"
    assert pyroscope.shutdown.__name__ == "shutdown"


def test_a_wrapper_that_somebody_kept_does_nothing_once_taken_out(recorder, monkeypatch):
    """Scenario 51."""
    forgets = []
    monkeypatch.setattr(agent_restarts.thread_labels, "forget", lambda: forgets.append(1))
    monkeypatch.setattr(pyroscope, "configure", lambda: "theirs")
    monkeypatch.setattr(pyroscope, "shutdown", lambda: True)
    hook = AgentRestarts()
    hook.install()
    kept = pyroscope.configure
    assert kept() == "theirs"
    assert forgets == [1]
    hook.remove()
    assert kept() == "theirs"
    assert forgets == [1]
    assert recorder.running

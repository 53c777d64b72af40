"""`current_profile_id` returns the id that samples carry, or none."""

from __future__ import annotations

from contextvars import copy_context

import pytest

from pyroscope_otel import current_profile_id
from pyroscope_otel.link import thread_labels
from pyroscope_otel.link.sampled import is_followed_here
from tests.support.threads import in_threads


def pytest_generate_tests(metafunc):
    """Run each test with marks, and in direct mode."""
    if "attribution" in metafunc.fixturenames:
        metafunc.parametrize("attribution", ["stack", "thread"])


@pytest.fixture
def carried(recorder):
    """Return a function that returns the id a sample here carries, and compares it with ours."""

    def carried():
        span_id = recorder.now().get("span_id")
        assert current_profile_id() == span_id
        return span_id

    return carried


@pytest.fixture
def _refused():
    """Refuse labels on every thread."""

    def refuse():
        return False

    thread_labels.require(refuse)
    yield
    thread_labels.require_no_longer(refuse)


def id_of(span):
    return format(span.get_span_context().span_id, "016x")


def test_id_under_a_span(tracer, carried):
    assert carried() is None
    with tracer.start_as_current_span("A") as root:
        assert carried() == id_of(root)
        with tracer.start_as_current_span("child"):
            assert carried() == id_of(root)
    assert carried() is None


def test_id_under_a_renamed_root(tracer, carried):
    with tracer.start_as_current_span("A") as root:
        root.update_name("B")
        assert carried() == id_of(root)


def test_id_in_a_context_that_a_plain_thread_enters(tracer, carried):
    """No hook is called there: the rule names the span, and samples do not."""
    with tracer.start_as_current_span("A"):
        context = copy_context()
        told = []
        in_threads(lambda: told.append(context.run(carried)))
    assert told == [None]


@pytest.mark.usefixtures("_refused")
def test_id_when_labels_are_refused(tracer, carried):
    with tracer.start_as_current_span("A"):
        assert carried() is None


def test_id_after_the_agent_stopped_or_started(tracer, carried, recorder):
    """The label it had no longer counts."""
    with tracer.start_as_current_span("A") as root:
        recorder.stop()
        thread_labels.forget()
        assert carried() is None
        recorder.start()
        with tracer.start_as_current_span("child"):
            assert carried() == id_of(root)
    # The labels of the old agent are removed from the new one.
    assert all(wrong.startswith("remove") for wrong in recorder.wrong)
    recorder.wrong.clear()


@pytest.mark.usefixtures("recorder", "_refused")
def test_marks_cannot_be_refused(attribution):
    assert is_followed_here() == (attribution == "stack")

"""Our own failures: the application does not notice them, and the log has each once."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.following import arrival, pool_jobs
from pyroscope_otel.following import otel_context as otel_hooks
from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link import (
    failure,
    labels_only,
    processor,
    switch,
    thread_labels,
    through_marks,
)
from pyroscope_otel.link.attribution import Hold
from pyroscope_otel.link.marks import Marks
from pyroscope_otel.link.profile import Profile
from tests.link.failing_applications import (
    APPLICATIONS,
    OursError,
    Unhashable,
    event_loop,
    fail,
    foreign_spans,
    greenlets,
    held_request,
    spans,
    still_current,
    thread_pool,
)


@pytest.fixture
def _logged_not_raised(monkeypatch):
    monkeypatch.setattr(failure, "reraise", False)
    monkeypatch.setattr(failure, "_reported", set())


@pytest.fixture
def log(caplog, _logged_not_raised):
    """Return a function that lists the places logged, each with its traceback."""

    def places():
        for record in caplog.records:
            assert record.name == "pyroscope_otel"
            assert record.levelno == logging.ERROR
            assert record.exc_info[0] is OursError
            assert record.exc_info[2] is not None
            assert "the application is not affected" in record.getMessage()
        return sorted(record.args[0] for record in caplog.records)

    return places


FOLLOW = "follow the current context"
LEAVE = "leave a context"
STEP = "follow a context"
JOB = "run code through its mark"
ALL_FOLLOW = {FOLLOW, STEP, JOB, LEAVE, "follow a job"}
FOREIGN = "put a foreign span into its profile"
START = "find the profile of a span"

# The function that fails, and the places where that may be logged.
INJECTIONS = {
    "current_context": ((switch, "current_context"), {FOLLOW, STEP}),
    "current_inherited": ((switch, "current_inherited"), {FOLLOW, STEP}),
    "key": ((switch, "SPAN_KEY"), {FOLLOW, STEP}),
    "change": ((switch, "change"), {FOLLOW, STEP, JOB, LEAVE}),
    "_relabel": ((switch, "_relabel"), {FOLLOW, STEP}),
    "names_owner": ((switch, "names_owner"), {FOLLOW, STEP}),
    "names_owner of a job": ((through_marks, "names_owner"), {JOB}),
    "refresh_after_greenlet_switch": ((switch, "refresh_after_greenlet_switch"), {FOLLOW, STEP}),
    "refresh_after_greenlet_switch of a job": (
        (through_marks, "refresh_after_greenlet_switch"),
        {JOB},
    ),
    "label_value": ((switch, "label_value"), {FOLLOW, STEP}),
    "add": ((thread_labels, "add_thread_tag"), ALL_FOLLOW),
    "remove": ((thread_labels, "remove_thread_tag"), ALL_FOLLOW),
    "adopt": ((otel_hooks, "adopt"), {FOREIGN}),
    "rename": ((Profile, "rename"), {"follow the new name of a span"}),
    "Profile": ((processor, "Profile"), {START}),
    "owner_after_end": ((processor, "owner_after_end"), {START}),
    "set_owner": ((processor, "set_owner"), {START}),
    "Hold.take": ((Hold, "take"), {START}),
    "take": ((Marks, "take"), {START, "hold a request's profile"}),
    "current_owner": ((pool_jobs, "current_owner"), {"note who submits a job"}),
    "is_open": ((Profile, "is_open"), {*ALL_FOLLOW, START, FOREIGN}),
}
# The same in direct mode.
INJECTIONS_WITHOUT_MARKS = {
    "current_owner": ((labels_only, "current_owner"), {FOLLOW}),
    "owner_in": ((labels_only, "owner_in"), {STEP}),
    "carry": ((labels_only, "carry"), ALL_FOLLOW),
    "change": ((thread_labels, "change"), ALL_FOLLOW),
    "_labels": ((labels_only, "_labels"), ALL_FOLLOW),
}


@pytest.fixture
def injections(attribution):
    return INJECTIONS if attribution == "stack" else INJECTIONS_WITHOUT_MARKS


@pytest.fixture
def broken(monkeypatch, recorder, injections):
    """Break one place in our code for a while. Labels may stay until the next switch."""

    @contextlib.contextmanager
    def break_(injection):
        (owner, name), _ = injections[injection]
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, Unhashable() if name == "SPAN_KEY" else fail)
            yield
        if injection == "remove":
            # The labels that could not be removed are still there.
            recorder.start()
            recorder.wrong.clear()
        switch.follow_current()
        # Too many labels may have been removed, never too few.
        assert all(wrong.startswith("remove") for wrong in recorder.wrong)
        recorder.wrong.clear()
        assert recorder.now() == {}

    return break_


each_injection = pytest.mark.parametrize(
    ("attribution", "injection"),
    [
        *(("stack", injection) for injection in INJECTIONS),
        *(("thread", injection) for injection in INJECTIONS_WITHOUT_MARKS),
    ],
)


@pytest.mark.parametrize("application", APPLICATIONS)
@each_injection
def test_application_notices_nothing(application, injection, tracer, log, broken, injections):  # noqa: PLR0913, PLR0917
    """Whichever part of our code fails, and wherever it is called from."""
    right = application(tracer)
    with broken(injection):
        assert application(tracer) == right
        assert application(tracer) == right
    places = log()
    assert len(places) == len(set(places))
    assert set(places) <= injections[injection][1]
    # And it still works.
    assert application(tracer) == right
    assert log() == places


@pytest.mark.parametrize(
    ("attribution", "injection", "application"),
    [
        ("stack", "current_context", spans),
        ("stack", "current_inherited", held_request),
        ("stack", "key", event_loop),
        ("stack", "change", greenlets),
        ("stack", "_relabel", spans),
        ("stack", "names_owner", foreign_spans),
        ("stack", "names_owner of a job", held_request),
        ("stack", "refresh_after_greenlet_switch", greenlets),
        ("stack", "refresh_after_greenlet_switch of a job", thread_pool),
        ("stack", "label_value", spans),
        ("stack", "add", spans),
        ("stack", "remove", spans),
        ("stack", "adopt", foreign_spans),
        ("stack", "rename", spans),
        ("stack", "Profile", spans),
        ("stack", "owner_after_end", still_current),
        ("stack", "set_owner", spans),
        ("stack", "Hold.take", held_request),
        ("stack", "take", spans),
        ("stack", "current_owner", thread_pool),
        ("stack", "is_open", still_current),
        ("thread", "current_owner", spans),
        ("thread", "owner_in", event_loop),
        ("thread", "carry", thread_pool),
        ("thread", "change", spans),
        ("thread", "_labels", spans),
    ],
)
def test_failure_is_logged(injection, application, tracer, log, broken):
    """Each injected failure happens, and is logged at its place."""
    with broken(injection):
        application(tracer)
    assert log()


@pytest.mark.parametrize(
    ("attribution", "owner", "name", "where"),
    [
        ("stack", through_marks, "names_owner", JOB),
        ("thread", labels_only, "carry", "follow a job"),
    ],
)
def test_job_runs_though_it_cannot_be_followed(tracer, log, monkeypatch, owner, name, where):  # noqa: PLR0913, PLR0917
    """Its result and its exception arrive."""

    def job():
        raise LookupError

    with (
        monkeypatch.context() as broken,
        ThreadPoolExecutor(1) as pool,
        tracer.start_as_current_span("root"),
    ):
        broken.setattr(owner, name, fail)
        assert pool.submit(int, "7").result() == 7
        with pytest.raises(LookupError):
            pool.submit(job).result()
    switch.follow_current()
    assert set(log()) <= ALL_FOLLOW
    assert where in log()


def test_job_runs_though_it_gets_no_number(tracer, monkeypatch, log):
    with (
        monkeypatch.context() as broken,
        ThreadPoolExecutor(1) as pool,
        tracer.start_as_current_span("root"),
    ):
        broken.setattr(Marks, "take", fail)
        assert pool.submit(int, "7").result() == 7
    assert "follow a job" in log()


def test_error_of_the_application_is_not_logged(tracer, log):
    with ThreadPoolExecutor(1) as pool, tracer.start_as_current_span("root"):
        assert isinstance(pool.submit(fail).exception(), OursError)
    assert log() == []


def test_span_ends_while_a_span_that_raises_is_current(tracer, log):
    """The current span can be of any class."""

    class Foreign(trace.NonRecordingSpan):
        def is_recording(self):
            raise OursError

    ending = tracer.start_span("ending")
    token = otel_context.attach(trace.set_span_in_context(Foreign(trace.INVALID_SPAN_CONTEXT)))
    ending.end()
    otel_context.detach(token)
    assert ending.end_time is not None
    assert log() == ["look at the current span"]


def test_keyboard_interrupt_is_not_swallowed(tracer, log, monkeypatch):
    """It is not an `Exception`: Ctrl-C is meant for the application."""

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(switch, "change", interrupt)
        with pytest.raises(KeyboardInterrupt):
            contextvars.copy_context().run(
                otel_context.attach, trace.set_span_in_context(tracer.start_span("root"))
            )
    assert log() == []


def test_dying_thread_that_cannot_remove_its_labels_logs_nothing(tracer, log, broken):
    """Logging would register the dying thread with `threading` again."""

    def die_labelled():
        otel_context.attach(trace.set_span_in_context(root))

    root = tracer.start_span("root")
    with broken("remove"):
        for _ in range(2):
            thread = threading.Thread(target=die_labelled)
            thread.start()
            thread.join()
    root.end()
    # pytest would report an exception in the finalizer.
    assert log() == []


# Hooks that cannot be installed


class Broken(Hook):
    """A hook whose library has changed."""

    module = "library_that_changed"

    def _install(self):
        raise OursError


def test_hook_that_cannot_be_installed_is_logged(log, monkeypatch):
    monkeypatch.setitem(sys.modules, "library_that_changed", types.ModuleType("library"))
    arrival.when_imported("library_that_changed", Broken().install)
    assert log() == ["hook into library_that_changed"]


def test_import_succeeds_though_the_hook_cannot_be_installed(log, monkeypatch, tmp_path):
    (tmp_path / "library_that_changed.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    arrival.when_imported("library_that_changed", Broken().install)
    import library_that_changed

    assert library_that_changed.answer == 42
    assert log() == ["hook into library_that_changed"]
    del sys.modules["library_that_changed"]


# The log


def throw(error):
    raise error


def report(error, where):
    try:
        throw(error)
    except error:
        failure.report(where)


@pytest.mark.usefixtures("_logged_not_raised")
def test_failure_is_logged_once_for_each_place_and_type(caplog):
    for error in (LookupError, ValueError, LookupError, ValueError):
        for where in ("be here", "be there"):
            report(error, where)
    assert [(record.args[0], record.exc_info[0]) for record in caplog.records] == [
        ("be here", LookupError),
        ("be there", LookupError),
        ("be here", ValueError),
        ("be there", ValueError),
    ]
    assert "Traceback" in caplog.text


def test_log_handler_that_causes_the_same_failure_does_not_recurse(tracer, log, monkeypatch):
    """OpenTelemetry's log handler asks for the current span."""

    class Handler(logging.Handler):
        def emit(self, record):
            emitted.append(record.args[0])
            with tracer.start_as_current_span("log"):
                pass

    emitted = []
    handler = Handler()
    failure.logger.addHandler(handler)
    try:
        with monkeypatch.context() as broken:
            broken.setattr(switch, "current_context", fail)
            spans(tracer)
    finally:
        failure.logger.removeHandler(handler)
    assert emitted == log() == [FOLLOW]


def test_failure_is_raised_in_tests():
    with pytest.raises(OursError):
        report(OursError, "be here")

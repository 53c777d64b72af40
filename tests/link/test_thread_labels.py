"""The labels of an OS thread: the order of changes, a new agent, gevent."""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref

import pyroscope
import pytest

from pyroscope_otel.link import switch, thread_labels
from pyroscope_otel.link.thread_labels import carried
from tests.link.label_changes import (
    ONE,
    TWO,
    carry,
    each_mode,
    labels_of,
    run_in_thread,
)
from tests.support.child import run
from tests.support.recorder import Recorder

pytestmark = pytest.mark.usefixtures("clean_thread")


@pytest.fixture
def tracer(silent_tracer):
    """Return a tracer without an exporter, whose own switches would hide a missing one."""
    return silent_tracer


# Changes


def test_span_id_is_added_last_and_removed_first(recorder):
    """Scenario 49: a sample taken in between has no link rather than a wrong one."""
    carry(ONE)
    carry(TWO)
    carry(None)
    assert recorder.log == [
        ("add", "span_name", "one"),
        ("add", "trace_id", "1" * 32),
        ("add", "span_id", "1" * 16),
        ("remove", "span_id", "1" * 16),
        ("remove", "trace_id", "1" * 32),
        ("remove", "span_name", "one"),
        ("add", "span_name", "two"),
        ("add", "span_id", "2" * 16),
        ("remove", "span_id", "2" * 16),
        ("remove", "span_name", "two"),
    ]


def test_no_sample_has_labels_of_two_profiles(recorder):
    """Scenario 49: whenever a label is added, the others are of the same profile."""
    partial = []
    carry(ONE)
    recorder.before_add = lambda _key, _value: partial.append(recorder.now())
    carry(TWO)
    assert partial == [{}, {"span_name": "two"}]


def test_same_labels_again_call_no_agent(recorder):
    assert carried() is None
    # The labels of the thread were unknown since the agent started.
    carry(None)
    assert not carry(None)
    carry(ONE)
    calls = len(recorder.log)
    assert not carry(ONE)
    assert carried() is ONE
    assert len(recorder.log) == calls


def test_each_thread_has_its_own_labels(recorder):
    def other():
        assert carried() is None
        carry(TWO)
        seen.append(recorder.now())
        carry(None)

    seen = []
    carry(ONE)
    run_in_thread(other)
    assert seen == [dict(TWO[0])]
    assert recorder.now() == dict(ONE[0])


def test_unmet_condition_leaves_the_thread_without_labels(recorder):
    """Scenario 13: an event loop whose steps no hook follows."""
    asked = []
    conditions = [lambda: asked.append(1) or False, lambda: asked.append(2)]
    carry(ONE)
    carry(TWO, required=conditions)
    assert recorder.now() == {}
    assert carried() is None
    assert asked == [1]
    carry(None)
    assert asked == [1]


# The agent


def test_labels_are_added_once_the_agent_starts(recorder):
    """Scenario 47: the agent starts late."""
    recorder.stop()
    carry(ONE)
    assert carried() is None
    carry(ONE)
    assert recorder.log == []
    recorder.start()
    carry(ONE)
    assert carried() is ONE
    assert recorder.now() == dict(ONE[0])


def test_agent_stops_between_two_labels(recorder):
    """It took the first label and not the second."""

    def stop(key, _value):
        if key == "span_id":
            recorder.running = False

    recorder.before_add = stop
    carry(TWO)
    assert carried() is None
    recorder.before_add = None
    recorder.start()
    carry(TWO)
    assert recorder.now() == dict(TWO[0])


def test_agent_is_running(recorder):
    assert thread_labels.agent_is_running()
    assert recorder.now() == {}
    recorder.stop()
    assert not thread_labels.agent_is_running()


def test_new_agent_gets_the_labels_again(recorder):
    """Scenario 47: of each thread, at its next switch."""

    def other():
        carry(TWO)
        ready.set()
        restarted.wait()
        carry(TWO)
        seen.append(recorder.now())
        carry(None)

    ready, restarted, seen = threading.Event(), threading.Event(), []
    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    ready.wait()
    carry(ONE)
    recorder.stop()
    recorder.start()
    thread_labels.forget()
    assert recorder.now() == {}
    carry(ONE)
    assert recorder.now() == dict(ONE[0])
    restarted.set()
    thread.join()
    assert seen == [dict(TWO[0])]
    # An agent may also have been there all the time (`configure` refuses to
    # start a second one), so what was put there is taken off first.
    assert all(wrong.startswith("remove") and wrong.endswith("from []") for wrong in recorder.wrong)
    recorder.wrong.clear()


def test_agent_that_never_stopped_gets_the_labels_again(recorder):
    """Scenario 47: a second `configure` is refused, and the labels are still there."""
    carry(ONE)
    thread_labels.forget()
    carry(ONE)
    assert recorder.now() == dict(ONE[0])
    carry(ONE)
    assert len(recorder.log) == 9


@each_mode
def test_new_agent_gets_the_labels_of_the_context_that_a_step_enters(tracer, recorder, now):
    """Scenario 47: the labels are those that we believe the thread has."""
    with tracer.start_as_current_span("root"):
        context = contextvars.copy_context()
        recorder.stop()
        recorder.start()
        thread_labels.forget()
        switch.follow_context(context)
        assert now() == "root"
    # As above.
    assert all(wrong.startswith("remove") and wrong.endswith("from []") for wrong in recorder.wrong)
    recorder.wrong.clear()


def test_agent_is_called_without_its_wrapper():
    """For speed: a step of an event loop calls it four times."""
    assert thread_labels._unwrapped(pyroscope.add_thread_tag) is pyroscope.lib.add_thread_tag
    assert thread_labels._unwrapped(pyroscope.remove_thread_tag) is pyroscope.lib.remove_thread_tag


def test_wrapper_of_the_agent_that_does_more_is_kept(recorder):
    def add_thread_tag(key, value):
        return pyroscope.lib.add_thread_tag(key.lower(), value)

    assert thread_labels._unwrapped(add_thread_tag) is add_thread_tag
    # And a callable without code, such as a function that another tool has wrapped.
    assert thread_labels._unwrapped(recorder.add) == recorder.add


def test_removed_label_is_not_kept(recorder):
    class Text(str):
        __slots__ = ("__weakref__",)

    name = Text("name")
    gone = weakref.ref(name)
    carry(labels_of(("span_name", name)))
    carry(None)
    # The recorder's log refers to the label.
    recorder.log.clear()
    gc.disable()
    try:
        del name
        assert gone() is None
    finally:
        gc.enable()


# gevent replaces parts of `threading` and `_thread`

PATCH = "from gevent import monkey; monkey.patch_all()\n"
IMPORT = """
from tests.support.recorder import Recorder
recorder = Recorder()
pyroscope.add_thread_tag, pyroscope.remove_thread_tag = recorder.add, recorder.remove
from pyroscope_otel.link import thread_labels
from pyroscope_otel.link.thread_labels import Labels, carried, this_thread
def carry(labels):
    thread_labels.carry(this_thread(), labels)
"""
UNDER_GEVENT = """
import gevent
from gevent import monkey

# Greenlets share their OS thread's labels.
ONE, TWO = (Labels(*((("span_id", number * 16),),) * 2) for number in "12")
carry(ONE)
def greenlet():
    assert carried() is ONE, carried()
    carry(TWO)
    gevent.sleep(0)
gevent.spawn(greenlet).join()
assert carried() is TWO
assert recorder.now() == dict(TWO[0])
carry(None)

# OS threads have their own labels, and remove them when they end.
start_new_thread = monkey.get_original("_thread", "start_new_thread")
allocate_lock = monkey.get_original("_thread", "allocate_lock")
done = allocate_lock()
done.acquire()
def thread():
    try:
        assert carried() is None
        carry(ONE)
        carry(None)
        seen.append(len(recorder.on_thread))
    finally:
        done.release()
seen = []
start_new_thread(thread, ())
done.acquire()
assert seen == [2], seen

# So do gevent's own threads, which end with their pool.
pool = gevent.get_hub().threadpool
def job():
    carry(ONE)
    return recorder.now()
assert pool.spawn(job).get() == dict(ONE[0])
assert len(recorder.left_behind()) == 1
pool.kill()
print(len(recorder.left_behind()), recorder.wrong)
"""


@pytest.mark.parametrize("code", [PATCH + IMPORT, IMPORT + PATCH], ids=["before", "after"])
def test_labels_are_per_os_thread_under_gevent(code):
    """Scenario 44: whether gevent patches before or after our import."""
    assert run(code + UNDER_GEVENT) == ["0 []"]


def test_recorder_notices_wrong_changes():
    """The invariants that follow each test depend on it."""
    recorder = Recorder()
    recorder.add("span_id", "1")
    recorder.add("span_id", "2")
    recorder.remove("span_id", "3")
    assert len(recorder.wrong) == 2
    assert len(recorder.left_behind()) == 1

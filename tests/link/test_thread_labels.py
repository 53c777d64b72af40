"""What an OS thread carries: the order of changes, threads that end, and interruptions."""

import contextvars
import gc
import signal
import threading
import weakref

import pyroscope
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link import switch, thread_labels
from pyroscope_otel.link.attribution import INHERITED
from pyroscope_otel.link.held_request import hold_request, release
from pyroscope_otel.link.marks import LABEL
from pyroscope_otel.link.thread_labels import Labels, carried, this_thread
from tests.support.child import run
from tests.support.held import held
from tests.support.recorder import Recorder

# With marks there is one label on a thread. Without, there are several of them, and what
# happens between two must be right as well.
each_mode = pytest.mark.parametrize("attribution", ["stack", "thread"])
each_label = pytest.mark.parametrize(
    ("attribution", "key"), [("stack", LABEL), ("thread", "span_name"), ("thread", "span_id")]
)


def labels_of(*on):
    return Labels(on, on[::-1])


def carry(labels, **options):
    return thread_labels.carry(this_thread(), labels, **options)


ONE = labels_of(("span_name", "one"), ("trace_id", "1" * 32), ("span_id", "1" * 16))
TWO = labels_of(("span_name", "two"), ("span_id", "2" * 16))


@pytest.fixture(autouse=True)
def _nothing_is_left_on_the_thread(recorder):
    """The thread is the next test's as well, and the invariants are checked after this."""
    outside = otel_context.attach(otel_context.Context())
    recorder.log.clear()
    yield
    otel_context.detach(outside)
    recorder.running = True
    recorder.before_add = None
    carry(None)


def run_in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


# Changes


def test_the_link_comes_last_and_goes_first(recorder):
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


def test_no_sample_in_between_names_two(recorder):
    """Scenario 49: at each add, what is there is of one and the same."""
    partial = []
    carry(ONE)
    recorder.before_add = lambda _key, _value: partial.append(recorder.now())
    carry(TWO)
    assert partial == [{}, {"span_name": "two"}]


def test_the_same_labels_again_cost_nothing(recorder):
    assert carried() is None
    # What the thread has was not known since the agent started.
    carry(None)
    assert not carry(None)
    carry(ONE)
    calls = len(recorder.log)
    assert not carry(ONE)
    assert carried() is ONE
    assert len(recorder.log) == calls


def test_each_thread_has_its_own(recorder):
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


def test_a_condition_that_says_no_leaves_the_thread_without(recorder):
    """Scenario 13: an event loop whose steps nobody tells us of."""
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


def test_nothing_is_believed_while_there_is_no_agent(recorder):
    """Scenario 47: started late."""
    recorder.stop()
    carry(ONE)
    assert carried() is None
    carry(ONE)
    assert recorder.log == []
    recorder.start()
    carry(ONE)
    assert carried() is ONE
    assert recorder.now() == dict(ONE[0])


def test_an_agent_that_stops_in_the_middle(recorder):
    """The first label was taken, the second was not."""

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


def test_whether_the_agent_runs(recorder):
    assert thread_labels.agent_is_running()
    assert recorder.now() == {}
    recorder.stop()
    assert not thread_labels.agent_is_running()


def test_a_new_agent_is_told_anew(recorder):
    """Scenario 47: every thread, each at its next switch."""

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


def test_an_agent_that_was_there_all_the_time_is_told_anew(recorder):
    """Scenario 47: a second `configure` is refused, and the labels are still there."""
    carry(ONE)
    thread_labels.forget()
    carry(ONE)
    assert recorder.now() == dict(ONE[0])
    carry(ONE)
    assert len(recorder.log) == 9


@each_mode
def test_a_new_agent_is_told_anew_of_the_context_that_a_step_enters(tracer, recorder, now):
    """Scenario 47: the labels are those that the thread is believed to have."""
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


def test_the_agent_is_called_without_what_only_passes_on():
    """For speed: a step of an event loop calls it four times."""
    assert thread_labels._unwrapped(pyroscope.add_thread_tag) is pyroscope.lib.add_thread_tag
    assert thread_labels._unwrapped(pyroscope.remove_thread_tag) is pyroscope.lib.remove_thread_tag


def test_a_function_of_the_agent_that_does_more_is_called_itself(recorder):
    def add_thread_tag(key, value):
        return pyroscope.lib.add_thread_tag(key.lower(), value)

    assert thread_labels._unwrapped(add_thread_tag) is add_thread_tag
    # And what has no code of its own, as a function that another tool has wrapped.
    assert thread_labels._unwrapped(recorder.add) == recorder.add


# Threads that end


def test_a_dying_thread_takes_its_labels_along(recorder):
    """Scenario 27: its successor with the same ident would inherit them."""
    run_in_thread(lambda: carry(ONE))
    assert recorder.left_behind() == {}
    assert recorder.log[-3:] == [
        ("remove", "span_id", "1" * 16),
        ("remove", "trace_id", "1" * 32),
        ("remove", "span_name", "one"),
    ]


def test_a_successor_with_the_same_ident_has_none(recorder):
    """Scenario 27: idents are reused at once."""

    def die_tagged():
        seen.append((threading.get_ident(), recorder.now(), carried()))
        carry(ONE)

    seen = []
    for _ in range(50):
        run_in_thread(die_tagged)
    assert len({ident for ident, _, _ in seen}) < len(seen)
    assert all(labels == {} and known is None for _, labels, known in seen)


@each_mode
def test_a_thread_that_dies_inside_a_request(tracer, recorder, now):
    """Scenario 27: as an application does it."""

    def die_tagged():
        otel_context.attach(trace.set_span_in_context(root))
        seen.append(now())

    seen = []
    root = tracer.start_span("root")
    run_in_thread(die_tagged)
    assert seen == ["root"]
    assert recorder.left_behind() == {}
    root.end()


def test_a_dying_thread_does_not_depend_on_the_garbage_collector(recorder):
    """Scenario 27."""
    gc.disable()
    try:
        run_in_thread(lambda: carry(ONE))
        assert recorder.left_behind() == {}
    finally:
        gc.enable()


def test_a_dying_thread_that_a_traceback_refers_to(recorder):
    """Scenario 27: our frames know the thread, and somebody keeps an exception."""
    kept = []

    def die_tagged():
        carry(ONE)
        kept.append(this_thread())

    run_in_thread(die_tagged)
    assert recorder.left_behind() == {}


@pytest.mark.parametrize("made", ["Thread", "_Farewell"])
def test_a_finaliser_while_a_thread_becomes_known(tracer, now, recorder, monkeypatch, made):
    """Scenarios 27 and 50: it follows on the thread of which nothing is known yet."""

    class Interrupted(getattr(thread_labels, made)):
        __slots__ = ()

        def __init__(self, *args):
            super().__init__(*args)
            if actions:
                actions.pop()()

    def request():
        with tracer.start_as_current_span("root"):
            seen.append(now())
        seen.append(now())
        otel_context.attach(trace.set_span_in_context(late))

    seen, actions = [], [switch.follow_current]
    late = tracer.start_span("late")
    monkeypatch.setattr(thread_labels, made, Interrupted)
    run_in_thread(request)
    assert actions == []
    assert seen == ["root", None]
    assert recorder.left_behind() == {}
    late.end()


@each_mode
def test_a_finaliser_that_follows_on_a_dying_thread(tracer, recorder, monkeypatch):
    """Scenarios 27 and 50: while the labels are removed, their span is still current."""

    def remove(key, value):
        if followed:
            followed.pop()()
        return recorder.remove(key, value)

    def die_tagged():
        otel_context.attach(trace.set_span_in_context(root))

    followed = [switch.follow_current]
    root = tracer.start_span("root")
    monkeypatch.setattr(thread_labels, "remove_thread_tag", remove)
    run_in_thread(die_tagged)
    assert followed == []
    assert recorder.left_behind() == {}
    root.end()


def test_what_dies_on_another_thread_leaves_that_thread_s_labels_alone(recorder):
    """As in a forked child, where the other threads' values die on the one that is left."""

    def other():
        carry(ONE)
        theirs.append(thread_labels._local.farewell)
        carry(None)

    theirs = []
    run_in_thread(other)
    farewell = theirs.pop()
    farewell._thread.labels = ONE
    carry(TWO)
    calls = len(recorder.log)
    del farewell
    assert len(recorder.log) == calls
    assert recorder.now() == dict(TWO[0])


# A span that ends, or a context that changes, while the labels do


@pytest.fixture
def tracer(silent_tracer):
    """Nobody helps by switching once more."""
    return silent_tracer


@pytest.fixture
def interrupt(monkeypatch, attribution):
    """Do something the next time that labels were decided on, before they change."""

    def change(*decided):
        if actions:
            actions.pop()()
        return undisturbed(*decided)

    actions = []
    module = thread_labels if attribution == "thread" else switch
    undisturbed = module.change
    monkeypatch.setattr(module, "change", change)
    yield actions.append
    assert actions == []


def end_elsewhere(span):
    run_in_thread(span.end)


@each_mode
def test_a_root_that_ends_while_its_labels_are_put_on(tracer, recorder, now):
    """Scenario 26: between the liveness check and the add."""

    def end_root(_key, _value):
        recorder.before_add = None
        end_elsewhere(root)

    root = tracer.start_span("root")
    recorder.before_add = end_root
    with trace.use_span(root):
        assert now() is None


@each_label
def test_a_root_that_ends_between_two_labels(tracer, recorder, now, key):
    """Scenario 26: whichever of the labels it is."""

    def end_root(added, _value):
        if added == key:
            recorder.before_add = None
            end_elsewhere(root)

    root = tracer.start_span("root")
    recorder.before_add = end_root
    with trace.use_span(root):
        assert now() is None


@each_mode
def test_a_root_that_ends_just_before_its_labels_are_put_on(tracer, now, interrupt):
    """Scenario 26: after the liveness check, before the change has begun."""
    root = tracer.start_span("root")
    interrupt(lambda: end_elsewhere(root))
    with trace.use_span(root):
        assert now() is None


@pytest.fixture
def suspended(tracer):
    """Make a generator that is suspended inside a span of its own.

    Closing it detaches, as its finaliser does, wherever the garbage collector
    happens to run.
    """

    def generator():
        with tracer.start_as_current_span("generator", otel_context.Context()):
            yield

    def make():
        suspended = generator()
        next(suspended)
        return suspended

    return make


@each_label
def test_a_finaliser_that_detaches_inside_the_hook(tracer, recorder, now, suspended, key):
    """Scenario 50: it detaches while its own context is being followed."""

    def finalise(added, _value):
        if added == key:
            recorder.before_add = None
            generator.close()

    root = tracer.start_span("root")
    generator = suspended()
    assert now() == "generator"
    recorder.before_add = finalise
    # Closed inside, the generator resets the context to what was there before it.
    token = otel_context.attach(trace.set_span_in_context(root))
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert now() is None
    # Out of order, this makes the ended generator's span current once more.
    otel_context.detach(token)
    assert now() is None
    root.end()


@each_mode
def test_a_finaliser_that_detaches_before_the_labels_are_put_on(tracer, now, suspended, interrupt):
    """Scenario 50: after the context was read, before the change has begun."""
    generator = suspended()
    root = tracer.start_span("root", otel_context.Context())
    interrupt(generator.close)
    otel_context.attach(trace.set_span_in_context(root))
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert now() is None
    root.end()


@each_mode
def test_a_finaliser_that_only_detaches(tracer, now, interrupt):
    """Scenario 50: no span ends, and the context is another all the same."""
    one = tracer.start_span("one", otel_context.Context())
    two = tracer.start_span("two", otel_context.Context())
    token = otel_context.attach(trace.set_span_in_context(one))
    interrupt(lambda: otel_context.detach(token))
    otel_context.attach(trace.set_span_in_context(two))
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert now() is None
    one.end()
    two.end()


@each_mode
def test_a_signal_handler_that_attaches_what_is_being_left(tracer, now, interrupt):
    """Scenario 50: what the handler wants is there already, and is about to go."""
    root = tracer.start_span("root")
    context = trace.set_span_in_context(root)
    token = otel_context.attach(context)
    interrupt(lambda: otel_context.attach(context))
    otel_context.detach(token)
    assert trace.get_current_span() is root
    assert now() == "root"
    root.end()


@each_mode
def test_a_finaliser_that_renames(tracer, now, interrupt):
    """Scenario 50: the labels that were decided on are no longer the profile's."""
    root = tracer.start_span("root")
    interrupt(lambda: root.update_name("renamed"))
    with trace.use_span(root, end_on_exit=True):
        assert now() == "renamed"


@pytest.fixture
def hold(tracer):
    """Hold a request whose root span has ended."""
    hold = hold_request({})
    token = INHERITED.set(hold)
    tracer.start_span("held", otel_context.Context()).end()
    INHERITED.reset(token)
    # An empty context, as the one around each test here, would inherit nothing.
    outside = otel_context.attach(otel_context.set_value("outside", value=True))
    yield hold
    release(hold)
    otel_context.detach(outside)


@each_mode
def test_a_finaliser_that_lets_go_of_a_request(hold, now, interrupt):
    """Scenario 50: a body that nobody has read to its end is destroyed."""
    interrupt(lambda: release(hold))
    with held(hold):
        assert now() is None


@each_mode
def test_a_finaliser_that_leaves_a_request(tracer, hold, now, interrupt):
    """Scenario 50: the body's context is the one that is being followed."""
    request = held(hold)
    request.__enter__()
    root = tracer.start_span("root")
    token = otel_context.attach(trace.set_span_in_context(root))
    assert now() == "root"
    interrupt(lambda: request.__exit__(None, None, None))
    otel_context.detach(token)
    assert now() is None
    root.end()


@each_mode
def test_a_signal_handler_that_enters_a_request(tracer, hold, now, interrupt):
    """Scenario 50: and is not at its end yet when it returns."""
    request = held(hold)
    root = tracer.start_span("root")
    token = otel_context.attach(trace.set_span_in_context(root))
    interrupt(request.__enter__)
    otel_context.detach(token)
    assert now() == "held"
    request.__exit__(None, None, None)
    assert now() is None
    root.end()


@pytest.fixture
def on_signal():
    """Set what a signal handler does."""
    previous = signal.getsignal(signal.SIGUSR1)

    def set_handler(handler):
        signal.signal(signal.SIGUSR1, lambda *_: handler())

    yield set_handler
    signal.signal(signal.SIGUSR1, previous)


@each_label
def test_a_signal_handler_that_attaches_inside_the_hook(tracer, recorder, now, on_signal, key):
    """Scenario 50: and leaves it attached."""

    def interrupt(added, _value):
        if added == key:
            recorder.before_add = None
            signal.raise_signal(signal.SIGUSR1)

    root = tracer.start_span("root")
    late = tracer.start_span("late")
    tokens = []
    on_signal(lambda: tokens.append(otel_context.attach(trace.set_span_in_context(late))))
    recorder.before_add = interrupt
    outer = otel_context.attach(trace.set_span_in_context(root))
    assert now() == "late"
    otel_context.detach(tokens.pop())
    assert now() == "root"
    otel_context.detach(outer)
    assert now() is None


@each_label
def test_a_signal_handler_with_a_span_of_its_own(tracer, recorder, now, on_signal, key):
    """Scenario 50: it leaves the context as it was."""

    def interrupt(added, _value):
        if added == key:
            recorder.before_add = None
            signal.raise_signal(signal.SIGUSR1)

    def handler():
        with tracer.start_as_current_span("handler", otel_context.Context()):
            handled.append(trace.get_current_span().name)

    handled = []
    on_signal(handler)
    recorder.before_add = interrupt
    with tracer.start_as_current_span("root"):
        assert handled == ["handler"]
        assert now() == "root"
    assert now() is None


@each_label
def test_a_signal_handler_that_raises_inside_the_hook(tracer, recorder, now, on_signal, key):
    """Scenario 50: the exception is the application's; nothing stays behind."""

    def interrupt(added, _value):
        if added == key:
            recorder.before_add = None
            signal.raise_signal(signal.SIGUSR1)

    def handler():
        raise KeyboardInterrupt

    on_signal(handler)
    recorder.before_add = interrupt
    with pytest.raises(KeyboardInterrupt), tracer.start_as_current_span("root"):
        pytest.fail("the handler's exception did not arrive")
    # The span became current, and whoever was interrupted cannot undo that.
    root_is_lost = now()
    assert root_is_lost is None or trace.get_current_span().name == root_is_lost
    otel_context.attach(otel_context.Context())
    assert now() is None
    with tracer.start_as_current_span("next"):
        assert now() == "next"
    assert now() is None
    # Too much is removed rather than too little.
    assert all(wrong.startswith("remove") for wrong in recorder.wrong)
    recorder.wrong.clear()


# No growth


def test_nothing_is_kept_of_a_label_that_is_gone(recorder):
    class Text(str):
        __slots__ = ("__weakref__",)

    name = Text("name")
    gone = weakref.ref(name)
    carry(labels_of(("span_name", name)))
    carry(None)
    # The recorder logs what it was told.
    recorder.log.clear()
    gc.disable()
    try:
        del name
        assert gone() is None
    finally:
        gc.enable()


# gevent replaces what `threading` and `_thread` are made of

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

# OS threads have their own, and take them along.
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

# In gevent's own threads, too, which end with their pool.
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
    """Scenario 44: whether gevent's patching comes before or after our import."""
    assert run(code + UNDER_GEVENT) == ["0 []"]


def test_the_recorder_notices():
    """The invariants of each test are only as good as the recorder."""
    recorder = Recorder()
    recorder.add("span_id", "1")
    recorder.add("span_id", "2")
    recorder.remove("span_id", "3")
    assert len(recorder.wrong) == 2
    assert len(recorder.left_behind()) == 1

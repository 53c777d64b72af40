"""Following greenlets: in this process without gevent, and gevent in processes of their own."""

import contextvars
import gc
import threading
import weakref

import greenlet
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel import following
from pyroscope_otel.following.greenlets import Greenlets
from tests.support.child import run
from tests.support.garbage import collected_by_hand


@pytest.fixture(autouse=True)
def _no_trace_function(recorder):
    """A thread gets its trace function when it first gets labels."""
    assert recorder.now() == {}
    before = greenlet.settrace(None)
    yield
    greenlet.settrace(before)


def new_greenlet(function):
    """Make a greenlet that starts with an empty context, as gevent's do."""
    made = greenlet.greenlet(function)
    made.gr_context = contextvars.Context()
    return made


def back():
    return greenlet.getcurrent().parent.switch()


# Following


def test_interleaved(tracer, now):
    """Scenario 42: each its own, and none in the one that is between them."""

    def serve(name):
        for _ in range(3):
            assert now() is None
            with tracer.start_as_current_span(name):
                assert now() == name
                back()
                assert now() == name
                with tracer.start_as_current_span("child"):
                    back()
                    assert now() == name
            back()
            seen.append(name)

    seen = []
    both = [new_greenlet(lambda name=name: serve(name)) for name in ("one", "two")]
    while not all(each.dead for each in both):
        for each in both:
            each.switch()
            assert now() is None
    assert sorted(seen) == ["one"] * 3 + ["two"] * 3


def test_a_greenlet_made_inside_a_root(tracer, now):
    """Scenario 43: it starts with a context of its own."""

    def child():
        seen.append(now())
        back()
        seen.append(now())

    seen = []
    with tracer.start_as_current_span("root"):
        made = new_greenlet(child)
        made.switch()
        assert now() == "root"
        made.switch()
        assert now() == "root"
    assert seen == [None, None]
    assert now() is None


def test_a_greenlet_that_shares_the_context(tracer, now):
    """As SQLAlchemy's, which runs the sync part of one task."""
    with tracer.start_as_current_span("root"):
        made = greenlet.greenlet(now)
        made.gr_context = contextvars.copy_context()
        assert made.switch() == "root"
        assert now() == "root"


def test_a_greenlet_that_raises(tracer, now):
    """The exception arrives in its parent."""

    def fail():
        with tracer.start_as_current_span("inner"):
            raise LookupError

    with tracer.start_as_current_span("outer"):
        made = new_greenlet(fail)
        with pytest.raises(LookupError):
            made.switch()
        assert now() == "outer"
    assert now() is None


def test_a_greenlet_that_is_thrown_into(tracer, now):
    def wait():
        with tracer.start_as_current_span("inner"):
            try:
                back()
            except LookupError:
                seen.append(now())
                raise

    seen = []
    with tracer.start_as_current_span("outer"):
        made = new_greenlet(wait)
        made.switch()
        assert now() == "outer"
        with pytest.raises(LookupError):
            made.throw(LookupError)
        assert now() == "outer"
    assert seen == ["inner"]


def test_a_greenlet_that_is_dropped_inside_a_span(tracer, now):
    """It is killed, its span ends, and who drops it has its own labels."""

    def wait():
        with tracer.start_as_current_span("inner"):
            back()

    with tracer.start_as_current_span("outer"):
        made = new_greenlet(wait)
        made.switch()
        assert now() == "outer"
        del made
        assert now() == "outer"
    assert now() is None


def test_each_thread_has_a_trace_function_of_its_own(tracer, now):
    """Scenario 45: in a second native thread."""

    def thread():
        traced.append(greenlet.gettrace())
        test_interleaved(tracer, now)
        traced.append(greenlet.gettrace())

    traced = []
    assert greenlet.gettrace() is None
    started = threading.Thread(target=thread, daemon=True)
    started.start()
    started.join()
    assert traced[0] is None
    assert traced[1] is not None
    assert greenlet.gettrace() is None


def test_a_thread_without_labels_is_not_traced(recorder):
    assert recorder.now() == {}
    new_greenlet(int).switch()
    assert greenlet.gettrace() is None


# Other tools that trace greenlets


def switches(tracer, now):
    """Two greenlets and what is between them; return what was right."""

    def serve():
        with tracer.start_as_current_span("served"):
            back()
            return now()

    made = new_greenlet(serve)
    with tracer.start_as_current_span("server"):
        made.switch()
        between = now()
        served = made.switch()
        return between == "server", served == "served", now() == "server"


def test_a_tool_that_was_there_before(tracer, now):
    """Scenario 51: it is told of every switch still."""

    def tool(event, args):
        events.append((event, args))

    events = []
    greenlet.settrace(tool)
    assert all(switches(tracer, now))
    assert [event for event, _ in events] == ["switch"] * 4
    assert greenlet.gettrace() is not tool


def test_a_tool_that_takes_our_place_and_calls_us(tracer, now):
    """Scenario 51: each of the two follows once at most."""

    def tool(event, args):
        events.append(event)
        ours(event, args)

    events = []
    assert all(switches(tracer, now))
    ours = greenlet.gettrace()
    greenlet.settrace(tool)
    assert all(switches(tracer, now))
    assert events == ["switch"] * 4


def test_a_tool_that_takes_our_place_and_does_not_call_us(tracer, now):
    """Scenario 45: we are there again from the next labels on."""

    def tool(event, _args):
        events.append(event)

    events = []
    assert all(switches(tracer, now))
    ours = greenlet.gettrace()
    greenlet.settrace(tool)
    assert greenlet.gettrace() is not ours
    assert all(switches(tracer, now))
    assert events == ["switch"] * 4


def test_a_tool_that_displaces_us_inside_a_root(tracer, now):
    """The labels of the root stay until the next switch that we see."""
    with tracer.start_as_current_span("root"):
        greenlet.settrace(None)
        seen = []
        new_greenlet(lambda: seen.append(now())).switch()
        assert seen == ["root"]
        with tracer.start_as_current_span("other", otel_context.Context()):
            new_greenlet(lambda: seen.append(now())).switch()
        assert seen == ["root", None]
        assert now() == "root"


def test_a_tool_that_comes_and_goes(tracer, now):
    """Scenario 51: what it puts back is ours; no chain of trace functions grows."""

    def tool(_event, _args):
        pass

    assert all(switches(tracer, now))
    for _ in range(2_000):
        previous = greenlet.settrace(tool)
        # We come back in the meantime.
        with tracer.start_as_current_span("root"):
            pass
        greenlet.settrace(previous)
        with tracer.start_as_current_span("root"):
            pass
    assert all(switches(tracer, now))
    length = 0
    ours = greenlet.gettrace()
    while ours is not None:
        length += 1
        ours = getattr(ours, "_previous", None)
    assert length <= 3


def test_a_tool_that_raises(tracer, now):
    """Its trace function is taken out then, ours with it; we come back with the next labels."""

    def tool(_event, _args):
        greenlet.settrace(None)
        raise LookupError

    greenlet.settrace(tool)
    made = new_greenlet(now)
    with tracer.start_as_current_span("root"):
        with pytest.raises(LookupError):
            made.switch()
        # Missing, not wrong: nobody told us of the switch back.
        assert now() is None
        with tracer.start_as_current_span("child"):
            assert now() == "root"
    assert all(switches(tracer, now))
    assert now() is None


# Put in and taken out


@pytest.fixture
def removed(recorder):
    assert recorder.left_behind() == {}
    following.remove()
    yield
    following.remove()
    following.install()


@pytest.mark.usefixtures("removed")
def test_taken_out_without_a_trace(tracer, now):
    """Scenario 51."""

    def tool(_event, _args):
        pass

    greenlet.settrace(tool)
    following.install()
    assert all(switches(tracer, now))
    assert greenlet.gettrace() is not tool
    following.remove()
    assert greenlet.gettrace() is tool
    hook = Greenlets()
    hook.install()
    hook.remove()
    assert greenlet.gettrace() is tool


@pytest.mark.usefixtures("removed")
def test_put_in_inside_a_root(tracer, now):
    """The thread has its labels already; it is asked all the same."""

    def serve():
        seen.append(now())

    seen = []
    following.install()
    greenlets = following.named("Greenlets")
    greenlets.remove()
    with tracer.start_as_current_span("root"):
        assert greenlet.gettrace() is None
        greenlets.install()
        with tracer.start_as_current_span("child"):
            new_greenlet(serve).switch()
            assert now() == "root"
    assert seen == [None]


@pytest.mark.usefixtures("removed")
def test_taken_out_on_another_thread(tracer, now):
    """Scenario 51: each thread's trace function steps out at its next switch."""

    def thread():
        assert all(switches(tracer, now))
        traced.append(greenlet.gettrace())
        installed.set()
        taken_out.wait()
        new_greenlet(int).switch()
        traced.append(greenlet.gettrace())

    following.install()
    traced, installed, taken_out = [], threading.Event(), threading.Event()
    started = threading.Thread(target=thread, daemon=True)
    started.start()
    installed.wait()
    following.remove()
    taken_out.set()
    started.join()
    assert traced[0] is not None
    assert traced[1] is None


@pytest.mark.usefixtures("removed")
def test_a_tool_over_ours_when_it_is_taken_out(tracer, now):
    """Scenario 51: the tool stays, and what it calls does nothing."""

    def tool(event, args):
        events.append(event)
        ours(event, args)

    events = []
    following.install()
    assert all(switches(tracer, now))
    ours = greenlet.gettrace()
    greenlet.settrace(tool)
    following.remove()
    assert greenlet.gettrace() is tool
    seen = []
    new_greenlet(lambda: seen.append(now())).switch()
    assert seen == [None]
    assert events == ["switch"] * 2
    assert greenlet.gettrace() is tool


def test_a_greenlet_is_not_kept(tracer, now):
    """Its trace function keeps nothing of it."""

    def serve():
        with tracer.start_as_current_span("served"):
            back()
        return now()

    made = new_greenlet(serve)
    made.switch()
    made.switch()
    gone = weakref.ref(made)
    gc.disable()
    try:
        del made
        assert gone() is None
    finally:
        gc.enable()


def test_nothing_grows(tracer, now):
    with collected_by_hand():
        for _ in range(1_000):
            assert all(switches(tracer, now))
        assert gc.collect() == 0
    assert trace.get_current_span() is trace.INVALID_SPAN


# gevent, with everything patched, before or after our import

PATCH = "from gevent import monkey; monkey.patch_all()\n"
IMPORT = """
import gevent
from tests.support.recorder import Recorder
recorder = Recorder()
pyroscope.add_thread_tag, pyroscope.remove_thread_tag = recorder.add, recorder.remove

from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import TracerProvider
from pyroscope_otel.link import failure
from pyroscope_otel import following
from pyroscope_otel.link.switch import STATE
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
failure.reraise = True
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(PyroscopeSpanProcessor())
tracer = provider.get_tracer("tests")

def now():
    labels = recorder.now()
    assert set(labels) in (set(), {"span_id", "span_name"}), labels
    return labels.get("span_name")
"""
END = """
assert recorder.wrong == [], recorder.wrong
assert recorder.left_behind() == {}, recorder.left_behind()
print("done")
"""

INTERLEAVED = """
def serve(name):
    assert now() is None
    for _ in range(3):
        with tracer.start_as_current_span(name):
            gevent.sleep(0)
            assert now() == name
            with tracer.start_as_current_span("child"):
                time.sleep(0.001)
                assert now() == name
        assert now() is None

def hub():
    # A callback of the loop, in the hub's own greenlet.
    in_hub.append(now())
    if not all(each.ready() for each in serving):
        gevent.get_hub().loop.run_callback(hub)

in_hub = []
serving = [gevent.spawn(serve, f"request {number}") for number in range(5)]
gevent.get_hub().loop.run_callback(hub)
gevent.joinall(serving, raise_error=True)
assert len(in_hub) > 3 and set(in_hub) == {None}, in_hub
"""

CHILDREN = """
def child(seen):
    seen.append(now())
    gevent.sleep(0)
    seen.append(now())
    return now()

seen = []
with tracer.start_as_current_span("root"):
    gevent.spawn(child, seen).join()
    assert now() == "root"
    gevent.spawn_later(0.001, child, seen).join()
    assert now() == "root"
    thread = threading.Thread(target=child, args=(seen,))
    thread.start()
    thread.join()
    assert now() == "root"
    seen.append(gevent.get_hub().threadpool.apply(now))
    assert now() == "root"
assert seen == [None] * 7, seen
# Those that make a span of their own have it.
def traced():
    with tracer.start_as_current_span("own"):
        gevent.sleep(0)
        return now()
with tracer.start_as_current_span("root"):
    assert gevent.spawn(traced).get() == "own"
    assert now() == "root"
"""

IN_A_POOL_THREAD = """
from gevent import monkey
sleep = monkey.get_original("time", "sleep")

def job():
    # A job of the pool is a greenlet of a native thread that has no hub running.
    with tracer.start_as_current_span("job"):
        seen = now()
        # The thread that waits for it may still be on its way into its hub.
        while len(recorder.left_behind()) > 1:
            sleep(0.001)
        return seen, len(recorder.left_behind())

with tracer.start_as_current_span("root"):
    assert gevent.get_hub().threadpool.apply(job) == ("job", 1)
    assert now() == "root"
"""

TWO_HUBS = """
from gevent import monkey
start_new_thread = monkey.get_original("_thread", "start_new_thread")
allocate_lock = monkey.get_original("_thread", "allocate_lock")

def serve(prefix):
    def request(name):
        assert now() is None
        with tracer.start_as_current_span(name):
            for _ in range(10):
                gevent.sleep(0)
                assert now() == name, (now(), name)
        seen.append(name)
    requests = [gevent.spawn(request, f"{prefix} {number}") for number in range(5)]
    gevent.joinall(requests, raise_error=True)
    assert now() is None

def second():
    try:
        serve("second")
        gevent.get_hub().destroy(destroy_loop=True)
    finally:
        done.release()

seen = []
done = allocate_lock()
done.acquire()
# gevent imports while it makes a process's first hub, and two threads that make
# one at once get into each other's way.
gevent.get_hub()
gevent.sleep(0)
start_new_thread(second, ())
serve("first")
# Its lock is an OS thread's: this hub has to go on, as the other may need it.
while not done.acquire(False):
    gevent.sleep(0)
assert len(seen) == 10, seen
"""


@pytest.mark.parametrize("order", [PATCH + IMPORT, IMPORT + PATCH], ids=["before", "after"])
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(INTERLEAVED, id="interleaved, scenario 42"),
        pytest.param(CHILDREN, id="children, scenario 43"),
        pytest.param(IN_A_POOL_THREAD, id="pool thread, scenario 44"),
        pytest.param(TWO_HUBS, id="two hubs, scenario 45"),
    ],
)
def test_gevent(order, case, attribution):
    """Scenarios 42 to 45: patched before we are imported, or after."""
    mode = f"STATE.labels_only = {attribution == 'thread'}\n"
    assert run(order + mode + case + END) == ["done"]


def test_gevent_that_arrives_after_the_processor():
    """Scenario 44: greenlet is hooked when it is imported, and not imported by us."""
    late = IMPORT.replace("import gevent\n", "") + "assert 'greenlet' not in sys.modules\n"
    assert run(late + "import gevent\n" + PATCH + INTERLEAVED + END) == ["done"]

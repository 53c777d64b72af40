"""Threads that run for a long time, asked for their profile as an upload would."""

import asyncio
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import context as otel_context
from opentelemetry.instrumentation.threading import ThreadingInstrumentor

from tests.support.event_loops import each_loop
from tests.support.threads import Steps

pytestmark = pytest.mark.usefixtures("samples_wait_for_their_upload")


@pytest.fixture
def pool(recorder):  # noqa: ARG001  the hooks must be in place
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def _threading_instrumentor(recorder):  # noqa: ARG001  as above
    """Give each new thread the context of the thread that starts it."""
    ThreadingInstrumentor().instrument()
    yield
    ThreadingInstrumentor().uninstrument()


def consume(work, handle):
    while (item := work.get(timeout=30)) is not None:
        handle(item)


@pytest.fixture(params=["thread", "pool job"])
def start_consumer(request, pool, _threading_instrumentor):
    """Start a thread that serves a queue until it gets None; return a function that waits."""

    def start(work, handle):
        if request.param == "pool job":
            return pool.submit(consume, work, handle).result
        thread = threading.Thread(target=consume, args=(work, handle))
        thread.start()
        return thread.join

    return start


def test_consumer_started_by_the_first_request_does_not_stay_its_own(
    tracer, now, sample, start_consumer
):
    """It serves all later requests, so it no longer belongs to the first."""

    def handle(done):
        samples.append(sample())
        seen.append(now())
        done.set()

    samples, seen, work = [], [], queue.Queue()

    def hand_over():
        done = threading.Event()
        work.put(done)
        assert done.wait(30)

    with tracer.start_as_current_span("first"):
        own = sample()
        join = start_consumer(work, handle)
        hand_over()
        assert samples[0].name() == own.name() == "first"
        assert seen == ["first"]
    assert samples[0].name() is None
    for name in ("second", "third"):
        with tracer.start_as_current_span(name):
            hand_over()
    work.put(None)
    join()
    assert [one.name() for one in samples] == [None, None, None]
    assert seen == ["first", None, None]
    assert own.name() == "first"


def test_consumer_with_child_spans(tracer, now, sample, start_consumer):
    """Each item's span is a child of the request that sent the item."""

    def handle(item):
        context, done = item
        with tracer.start_as_current_span("item", context):
            samples.append(sample())
            seen.append(now())
        between.append(now())
        done.set()

    samples, seen, between, work = [], [], [], queue.Queue()

    def hand_over():
        done = threading.Event()
        work.put((otel_context.get_current(), done))
        assert done.wait(30)

    for number, name in enumerate(("first", "second", "third")):
        with tracer.start_as_current_span(name):
            if not number:
                join = start_consumer(work, handle)
            hand_over()
            assert samples[-1].name() == name
    work.put(None)
    join()
    assert seen == ["first", "second", "third"]
    assert between == ["first", None, None]
    # All but the first, which shares its number with a thread that still runs.
    assert [one.name() for one in samples[1:]] == ["second", "third"]


def test_consumer_with_root_spans(tracer, now, start_consumer):
    """The request's ended span is still current: a child of it is a new root span."""

    def handle(done):
        with tracer.start_as_current_span("item"):
            seen.append(now())
        seen.append(now())
        done.set()

    seen, work = [], queue.Queue()
    with tracer.start_as_current_span("first"):
        join = start_consumer(work, handle)
    done = threading.Event()
    work.put(done)
    assert done.wait(30)
    work.put(None)
    join()
    assert seen == ["item", None]


@pytest.mark.usefixtures("_threading_instrumentor")
def test_thread_that_ends_before_its_request_belongs_to_it(tracer, sample):
    def work():
        samples.append(sample())

    samples = []
    with tracer.start_as_current_span("A"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert samples[0].name() == "A"


@pytest.mark.usefixtures("_threading_instrumentor")
def test_timer_that_fires_after_its_request(tracer, now):
    seen, fired = [], threading.Event()
    with tracer.start_as_current_span("A"):
        timer = threading.Timer(0, lambda: fired.wait(30) and seen.append(now()))
        timer.start()
    fired.set()
    timer.join()
    assert seen == [None]


@pytest.fixture
def loop_thread(new_loop, recorder):  # noqa: ARG001  as above
    """The event loop of another thread."""
    loop = new_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@each_loop
def test_step_in_the_loop_of_another_thread_outlives_its_request(tracer, sample, loop_thread):
    """It belongs to no request from then on, even before its next switch point."""

    async def step():
        samples.append(sample())
        steps.stop()
        samples.append(sample())

    samples, steps = [], Steps()
    with tracer.start_as_current_span("A"):
        own = sample()
        done = asyncio.run_coroutine_threadsafe(step(), loop_thread)
        steps.wait()
        assert samples[0].name() == "A"
    steps.go_on()
    done.result(30)
    assert own.name() == "A"
    assert samples[1].name() is None


@each_loop
def test_steps_in_the_loop_of_another_thread_belong_to_their_request(tracer, sample, loop_thread):
    """The loop's steps until the request ends, with a span and a child task of their own."""

    async def child():
        samples.append(sample())

    async def work():
        samples.append(sample())
        with tracer.start_as_current_span("query"):
            samples.append(sample())
            await asyncio.sleep(0)
            samples.append(sample())
        await asyncio.create_task(child())
        samples.append(sample())

    samples = []
    with tracer.start_as_current_span("A"):
        asyncio.run_coroutine_threadsafe(work(), loop_thread).result(30)
    assert [each.name() for each in samples] == ["A"] * 5

"""Jobs in the standard library's thread pools."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.threading import ThreadingInstrumentor

from tests.support.event_loops import each_loop, run
from tests.support.garbage import collected_by_hand
from tests.support.spans import attach_and_leave


@pytest.fixture
def pool(recorder):
    """A pool of one worker, which has no labels when it is idle."""
    with ThreadPoolExecutor(1) as pool:
        yield pool
        assert recorder.left_behind() == {}


@pytest.fixture(params=["alone", "beside ThreadingInstrumentor"])
def _each_setup(request):
    """Run a test again with ThreadingInstrumentor, which copies the context."""
    if request.param == "alone":
        yield
        return
    ThreadingInstrumentor().instrument()
    yield
    ThreadingInstrumentor().uninstrument()


@each_loop
@pytest.mark.usefixtures("_each_setup")
def test_to_thread(new_loop, tracer, now, pool, recorder):
    """Scenario 18: two requests in turn, one worker."""
    log = []

    async def request(name):
        with tracer.start_as_current_span(name):
            for _ in range(4):
                log.append(name)
                assert await asyncio.to_thread(now) == name
                assert now() == name

    async def main():
        asyncio.get_running_loop().set_default_executor(pool)
        await asyncio.gather(request("A"), request("B"))
        assert await asyncio.to_thread(now) is None
        assert recorder.left_behind() == {}

    run(main, new_loop)
    # The order in each turn differs between Python versions.
    assert sorted(log) == ["A"] * 4 + ["B"] * 4
    assert log[:4] not in (["A"] * 4, ["B"] * 4)


@each_loop
@pytest.mark.usefixtures("_each_setup")
def test_run_in_executor(new_loop, tracer, now, pool):
    """Scenario 19: the submitter's request, though its context is not copied."""

    async def main():
        loop = asyncio.get_running_loop()

        async def request(name):
            with tracer.start_as_current_span(name):
                for _ in range(4):
                    assert await loop.run_in_executor(pool, now) == name
                    assert now() == name

        await asyncio.gather(request("A"), request("B"))
        assert await loop.run_in_executor(pool, now) is None

    run(main, new_loop)


@pytest.mark.usefixtures("_each_setup")
def test_submit_and_map(tracer, now, pool):
    """Scenario 19: the submitter's request, and none without a submitter's request."""
    assert pool.submit(now).result() is None
    with tracer.start_as_current_span("A"):
        assert pool.submit(now).result() == "A"
        assert list(pool.map(lambda _: now(), range(3))) == ["A"] * 3
        with tracer.start_as_current_span("child"):
            assert pool.submit(now).result() == "A"
        with tracer.start_as_current_span("B", context=Context()):
            assert pool.submit(now).result() == "B"
        token = otel_context.attach(Context())
        assert pool.submit(now).result() is None
        otel_context.detach(token)
        assert now() == "A"
    assert pool.submit(now).result() is None


@pytest.mark.usefixtures("_each_setup")
def test_spans_of_a_job(tracer, now, pool):
    """Scenario 19: the job's own root span, then the submitter's request again."""

    def job():
        names = [now()]
        with tracer.start_as_current_span("B", context=Context()):
            names.append(now())
        names.append(now())
        return names

    with tracer.start_as_current_span("A"):
        assert pool.submit(job).result() == ["A", "B", "A"]


@pytest.mark.usefixtures("_each_setup")
def test_job_that_runs_after_its_request(tracer, now, pool):
    """Scenario 19: none, if it is still queued when the request ends."""
    gate = threading.Event()
    blocking = pool.submit(gate.wait)
    with tracer.start_as_current_span("A"):
        queued = pool.submit(now)
    with tracer.start_as_current_span("B"):
        gate.set()
        assert blocking.result()
        assert queued.result() is None


@pytest.mark.usefixtures("_each_setup")
def test_request_ends_during_its_job(tracer, now, pool):
    """Scenarios 19 and 25: none from the worker's next switch point on."""
    started, ended = threading.Event(), threading.Event()

    def job():
        before = now()
        started.set()
        ended.wait()
        with tracer.start_as_current_span("B", context=Context()):
            pass
        return before, now()

    with tracer.start_as_current_span("A"):
        future = pool.submit(job)
        started.wait()
    ended.set()
    assert future.result() == ("A", None)


def test_job_that_ends_its_request(silent_tracer, now, pool):
    """Scenario 25: none at once, though the span is not current in the job."""

    def job(root):
        before = now()
        root.end()
        return before, now()

    with silent_tracer.start_as_current_span("A", end_on_exit=False) as root:
        assert pool.submit(job, root).result() == ("A", None)


def test_job_does_not_keep_its_request(tracer, now, pool):
    """Scenario 19: a long job of a request that has ended."""
    gate, started = threading.Event(), threading.Event()

    def job():
        started.set()
        gate.wait()
        return now()

    with tracer.start_as_current_span("A") as span:
        future = pool.submit(job)
        kept = weakref.ref(span)
        started.wait()
    del span
    gc.collect()
    assert kept() is None
    gate.set()
    future.result()


def test_job_of_an_open_child_of_an_ended_root(tracer, now, pool):
    """Scenario 19: the profile is open while the submitter's current span is."""
    root = tracer.start_span("A")
    with trace.use_span(root), tracer.start_as_current_span("child"):
        root.end()
        assert pool.submit(now).result() == "A"
    assert pool.submit(now).result() is None


@pytest.mark.usefixtures("_each_setup")
def test_results_exceptions_and_arguments_of_a_job(tracer, now, pool):
    """A job is called as it was submitted."""

    def job(*args, **kwargs):
        return args, kwargs

    def fail():
        raise ValueError

    with tracer.start_as_current_span("A"):
        assert pool.submit(job, 1, fn=2, self=3).result() == ((1,), {"fn": 2, "self": 3})
        with pytest.raises(ValueError, match=r"^$"):
            pool.submit(fail).result()
        assert pool.submit(now).result() == "A"


@pytest.mark.usefixtures("recorder")
def test_submit_without_a_job(pool):
    """The pool refuses it as usual."""
    with pytest.raises(TypeError, match="fn"):
        pool.submit()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in Python 3.14")
def test_interpreter_pool(tracer, now):
    """It is a ThreadPoolExecutor that pickles what is submitted."""
    from concurrent.futures import InterpreterPoolExecutor

    with InterpreterPoolExecutor(1) as pool, tracer.start_as_current_span("A"):
        assert pool.submit(int, "7").result() == 7
        assert now() == "A"


def test_span_left_attached_by_a_job(tracer, now, recorder):
    """Scenario 28: later jobs have it current too, and belong to it while it is open."""
    with ThreadPoolExecutor(1) as pool:
        span = pool.submit(attach_and_leave, tracer, "left").result()
        assert recorder.left_behind() == {}, "the worker is idle"
        assert pool.submit(now).result() == "left"
        span.end()
        assert pool.submit(now).result() is None


def test_job_after_one_that_left_a_span_attached(tracer, now):
    """Scenarios 18 and 28: a job in its submitter's context belongs to that request."""
    with ThreadPoolExecutor(1) as pool:
        span = pool.submit(attach_and_leave, tracer, "left").result()
        with tracer.start_as_current_span("A"):
            context = contextvars.copy_context()
            assert pool.submit(context.run, now).result() == "A"
            assert pool.submit(now).result() == "A"
        span.end()
        assert pool.submit(now).result() is None


@each_loop
def test_pool_jobs_make_no_garbage(new_loop, tracer, now, pool):

    async def main():
        asyncio.get_running_loop().set_default_executor(pool)

        async def hops(count):
            with tracer.start_as_current_span("A"):
                for _ in range(count):
                    assert await asyncio.to_thread(now) == "A"

        await hops(10)
        with collected_by_hand():
            await hops(10)
            few = gc.collect()
            objects = len(gc.get_objects())
            await hops(500)
            assert gc.collect() == few
            assert len(gc.get_objects()) - objects < 200

    run(main, new_loop)

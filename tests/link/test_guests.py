"""Work that may outlive its request, asked for its profile as an upload would."""

import contextvars
import gc
from concurrent.futures import ThreadPoolExecutor

import greenlet
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link.held_request import hold_request, release, run_held
from pyroscope_otel.link.marks import MARKS
from tests.support.threads import Steps

pytestmark = pytest.mark.usefixtures("samples_wait_for_their_upload")


@pytest.fixture
def pool(recorder):  # noqa: ARG001  the hooks must be in place
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def steps():
    return Steps()


# Jobs in a pool


def test_job_that_outlives_its_request(tracer, now, pool, steps, sample):
    """It then belongs to no request. The samples of the request's own thread stay."""

    def job():
        samples.append(sample())
        steps.stop()
        samples.append(sample())
        steps.stop()
        with trace.use_span(trace.INVALID_SPAN):
            pass
        samples.append(sample())
        seen.append(now())

    samples, seen = [], []
    with tracer.start_as_current_span("A"):
        own = sample()
        done = pool.submit(job)
        steps.wait()
        assert own.name() == samples[0].name() == "A"
        assert own.number != samples[0].number
    assert own.name() == "A"
    assert samples[0].name() is None
    steps.go_on()
    steps.wait()
    # No switch point has come since.
    assert samples[1].name() is None
    steps.go_on()
    done.result()
    assert samples[2].name() is None
    assert seen == [None]
    assert own.name() == "A"


def test_job_that_ends_before_its_request_belongs_to_it(tracer, pool, sample):
    with tracer.start_as_current_span("A"):
        own, in_job = sample(), pool.submit(sample).result()
        assert own.number != in_job.number
    assert own.name() == in_job.name() == "A"


def test_jobs_of_one_request_are_separate(tracer, pool, steps, sample):
    """One ends in time, the other does not. The request's own samples stay.

    Jobs that run one after the other share a number: samples of the first in the same upload
    are then missing too.
    """

    def late():
        samples.append(sample())
        steps.stop()

    samples = []
    with tracer.start_as_current_span("A"):
        own = sample()
        in_time = pool.submit(sample).result()
        assert in_time.name() == "A"
        done = pool.submit(late)
        steps.wait()
        assert [own.name(), in_time.name(), samples[0].name()] == ["A"] * 3
    assert [own.name(), in_time.name(), samples[0].name()] == ["A", None, None]
    steps.go_on()
    done.result()
    assert [own.name(), in_time.name(), samples[0].name()] == ["A", None, None]


def test_root_ends_inside_its_job(tracer, now, pool, sample):
    """The job's samples until then belong to the request."""

    def job():
        before = sample()
        root.end()
        return before, before.name(), sample(), now()

    with tracer.start_as_current_span("A", end_on_exit=False) as root:
        before, name_then, after, seen = pool.submit(job).result()
    assert name_then == before.name() == "A"
    assert after.name() is None
    assert seen is None


def test_held_request_is_closed_inside_its_job(tracer, now, pool, sample):
    """A server may close a body on another thread."""

    def job():
        before = sample()
        release(hold)
        return before, sample(), now()

    def endpoint():
        with tracer.start_as_current_span("A"):
            own.append(sample())
        return pool.submit(job).result()

    own = []
    hold = hold_request({})
    before, after, seen = run_held(hold, endpoint)
    assert own[0].name() == before.name() == "A"
    assert after.name() is None
    assert seen is None


def test_job_of_a_held_request(tracer, pool, steps, sample):
    """It is in time until the response is closed."""

    def job():
        samples.append(sample())
        steps.stop()

    def endpoint():
        with tracer.start_as_current_span("A"):
            done = pool.submit(job)
            steps.wait()
        assert samples[0].name() == "A"
        return done

    samples = []
    hold = hold_request({})
    done = run_held(hold, endpoint)
    assert samples[0].name() == "A"
    release(hold)
    assert samples[0].name() is None
    steps.go_on()
    done.result()


def test_job_whose_submitting_span_is_open(tracer, pool, steps, sample):
    """The root span has ended. The child span that submitted the job has not."""

    def job():
        samples.append(sample())
        steps.stop()
        samples.append(sample())
        steps.stop()

    samples = []
    root = tracer.start_span("A")
    child = tracer.start_span("child", trace.set_span_in_context(root))
    with trace.use_span(child):
        done = pool.submit(job)
        steps.wait()
        root.end()
        steps.go_on()
        steps.wait()
        assert [one.name() for one in samples] == ["A", "A"]
    child.end()
    assert [one.name() for one in samples] == [None, None]
    steps.go_on()
    done.result()


def test_root_ends_inside_a_job_whose_submitting_span_is_open(tracer, now, pool, sample):
    """Choice 1: the job belongs to the request while the span that submitted it is open."""

    def job():
        root.end()
        return sample().name(), now()

    root = tracer.start_span("A")
    child = tracer.start_span("child", trace.set_span_in_context(root))
    with trace.use_span(child, end_on_exit=True):
        assert pool.submit(job).result() == ("A", "A")


def test_job_with_an_open_child_span(tracer, now, pool, steps):
    """Choice 1: under that span it belongs to the request, though the root span has ended."""

    def job():
        with tracer.start_as_current_span("child"):
            seen.append(now())
            steps.stop()
            with tracer.start_as_current_span("grandchild"):
                seen.append(now())
            seen.append(now())
        seen.append(now())

    seen = []
    with tracer.start_as_current_span("A"):
        done = pool.submit(contextvars.copy_context().run, job)
        steps.wait()
    steps.go_on()
    done.result()
    assert seen == ["A", "A", "A", None]


def test_job_of_a_job(tracer, pool, steps, sample):
    """It belongs to the same request, and has its own number."""

    def outer(inner_pool):
        inner = inner_pool.submit(inner_job)
        steps.stop()
        return sample(), inner

    def inner_job():
        samples.append(sample())
        inner_steps.stop()

    samples, inner_steps = [], Steps()
    with ThreadPoolExecutor(1) as inner_pool:
        with tracer.start_as_current_span("A"):
            done = pool.submit(outer, inner_pool)
            inner_steps.wait()
            steps.wait()
            steps.go_on()
            in_outer, inner = done.result()
            assert samples[0].name() == "A"
        assert in_outer.name() == "A"
        assert samples[0].name() is None
        inner_steps.go_on()
        inner.result()


def test_job_with_the_span_of_another_request_inside(tracer, now, pool):
    def job():
        seen.append(now())
        with tracer.start_as_current_span("other", otel_context.Context()):
            seen.append(now())
        seen.append(now())

    seen = []
    with tracer.start_as_current_span("A"):
        pool.submit(job).result()
    assert seen == ["A", "other", "A"]


def in_another_greenlet(function):
    """Run a function on its own stack, as SQLAlchemy does."""
    other = greenlet.greenlet(function)
    other.gr_context = contextvars.copy_context()
    return other.switch()


def test_job_that_changes_the_greenlet(tracer, now, pool):
    """The job's request before and after. None on a stack that no hook knows."""

    def job():
        return now(), in_another_greenlet(now), now()

    with tracer.start_as_current_span("A"):
        assert pool.submit(job).result() == ("A", None, "A")


def test_no_number_stays_in_use(tracer, pool, sample):
    """After jobs that end in time or too late, with spans, greenlets or jobs in them."""

    def job():
        with tracer.start_as_current_span("child"):
            sample()
        in_another_greenlet(sample)
        with ThreadPoolExecutor(1) as inner_pool:
            inner_pool.submit(sample).result()

    def request():
        with tracer.start_as_current_span("A"):
            pool.submit(job).result()
            late = pool.submit(job)
        late.result()

    def in_use():
        # A worker releases a job after it has set its result.
        pool.submit(int).result()
        gc.collect()
        MARKS.forget_samples()
        count, free = MARKS.count()
        return count - free

    request()
    before = in_use()
    for _ in range(100):
        request()
    assert in_use() == before

"""A task is held at its worker's edge, whatever runs it, and all its samples belong to it."""

from __future__ import annotations

import gc

import pytest
from celery.app.task import Task
from celery.app.trace import build_tracer, reset_worker_optimizations
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Ignore, Reject
from celery.signals import setup_logging
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from redis import Redis
from rq.job import Job

from pyroscope_otel import following
from pyroscope_otel.link.attribution import Hold
from pyroscope_otel.link.held_request import hold_request, release, run_held
from pyroscope_otel.link.marks import nearest_mark
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from tests.following.celery_app import traced_celery


@pytest.fixture
def app(case):
    with traced_celery(case.provider, case.samples.take) as app:
        yield app


def registered(app, function, **options):
    """Return the task itself: `app.task` returns a proxy."""
    return app.tasks[app.task(function, shared=False, **options).name]


def prepare(task):
    """Make the function that runs a task, as a worker does when it starts."""
    task.__trace__ = build_tracer(task.name, task, app=task.app, eager=True, propagate=True)


def run_in_worker(task, *arguments, **request):
    if task.__trace__ is None:
        prepare(task)
    return task.__trace__("1", arguments, {}, request)


def run_eagerly(task, *arguments):
    return task.apply(arguments, throw=True)


each_way = pytest.mark.parametrize("run", [run_eagerly, run_in_worker])


def open_holds():
    return [each for each in gc.get_objects() if type(each) is Hold and not each.is_closed]


@each_way
def test_all_of_a_task_belongs_to_it(case, app, run):
    def invoice():
        case.samples.take_in_pool("inside")

    run(registered(app, invoice))
    case.check()
    assert case.samples.places() == {"before", "inside", "after"}
    assert open_holds() == []


@pytest.mark.usefixtures("marks_alone")
@each_way
def test_stack_names_the_task(case, app, run):
    """It needs no label, which the sampler Stack does not read."""
    seen = []

    def invoice():
        seen.append((nearest_mark(), list(case.recorder.log)))

    run(registered(app, invoice))
    ((mark, labels),) = seen
    assert mark is not None
    assert labels == []


@each_way
def test_tasks_one_after_the_other(case, app, run):
    def invoice(where):
        case.samples.take(where)

    task = registered(app, invoice)
    for where in ("first", "second"):
        run(task, where)
        assert case.recorder.now() == {}
    first, second = case.profile_ids()
    assert case.samples.ids("first") == {first}
    assert case.samples.ids("second") == {second}
    assert case.samples.ids("after") == {first, second}


def leave_logging_alone(**_): ...


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_worker(case, app, pool):
    def invoice(number):
        case.samples.take_in_pool(f"invoice {number}")
        return number

    task = registered(app, invoice)
    # Without a receiver, the worker replaces the handlers and levels of all loggers.
    setup_logging.connect(leave_logging_alone)
    try:
        with start_worker(app, pool=pool, perform_ping_check=False, shutdown_timeout=30):
            answers = [task.delay(number) for number in range(3)]
            assert [answer.get(timeout=30) for answer in answers] == [0, 1, 2]
    finally:
        setup_logging.disconnect(leave_logging_alone)
        reset_worker_optimizations(app)
    ids = [case.samples.ids(f"invoice {number}") for number in range(3)]
    assert all(len(each) == 1 for each in ids)
    # A worker with several threads runs them in any order.
    assert set().union(*ids) <= set(case.profile_ids())
    assert len(set().union(*ids)) == 3


@each_way
def test_worker_started_before_the_hook(case, app, run):
    """The first span processor is made in `worker_process_init`."""

    def invoice():
        case.samples.take("inside")

    following.remove()
    try:
        task = registered(app, invoice)
        prepare(task)
        tracer = task.__trace__
    finally:
        following.install()
    run(task)
    case.check()
    ours = vars(Task)["__trace__"]
    following.remove()
    try:
        assert task.__trace__ is tracer
        assert Task.__trace__ is None
        # Another tool may have wrapped it in the meantime.
        assert ours.__get__(task) is tracer
    finally:
        following.install()


@pytest.mark.parametrize("is_named", [True, False])
def test_eager_task_in_a_request(case, app, is_named):
    """It is part of the request, whether or not the root span has started."""

    def invoice():
        case.samples.take("task")

    def request():
        case.samples.take("before")
        if is_named:
            with tracer.start_as_current_span("GET /"):
                task.delay()
                case.samples.take("view")
        else:
            task.delay()
            with tracer.start_as_current_span("GET /"):
                case.samples.take("view")
        case.samples.take("after")

    app.conf.task_always_eager = True
    task = registered(app, invoice)
    tracer = case.provider.get_tracer("tests")
    hold = hold_request({})
    run_held(hold, request)
    release(hold)
    if is_named:
        case.check()
    else:
        # The task's own root span starts before the request has one.
        own, requests = case.profile_ids()
        assert case.samples.ids("task") == {own}
        assert case.samples.ids("view") == {requests}
        assert hold.profile_id == requests
    assert open_holds() == []


def test_eager_task_in_a_task(case, app):
    def invoice():
        case.samples.take("inside")

    def order():
        inner.apply()
        case.samples.take("inside")

    inner = registered(app, invoice)
    run_in_worker(registered(app, order))
    case.check()


def test_each_try_of_an_eager_task_has_its_own_profile(case, app):
    def invoice(task):
        case.samples.take(f"try {task.request.retries}")
        if task.request.retries < 2:
            raise task.retry(countdown=0)

    registered(app, invoice, bind=True).apply()
    tries = [case.samples.ids(f"try {number}") for number in range(3)]
    assert tries == [{profile_id} for profile_id in case.profile_ids()]
    assert len(tries) == 3


@each_way
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, Reject, Ignore])
def test_task_that_raises(case, app, run, error):
    def invoice():
        case.samples.take("inside")
        raise error

    task = registered(app, invoice)
    if issubclass(error, Ignore | Reject):
        run(task)
    else:
        with pytest.raises(error):
            run(task)
    case.check()
    assert open_holds() == []


def test_unsampled_task(case):
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(PyroscopeSpanProcessor())

    def invoice():
        case.samples.take("inside")

    with traced_celery(provider, case.samples.take) as app:
        run_in_worker(registered(app, invoice))
    assert case.samples.ids() == {None}


# RQ


def test_rq_job(case):
    class Shop:
        def invoice(self, number):
            case.samples.take("before")
            with case.provider.get_tracer("tests").start_as_current_span("invoice"):
                case.samples.take_in_pool("inside")
            case.samples.take("after")
            return number

    job = Job.create(Shop().invoice, args=(7,), connection=Redis())
    assert job.perform() == 7
    case.check()
    assert open_holds() == []

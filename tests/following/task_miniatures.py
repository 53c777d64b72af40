"""Small cases that come out wrong if a task is not held at its edge.

In each, code of the task runs after its root span has ended.
"""

from __future__ import annotations

from celery.app.trace import build_tracer
from redis import Redis
from rq.job import Job

from tests.following.celery_app import traced_celery
from tests.following.edge_miniatures import Provider, has_owner


def invoice():
    """Do nothing: the sample is taken after it."""


def celerys_eager_task(tracer, now):
    seen = []
    with traced_celery(Provider(tracer), lambda where: seen.append((where, now()))) as app:
        app.task(invoice, shared=False).apply()
    return has_owner([name for where, name in seen if where == "after"])


def celerys_task_in_a_worker(tracer, now):
    seen = []
    with traced_celery(Provider(tracer), lambda where: seen.append((where, now()))) as app:
        task = app.tasks[app.task(invoice, shared=False).name]
        task.__trace__ = build_tracer(task.name, task, app=app, eager=True)
        task.__trace__("1", (), {})
    return has_owner([name for where, name in seen if where == "after"])


def rqs_job(tracer, now):
    seen = []

    class Shop:
        def invoice(self):
            with tracer.start_as_current_span("invoice"):
                pass
            seen.append(now())

    Job.create(Shop().invoice, connection=Redis()).perform()
    return has_owner(seen)


MINIATURES = [
    ("CeleryTasks", "apply", celerys_eager_task),
    ("CeleryTasks", "__trace__", celerys_task_in_a_worker),
    ("RqJobs", "perform", rqs_job),
]

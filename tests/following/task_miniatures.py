"""What comes out wrong where a task is not held from its edge, as small as can be.

In each, code of the task runs where its root span has ended.
"""

from __future__ import annotations

from celery.app.trace import build_tracer
from redis import Redis
from rq.job import Job

from tests.following.celery_app import traced_celery
from tests.following.edge_miniatures import Provider, is_somebody


def invoice():
    """Do nothing: what is looked at comes after."""


def celerys_eager_task(tracer, now):
    seen = []
    with traced_celery(Provider(tracer), lambda where: seen.append((where, now()))) as app:
        app.task(invoice, shared=False).apply()
    return is_somebody([name for where, name in seen if where == "after"])


def celerys_task_in_a_worker(tracer, now):
    seen = []
    with traced_celery(Provider(tracer), lambda where: seen.append((where, now()))) as app:
        task = app.tasks[app.task(invoice, shared=False).name]
        task.__trace__ = build_tracer(task.name, task, app=app, eager=True)
        task.__trace__("1", (), {})
    return is_somebody([name for where, name in seen if where == "after"])


def rqs_job(tracer, now):
    seen = []

    class Shop:
        def invoice(self):
            with tracer.start_as_current_span("invoice"):
                pass
            seen.append(now())

    Job.create(Shop().invoice, connection=Redis()).perform()
    return is_somebody(seen)


MINIATURES = [
    ("CeleryTasks", "apply", celerys_eager_task),
    ("CeleryTasks", "__trace__", celerys_task_in_a_worker),
    ("RqJobs", "perform", rqs_job),
]

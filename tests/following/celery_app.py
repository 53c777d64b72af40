"""A Celery application whose queue is in memory, traced by contrib's instrumentation."""

from __future__ import annotations

from contextlib import contextmanager

from celery import Celery
from celery.signals import task_postrun, task_prerun
from opentelemetry.instrumentation.celery import CeleryInstrumentor


@contextmanager
def traced_celery(provider, take):
    """Yield an application that calls `take` before each task's root span and after it."""

    def before(**_):
        take("before")

    def after(**_):
        take("after")

    app = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    # Receivers are called in the order they are connected.
    task_prerun.connect(before)
    CeleryInstrumentor().instrument(tracer_provider=provider)
    task_postrun.connect(after)
    try:
        yield app
    finally:
        CeleryInstrumentor().uninstrument()
        task_prerun.disconnect(before)
        task_postrun.disconnect(after)
        app.close()

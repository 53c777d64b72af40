"""A Celery application whose queue is in memory, traced by contrib's instrumentation."""

from __future__ import annotations

from contextlib import contextmanager

from celery import Celery
from celery.signals import task_postrun, task_prerun
from opentelemetry.instrumentation.celery import CeleryInstrumentor


@contextmanager
def traced_celery(provider, around=None):
    """Give an application; `around` is called before a task's root span starts and when it ended."""

    def call_around(**_):
        around()

    app = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    # Receivers are called in the order in which they are connected.
    if around is not None:
        task_prerun.connect(call_around, weak=False)
    CeleryInstrumentor().instrument(tracer_provider=provider)
    if around is not None:
        task_postrun.connect(call_around, weak=False)
    try:
        yield app
    finally:
        CeleryInstrumentor().uninstrument()
        task_prerun.disconnect(call_around)
        task_postrun.disconnect(call_around)
        app.close()

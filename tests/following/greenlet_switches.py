"""Greenlets, as gevent makes them."""

from __future__ import annotations

import contextvars

import greenlet


def new_greenlet(function):
    """Make a greenlet that starts with an empty context, as gevent's do."""
    made = greenlet.greenlet(function)
    made.gr_context = contextvars.Context()
    return made


def back():
    """Switch to the parent greenlet."""
    return greenlet.getcurrent().parent.switch()


def switches(tracer, now):
    """Switch between two greenlets; return what was right in each, and between them."""

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

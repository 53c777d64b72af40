"""Following a span's new name."""

from __future__ import annotations

import threading

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

pytestmark = pytest.mark.usefixtures("nothing_stays_attached")


def test_renamed_root(tracer, now, recorder):
    """Scenario 32: the id stays, and the labels removed are those that were added."""
    with tracer.start_as_current_span("GET") as root:
        before = recorder.now()
        root.update_name("GET /users/{id}")
        assert now() == "GET /users/{id}"
        assert recorder.now()["span_id"] == before["span_id"]
        with tracer.start_as_current_span("child"):
            root.update_name("GET /items/{id}")
            assert now() == "GET /items/{id}"
        assert now() == "GET /items/{id}"
    assert now() is None


def test_root_renamed_to_the_same_name(tracer, now):
    with tracer.start_as_current_span("root") as root:
        root.update_name("root")
        assert now() == "root"
    assert now() is None


def test_renamed_child(tracer, now):
    """Scenario 32: the root span's name counts."""
    with tracer.start_as_current_span("root"), tracer.start_as_current_span("child") as child:
        child.update_name("renamed")
        assert now() == "root"


def test_root_renamed_while_another_root_is_current(tracer, now):
    """Scenario 32: from its next switch on."""
    one = tracer.start_span("one")
    with tracer.start_as_current_span("two", otel_context.Context()):
        one.update_name("renamed")
        assert now() == "two"
    with trace.use_span(one, end_on_exit=True):
        assert now() == "renamed"


def test_root_renamed_on_another_thread(tracer, now, attribution):
    """Scenario 32: a sample has its root span's last name, whichever thread set it."""
    with tracer.start_as_current_span("root") as root:
        thread = threading.Thread(target=root.update_name, args=("renamed",))
        thread.start()
        thread.join()
        # A label changes at the thread's next switch.
        assert now() == ("renamed" if attribution == "stack" else "root")
        with tracer.start_as_current_span("child"):
            assert now() == "renamed"
    assert now() is None


def test_root_renamed_after_its_end(tracer, now):
    """OpenTelemetry warns of it, and the name stays."""
    root = tracer.start_span("root")
    root.end()
    root.update_name("late")
    with trace.use_span(root):
        assert now() is None


def test_root_renamed_to_a_raw_path(tracer, now):
    """Choice 7: each label value makes its own series on the server."""
    attributes = {"url.path": "/users/7", "http.request.method": "GET"}
    with tracer.start_as_current_span("GET", attributes=attributes) as root:
        root.update_name("GET /users/7")
        assert now() == "GET"
        root.set_attribute("http.route", "/users/{id}")
        root.update_name("GET /users/{id}")
        assert now() == "GET /users/{id}"

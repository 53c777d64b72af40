"""Which spans are local root spans, and which root span others belong to."""

from __future__ import annotations

import copy

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor

from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE
from tests.support.spans import own_id, profile_id, remote_parent


def test_span_without_a_parent_is_a_root(tracer, recorder, now):
    with tracer.start_as_current_span("root") as root:
        assert now() == "root"
        assert profile_id(root) == own_id(root) == recorder.now()["span_id"]
    assert now() is None


def test_child_span_belongs_to_its_root(tracer, now):
    with tracer.start_as_current_span("root"):
        with tracer.start_as_current_span("child") as child:
            assert now() == "root"
            assert profile_id(child) is None
            with tracer.start_as_current_span("grandchild") as grandchild:
                assert now() == "root"
                assert profile_id(grandchild) is None
        assert now() == "root"
    assert now() is None


def test_span_with_a_remote_parent_is_a_root(tracer, now):
    """Scenario 34: the request enters this process there."""
    token = otel_context.attach(remote_parent())
    assert now() is None
    with tracer.start_as_current_span("root") as root:
        assert root.context.trace_id == 7
        assert profile_id(root) == own_id(root)
        assert now() == "root"
    assert now() is None
    otel_context.detach(token)


def test_span_with_a_current_remote_parent_inside_a_root_is_a_root(tracer, now):
    """Scenario 35: a process that calls itself, without a network in between."""
    with tracer.start_as_current_span("client") as client:
        context = trace.SpanContext(
            client.context.trace_id,
            client.context.span_id,
            is_remote=True,
            trace_flags=client.context.trace_flags,
        )
        remote = trace.set_span_in_context(trace.NonRecordingSpan(context))
        token = otel_context.attach(remote)
        assert now() is None
        with tracer.start_as_current_span("server") as server:
            assert server.context.trace_id == client.context.trace_id
            assert profile_id(server) == own_id(server)
            assert now() == "server"
        assert now() is None
        otel_context.detach(token)
        assert now() == "client"


def test_span_with_a_remote_parent_given_inside_a_root_is_a_root(tracer, now):
    """Scenario 35: the same, and the parent is not current."""
    with tracer.start_as_current_span("client") as client:
        context = trace.SpanContext(
            client.context.trace_id,
            client.context.span_id,
            is_remote=True,
            trace_flags=client.context.trace_flags,
        )
        remote = trace.set_span_in_context(trace.NonRecordingSpan(context))
        with tracer.start_as_current_span("server", remote) as server:
            assert profile_id(server) == own_id(server)
            assert now() == "server"
        assert now() == "client"
    assert now() is None


def test_two_roots_of_one_trace_are_separate(tracer, now):
    """Scenario 35: both are open at once, with the same remote parent."""
    one = tracer.start_span("one", remote_parent())
    two = tracer.start_span("two", remote_parent())
    assert one.context.trace_id == two.context.trace_id
    for _ in range(2):
        with trace.use_span(one):
            assert now() == "one"
            with trace.use_span(two):
                assert now() == "two"
            assert now() == "one"
    one.end()
    with trace.use_span(two):
        assert now() == "two"
    two.end()
    assert now() is None


def test_child_of_an_ended_root_is_a_root(tracer, now):
    """Scenario 10: a keep-alive connection passes on the span of the previous request."""
    with tracer.start_as_current_span("first", end_on_exit=False) as first:
        first.end()
        assert now() is None
        with tracer.start_as_current_span("second") as second:
            assert second.parent.span_id == first.context.span_id
            assert profile_id(second) == own_id(second)
            assert now() == "second"
        assert now() is None


def test_child_of_an_ended_child_belongs_to_the_open_root(tracer, now):
    """Scenario 30: the grandchild still has its root span."""
    with tracer.start_as_current_span("root"):
        with tracer.start_as_current_span("child", end_on_exit=False) as child:
            child.end()
            assert now() == "root"
            with tracer.start_as_current_span("grandchild") as grandchild:
                assert profile_id(grandchild) is None
                assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_child_of_an_open_child_belongs_to_the_ended_root(tracer, now):
    """Choice 1: work that a request left running belongs to it while its own span is open."""
    root = tracer.start_span("root")
    with tracer.start_as_current_span("child", trace.set_span_in_context(root)):
        root.end()
        assert now() == "root"
        with tracer.start_as_current_span("grandchild") as grandchild:
            assert profile_id(grandchild) is None
            assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_given_parent_counts_and_not_the_current_span(tracer, now):
    one = tracer.start_span("one")
    with tracer.start_as_current_span("two"):
        child = tracer.start_span("child", trace.set_span_in_context(one))
        assert now() == "two"
        with trace.use_span(child, end_on_exit=True):
            assert now() == "one"
        with tracer.start_as_current_span("three", otel_context.Context()):
            assert now() == "three"
        assert now() == "two"
    one.end()
    assert now() is None


def test_root_that_is_not_current_has_no_samples(tracer, now):
    """Scenario 29: it has the attribute, and no code runs under it."""
    root = tracer.start_span("root")
    assert profile_id(root) == own_id(root)
    assert now() is None
    root.end()
    assert now() is None


def test_ended_root_that_is_still_current_has_no_samples(tracer, now):
    """Scenario 30: a background task after the response."""
    with tracer.start_as_current_span("root", end_on_exit=False) as root:
        assert now() == "root"
        root.end()
        assert now() is None
        # And after any later switch.
        with trace.use_span(root):
            assert now() is None


def test_ended_root_has_no_samples_without_another_processor(make_tracer, now):
    """Scenario 30: an exporter's own switches would hide a missing one."""
    tracer = make_tracer(PyroscopeSpanProcessor())
    with tracer.start_as_current_span("root", end_on_exit=False) as root:
        root.end()
        assert now() is None


def test_consumer_root_inside_another_root(tracer, now):
    """Scenario 33: a message handled inside a span has its own root span, which links to it."""
    with tracer.start_as_current_span("poll") as poll:
        with tracer.start_as_current_span(
            "message",
            otel_context.Context(),
            kind=trace.SpanKind.CONSUMER,
            links=[trace.Link(poll.get_span_context())],
        ) as message:
            assert profile_id(message) == own_id(message)
            assert now() == "message"
        assert now() == "poll"
    assert now() is None


def test_attribute_is_exported(tracer, exporter):
    with tracer.start_as_current_span("root"), tracer.start_as_current_span("child"):
        pass
    child, root = exporter.get_finished_spans()
    assert dict(root.attributes) == {PROFILE_ID_ATTRIBUTE: own_id(root)}
    assert dict(child.attributes) == {}


# More than one provider or processor


def test_two_providers_share_one_root(make_tracer, now):
    one, two = make_tracer(PyroscopeSpanProcessor()), make_tracer(PyroscopeSpanProcessor())
    with one.start_as_current_span("one"):
        with two.start_as_current_span("two") as child:
            assert profile_id(child) is None
            assert now() == "one"
        with two.start_as_current_span("other", otel_context.Context()) as other:
            assert profile_id(other) == own_id(other)
            assert now() == "other"
        assert now() == "one"
    assert now() is None


@pytest.mark.usefixtures("labels_only")
def test_second_processor_changes_nothing(make_tracer, recorder, now):
    tracer = make_tracer(PyroscopeSpanProcessor(), PyroscopeSpanProcessor(["span_id"], "all"))
    recorder.log.clear()
    with tracer.start_as_current_span("root") as root:
        assert now() == "root"
        assert profile_id(root) == own_id(root)
        with tracer.start_as_current_span("child") as child:
            assert profile_id(child) is None
            assert now() == "root"
    assert [change for change, _, _ in recorder.log] == ["add", "add", "remove", "remove"]


def test_processors_that_run_in_a_thread_pool(make_tracer, now):
    """The SDK's concurrent processor calls `on_start` on another thread."""
    concurrent = ConcurrentMultiSpanProcessor(2)
    tracer = make_tracer(PyroscopeSpanProcessor(), active_span_processor=concurrent)
    with tracer.start_as_current_span("root") as root:
        assert profile_id(root) == own_id(root)
        assert now() == "root"
        with tracer.start_as_current_span("child") as child:
            assert profile_id(child) is None
            assert now() == "root"
        assert now() == "root"
    assert now() is None


# Labels and scope


@pytest.mark.parametrize(
    ("span_labels", "keys"),
    [
        (("span_id",), ["span_id"]),
        (["span_id", "span_name"], ["span_name", "span_id"]),
        (["span_id", "trace_id"], ["trace_id", "span_id"]),
        (iter(["trace_id", "span_id", "span_name"]), ["span_name", "trace_id", "span_id"]),
        ({"span_name"}, ["span_name"]),
    ],
)
@pytest.mark.parametrize("attribution", ["stack", "thread"])
def test_chosen_span_labels_are_on_the_sample(
    make_tracer, recorder, span_labels, keys, attribution
):
    """Scenario 49: `span_id` comes last, whatever the order."""
    tracer = make_tracer(PyroscopeSpanProcessor(copy.copy(span_labels)))
    recorder.log.clear()
    with tracer.start_as_current_span("root") as root:
        values = {
            "span_id": own_id(root),
            "span_name": "root",
            "trace_id": format(root.context.trace_id, "032x"),
        }
        assert recorder.now() == {key: values[key] for key in keys}
        if attribution == "thread":
            assert recorder.log == [("add", key, values[key]) for key in keys]


def test_scope_all_gives_each_span_its_own_profile(make_tracer, now):
    tracer = make_tracer(PyroscopeSpanProcessor(scope="all"))
    with tracer.start_as_current_span("root") as root:
        assert now() == "root"
        with tracer.start_as_current_span("child") as child:
            assert now() == "child"
            assert profile_id(child) == own_id(child) != profile_id(root)
        assert now() == "root"
        with trace.use_span(child):
            assert now() is None
    assert now() is None


def test_scope_all_skips_unsampled_spans(make_tracer, by_name, now):
    tracer = make_tracer(PyroscopeSpanProcessor(scope="all"), sampler=by_name)
    with tracer.start_as_current_span("root"), tracer.start_as_current_span("child"):
        for name in ("dropped", "record only"):
            with tracer.start_as_current_span(name):
                assert now() == "child"


@pytest.mark.parametrize(
    "span_labels", [(), ["span_id", "profile_id"], "span_id", "", [""]], ids=repr
)
def test_unknown_span_labels_are_refused(span_labels):
    with pytest.raises(ValueError, match="expected one or more of span_id, span_name, trace_id"):
        PyroscopeSpanProcessor(span_labels)


def test_unknown_scope_is_refused():
    with pytest.raises(ValueError, match="scope='ALL': expected 'root' or 'all'"):
        PyroscopeSpanProcessor(scope="ALL")

"""Which spans are local roots, and what becomes of the spans below them."""

import copy
import gc
import threading
import tracemalloc

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
)

from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE
from tests.support.garbage import collected_by_hand
from tests.support.span_profiles import profile_of_span


class ByName(Sampler):
    """Decides by the span's name."""

    def should_sample(self, _parent_context, _trace_id, name, *_args, **_kwargs):
        decision = {
            "dropped": Decision.DROP,
            "record only": Decision.RECORD_ONLY,
        }.get(name, Decision.RECORD_AND_SAMPLE)
        return SamplingResult(decision)

    def get_description(self):
        return "ByName"


@pytest.fixture
def make_tracer(recorder):
    """Make a tracer of a provider of its own."""

    def make(*processors, **options):
        provider = TracerProvider(shutdown_on_exit=False, **options)
        for processor in processors:
            provider.add_span_processor(processor)
        providers.append(provider)
        return provider.get_tracer("tests")

    assert recorder.now() == {}
    providers = []
    yield make
    for provider in providers:
        provider.shutdown()


@pytest.fixture
def choosy(make_tracer):
    """A tracer that drops spans by their names."""
    return make_tracer(PyroscopeSpanProcessor(), sampler=ByName())


def profile_id(span):
    return (span.attributes or {}).get(PROFILE_ID_ATTRIBUTE)


def own_id(span):
    return format(span.context.span_id, "016x")


def remote_parent(*, sampled=True):
    flags = trace.TraceFlags.SAMPLED if sampled else trace.TraceFlags.DEFAULT
    context = trace.SpanContext(7, 8, is_remote=True, trace_flags=trace.TraceFlags(flags))
    return trace.set_span_in_context(trace.NonRecordingSpan(context), otel_context.Context())


# Local roots


def test_a_span_without_a_parent_is_a_root(tracer, recorder, now):
    with tracer.start_as_current_span("root") as root:
        assert now() == "root"
        assert profile_id(root) == own_id(root) == recorder.now()["span_id"]
    assert now() is None


def test_a_child_is_its_root_s(tracer, now):
    with tracer.start_as_current_span("root"):
        with tracer.start_as_current_span("child") as child:
            assert now() == "root"
            assert profile_id(child) is None
            with tracer.start_as_current_span("grandchild") as grandchild:
                assert now() == "root"
                assert profile_id(grandchild) is None
        assert now() == "root"
    assert now() is None


def test_a_remote_parent_makes_a_root(tracer, now):
    """Scenario 34: it is this process's entry."""
    token = otel_context.attach(remote_parent())
    assert now() is None
    with tracer.start_as_current_span("root") as root:
        assert root.context.trace_id == 7
        assert profile_id(root) == own_id(root)
        assert now() == "root"
    assert now() is None
    otel_context.detach(token)


def test_a_remote_parent_inside_a_root_makes_a_root(tracer, now):
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


def test_a_remote_parent_that_is_passed_on_inside_a_root(tracer, now):
    """Scenario 35: the same, where the parent is not made current."""
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


def test_two_roots_of_one_trace(tracer, now):
    """Scenario 35: both open at once, with the same remote parent."""
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


def test_a_child_of_an_ended_root_is_a_root(tracer, now):
    """Scenario 10: a keep-alive connection hands on the span of the request before."""
    with tracer.start_as_current_span("first", end_on_exit=False) as first:
        first.end()
        assert now() is None
        with tracer.start_as_current_span("second") as second:
            assert second.parent.span_id == first.context.span_id
            assert profile_id(second) == own_id(second)
            assert now() == "second"
        assert now() is None


def test_a_child_of_an_ended_child_is_the_open_root_s(tracer, now):
    """Scenario 30, converse: a child of it has not lost its root."""
    with tracer.start_as_current_span("root"):
        with tracer.start_as_current_span("child", end_on_exit=False) as child:
            child.end()
            assert now() == "root"
            with tracer.start_as_current_span("grandchild") as grandchild:
                assert profile_id(grandchild) is None
                assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_a_child_of_an_open_child_is_the_ended_root_s(tracer, now):
    """Choice 1: what a request left running belongs to it while its own span is open."""
    root = tracer.start_span("root")
    with tracer.start_as_current_span("child", trace.set_span_in_context(root)):
        root.end()
        assert now() == "root"
        with tracer.start_as_current_span("grandchild") as grandchild:
            assert profile_id(grandchild) is None
            assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_a_parent_that_is_passed_on_and_not_current(tracer, now):
    """The parent is the one in the given context, whatever is current."""
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


def test_a_root_that_is_not_current_has_no_samples(tracer, now):
    """Scenario 29: it has its attribute, and no code runs under it."""
    root = tracer.start_span("root")
    assert profile_id(root) == own_id(root)
    assert now() is None
    root.end()
    assert now() is None


def test_an_ended_root_that_is_still_current_has_no_samples(tracer, now):
    """Scenario 30: a background task after the response."""
    with tracer.start_as_current_span("root", end_on_exit=False) as root:
        assert now() == "root"
        root.end()
        assert now() is None
        # At any switch after it, too.
        with trace.use_span(root):
            assert now() is None


def test_an_ended_root_without_another_processor(make_tracer, now):
    """Scenario 30: an exporter's own switches are not there to help."""
    tracer = make_tracer(PyroscopeSpanProcessor())
    with tracer.start_as_current_span("root", end_on_exit=False) as root:
        root.end()
        assert now() is None


def test_a_consumer_s_root_inside_another(tracer, now):
    """Scenario 33: a message handled inside a span is its own, and links to it."""
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


def test_the_attribute_is_exported(tracer, exporter):
    with tracer.start_as_current_span("root"), tracer.start_as_current_span("child"):
        pass
    child, root = exporter.get_finished_spans()
    assert dict(root.attributes) == {PROFILE_ID_ATTRIBUTE: own_id(root)}
    assert dict(child.attributes) == {}


# Sampling


@pytest.mark.parametrize("name", ["dropped", "record only"])
def test_an_unsampled_root_has_no_samples(choosy, now, name):
    """Scenario 36."""
    with choosy.start_as_current_span(name) as root:
        assert profile_of_span(root) is None
        assert PROFILE_ID_ATTRIBUTE not in (getattr(root, "attributes", None) or {})
        assert now() is None
    assert now() is None


@pytest.mark.parametrize("name", ["dropped", "record only"])
def test_an_unsampled_root_is_not_the_enclosing_one_s(choosy, now, name):
    """Scenario 36: none, and not the enclosing root."""
    with choosy.start_as_current_span("root"):
        with choosy.start_as_current_span(name, otel_context.Context()):
            assert now() is None
        assert now() == "root"
    assert now() is None


@pytest.mark.parametrize("name", ["dropped", "record only"])
def test_an_unsampled_root_of_the_enclosing_one_s_trace(choosy, now, name):
    """Scenarios 35, 36: a process that calls itself, and samples for itself."""
    with choosy.start_as_current_span("client") as client:
        context = trace.SpanContext(client.context.trace_id, client.context.span_id, is_remote=True)
        remote = trace.set_span_in_context(trace.NonRecordingSpan(context))
        token = otel_context.attach(remote)
        with choosy.start_as_current_span(name):
            assert now() is None
        otel_context.detach(token)
        assert now() == "client"
    assert now() is None


@pytest.mark.parametrize("name", ["dropped", "record only"])
def test_an_unsampled_child_is_its_root_s(choosy, now, name):
    """Scenario 37."""
    with choosy.start_as_current_span("root"):
        with choosy.start_as_current_span(name) as child:
            assert now() == "root"
            assert PROFILE_ID_ATTRIBUTE not in (getattr(child, "attributes", None) or {})
            with choosy.start_as_current_span("grandchild") as grandchild:
                assert profile_id(grandchild) is None
                assert now() == "root"
            assert now() == "root"
        assert now() == "root"
    assert now() is None


@pytest.mark.parametrize("name", ["dropped", "record only"])
def test_a_child_of_an_unsampled_child_that_was_never_current(choosy, now, name):
    """Scenario 37: the parent is passed on."""
    with choosy.start_as_current_span("root"):
        child = choosy.start_span(name)
        grandchild = choosy.start_span("grandchild", trace.set_span_in_context(child))
        assert profile_id(grandchild) is None
        with trace.use_span(grandchild, end_on_exit=True):
            assert now() == "root"
        child.end()
    assert now() is None


def test_a_recorded_child_that_becomes_current_elsewhere(choosy, now):
    """Scenario 37: where nothing encloses it; it is its root's since its start."""
    with choosy.start_as_current_span("root"):
        child = choosy.start_span("record only")
        token = otel_context.attach(otel_context.Context())
        with trace.use_span(child, end_on_exit=True):
            assert now() == "root"
        assert now() is None
        otel_context.detach(token)
    assert now() is None


def test_a_request_that_is_not_sampled(make_tracer, now):
    """Scenario 36: the usual sampler, with a parent that says no."""
    tracer = make_tracer(PyroscopeSpanProcessor(), sampler=ParentBased(ALWAYS_OFF))
    with tracer.start_as_current_span("root"), tracer.start_as_current_span("child"):
        assert now() is None
    token = otel_context.attach(remote_parent(sampled=False))
    with tracer.start_as_current_span("root"):
        assert now() is None
    otel_context.detach(token)
    token = otel_context.attach(remote_parent(sampled=True))
    with tracer.start_as_current_span("root"):
        assert now() == "root"
    otel_context.detach(token)


# Spans that are not ours


class Wrapper(trace.Span):
    """A span in an object of another class, as some libraries hand it out."""

    def __init__(self, span):
        self._span = span

    def end(self, end_time=None):
        self._span.end(end_time)

    def get_span_context(self):
        return self._span.get_span_context()

    def set_attributes(self, attributes):
        self._span.set_attributes(attributes)

    def set_attribute(self, key, value):
        self._span.set_attribute(key, value)

    def add_event(self, name, attributes=None, timestamp=None):
        self._span.add_event(name, attributes, timestamp)

    def update_name(self, name):
        self._span.update_name(name)

    def is_recording(self):
        return self._span.is_recording()

    def set_status(self, status, description=None):
        self._span.set_status(status, description)

    def record_exception(self, *args, **kwargs):
        self._span.record_exception(*args, **kwargs)


def test_a_wrapped_span_is_its_root_s(tracer, now):
    """Scenario 37."""
    with tracer.start_as_current_span("root"):
        wrapped = Wrapper(tracer.start_span("child"))
        with trace.use_span(wrapped, end_on_exit=True):
            assert now() == "root"
            with tracer.start_as_current_span("grandchild") as grandchild:
                assert profile_id(grandchild) is None
                assert now() == "root"
            assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_a_foreign_provider_s_span_is_its_root_s(tracer, make_tracer, now):
    """Scenario 37."""
    foreign = make_tracer()
    with tracer.start_as_current_span("root"):
        with foreign.start_as_current_span("foreign"):
            assert now() == "root"
            with tracer.start_as_current_span("grandchild") as grandchild:
                assert profile_id(grandchild) is None
                assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_a_foreign_provider_s_root_has_no_samples(tracer, make_tracer, now):
    """A span in another trace is not part of the enclosing profile."""
    foreign = make_tracer()
    with tracer.start_as_current_span("root"):
        with foreign.start_as_current_span("foreign", otel_context.Context()):
            assert now() is None
        assert now() == "root"
    with foreign.start_as_current_span("foreign"):
        assert now() is None
    assert now() is None


def test_a_child_of_a_foreign_root_is_not_the_enclosing_one_s(tracer, make_tracer, now):
    """The foreign root is in another trace, and was never current."""
    foreign = make_tracer().start_span("foreign", otel_context.Context())
    with tracer.start_as_current_span("root"):
        with tracer.start_as_current_span("child", trace.set_span_in_context(foreign)) as child:
            assert profile_id(child) == own_id(child)
            assert now() == "child"
        assert now() == "root"
    foreign.end()


def test_a_span_without_a_provider_is_its_root_s(tracer, now):
    """Scenario 37: OpenTelemetry's own tracer that does nothing."""
    with tracer.start_as_current_span("root"):
        with trace.NoOpTracer().start_as_current_span("nothing"):
            assert now() == "root"
        assert now() == "root"
    assert now() is None


# More than one provider or processor


def test_two_providers_make_one_root(make_tracer, now):
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
def test_two_processors_are_one(make_tracer, recorder, now):
    """The first one decides."""
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


# What the labels are


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
def test_the_labels_that_were_chosen(make_tracer, recorder, span_labels, keys, attribution):
    """Scenario 49: with `span_id` last, whatever the order."""
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


def test_every_span_its_own(make_tracer, now):
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


def test_every_span_its_own_of_those_that_are_sampled(make_tracer, now):
    tracer = make_tracer(PyroscopeSpanProcessor(scope="all"), sampler=ByName())
    with tracer.start_as_current_span("root"), tracer.start_as_current_span("child"):
        for name in ("dropped", "record only"):
            with tracer.start_as_current_span(name):
                assert now() == "child"


@pytest.mark.parametrize(
    "span_labels", [(), ["span_id", "profile_id"], "span_id", "", [""]], ids=repr
)
def test_labels_that_do_not_exist(span_labels):
    with pytest.raises(ValueError, match="expected one or more of span_id, span_name, trace_id"):
        PyroscopeSpanProcessor(span_labels)


def test_a_scope_that_does_not_exist():
    with pytest.raises(ValueError, match="scope='ALL': expected 'root' or 'all'"):
        PyroscopeSpanProcessor(scope="ALL")


# No growth


def test_spans_that_never_end(tracer, recorder, now):
    """Scenario 31: labelled until detached, and gone with what refers to them."""

    def request():
        with tracer.start_as_current_span("root", end_on_exit=False):
            assert now() == "root"
            with tracer.start_as_current_span("child", end_on_exit=False):
                assert now() == "root"
        assert now() is None

    request()
    recorder.log.clear()
    with collected_by_hand():
        for _ in range(10_000):
            request()
            recorder.log.clear()
        assert gc.collect() == 0


def test_nothing_grows(make_tracer, recorder, now):
    """Scenarios 27, 31, 32: 100,000 roots, renamed, on a thousand threads that die labelled."""

    def requests():
        for number in range(100):
            root = tracer.start_span("root")
            otel_context.attach(trace.set_span_in_context(root))
            root.update_name(f"renamed {number}")
            names.add(now())
            if number < 99:
                root.end()
        recorder.log.clear()

    def threads(count):
        for _ in range(count):
            thread = threading.Thread(target=requests)
            thread.start()
            thread.join()
        assert recorder.left_behind() == {}
        recorder.on_thread.clear()

    tracer = make_tracer(PyroscopeSpanProcessor())
    names = set()
    threads(1)
    gc.collect()
    gc.disable()
    try:
        threads(949)
        assert gc.collect() == 0
        tracemalloc.start()
        # As many as CPython keeps of tuples that are gone, for those to come.
        threads(40)
        before, _ = tracemalloc.get_traced_memory()
        threads(10)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert names == {f"renamed {number}" for number in range(100)}
    # Anything kept for each of the thousand roots would be several times that.
    assert after - before < 8_000

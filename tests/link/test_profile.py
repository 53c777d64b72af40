"""A profile: its labels, how long it is open, and which names become labels."""

import gc
import weakref
from collections.abc import Mapping

import pytest
from opentelemetry.instrumentation import asgi, wsgi
from opentelemetry.sdk.trace import TracerProvider

from pyroscope_otel.link.profile import Profile, label_name
from pyroscope_otel.link.thread_labels import Labels


@pytest.fixture
def plain_tracer():
    """Return a tracer without our processor."""
    provider = TracerProvider(shutdown_on_exit=False)
    yield provider.get_tracer("tests")
    provider.shutdown()


# The name as a label value: a route may be one, a raw path never.


@pytest.mark.parametrize(
    ("name", "attributes", "label"),
    [
        ("checkout", {}, "checkout"),
        ("checkout", {"url.path": "/checkout"}, "checkout"),
        ("GET", {"url.path": "/users/7"}, "GET"),
        ("jobs/nightly", {}, "jobs/nightly"),
        ("/", {}, "/"),
        (
            "GET /users/{id}",
            {"http.route": "/users/{id}", "url.path": "/users/7"},
            "GET /users/{id}",
        ),
        ("GET /users", {"http.route": "/users", "url.path": "/users"}, "GET /users"),
        ("GET /users/7", {"url.path": "/users/7"}, "GET"),
        ("GET /users/7", {"http.target": "/users/7"}, "GET"),
        ("GET /users/7", {"http.target": "/users/7?page=2"}, "GET"),
        ("GET /a%20b", {"url.path": "/a%20b"}, "GET"),
        ("GET /a%20b", {"url.path": "/a b"}, "GET"),
        ("GET /100%25", {"url.path": "/100%2525"}, "GET"),
        ("GET to/users/7", {"url.path": "/users/7"}, "GET to"),
        ("HTTP/1.1 /users/7", {"url.path": "/users/7"}, "HTTP/1.1"),
        ("GET /", {"url.path": "/"}, "GET"),
        ("GET  /users/7", {"url.path": "/users/7"}, "GET"),
        ("/users/7", {"url.path": "/users/7", "http.request.method": "POST"}, "POST"),
        ("/users/7", {"url.path": "/users/7", "http.method": "PUT"}, "PUT"),
        ("/chat/7", {"url.path": "/chat/7"}, "HTTP"),
        # Renamed by hand to a name that is not the path.
        ("GET /users/{id}", {"url.path": "/users/7"}, "GET /users/{id}"),
        ("users/checkout", {"url.path": "/users/7"}, "users/checkout"),
        # The old attribute beside an empty new one, and a value that is not a path.
        ("GET /users/7", {"url.path": "", "http.target": "/users/7"}, "GET"),
        ("jobs/nightly", {"http.target": "?page=2"}, "jobs/nightly"),
        ("jobs/nightly", {"url.path": 7}, "jobs/nightly"),
    ],
)
def test_raw_path_never_becomes_a_label_value(plain_tracer, name, attributes, label):
    span = plain_tracer.start_span(name, attributes=attributes)
    assert label_name(span.name, span.attributes) == label


ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SERVER_NAME": "shop",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.url_scheme": "http",
}


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"PATH_INFO": "/users/7", "RAW_URI": "/users/7"}, id="gunicorn"),
        pytest.param({"PATH_INFO": "/users/7", "RAW_URI": "/users/7?page=2"}, id="query"),
        pytest.param({"PATH_INFO": "/users/7"}, id="wsgiref has no request target"),
        pytest.param(
            {"SCRIPT_NAME": "/shop", "PATH_INFO": "/users/7", "RAW_URI": "/shop/users/7"},
            id="mounted",
        ),
        pytest.param({"PATH_INFO": "/a b", "RAW_URI": "/a%20b"}, id="quoted"),
        pytest.param(
            {
                "PATH_INFO": "/caf\N{LATIN SMALL LETTER E WITH ACUTE}".encode().decode("latin-1"),
                "RAW_URI": "/caf%C3%A9",
            },
            id="quoted UTF-8",
        ),
        pytest.param(
            {"PATH_INFO": "/users/7", "RAW_URI": "http://shop/users/7"}, id="absolute target"
        ),
    ],
)
@pytest.mark.parametrize("conventions", list(wsgi._StabilityMode))
def test_path_from_the_wsgi_instrumentation_never_becomes_a_label_value(
    plain_tracer, environ, conventions
):
    environ = ENVIRON | environ
    span = plain_tracer.start_span(
        wsgi.get_default_span_name(environ),
        attributes=wsgi.collect_request_attributes(environ, conventions),
    )
    assert span.name.startswith("GET /")
    assert label_name(span.name, span.attributes) == "GET"


@pytest.mark.parametrize(
    ("scope", "label"),
    [
        ({"type": "http", "method": "GET", "path": "/users/7"}, "GET"),
        ({"type": "http", "method": "GET", "path": "/users/7", "query_string": b"page=2"}, "GET"),
        ({"type": "http", "method": "GET", "path": "/shop/users/7", "root_path": "/shop"}, "GET"),
        ({"type": "http", "method": "GET", "path": "/a b", "raw_path": b"/a%20b"}, "GET"),
        ({"type": "http", "method": "ODD", "path": "/users/7"}, "HTTP"),
        ({"type": "websocket", "path": "/chat/7"}, "HTTP"),
    ],
)
@pytest.mark.parametrize("conventions", list(asgi._StabilityMode))
def test_path_from_the_asgi_instrumentation_never_becomes_a_label_value(
    plain_tracer, scope, label, conventions
):
    scope = {"scheme": "http", "server": ("shop", 80), "headers": [], **scope}
    name, attributes = asgi.get_default_span_details(scope)
    attributes = asgi.collect_request_attributes(scope, conventions) | attributes
    span = plain_tracer.start_span(name, attributes=attributes)
    assert "/" in span.name
    assert label_name(span.name, span.attributes) == label


# Labels


def test_id_is_the_span_id_in_16_digits(plain_tracer):
    root = plain_tracer.start_span("root")
    profile = Profile(root, ("span_id",))
    assert len(profile.id) == 16
    assert int(profile.id, 16) == root.context.span_id
    assert profile.labels[0] == (("span_id", profile.id),)


@pytest.mark.parametrize("keys", [("span_name", "span_id"), ("span_name", "trace_id", "span_id")])
def test_labels_are_removed_in_reverse_order(plain_tracer, keys):
    """Scenario 49."""
    root = plain_tracer.start_span("root")
    profile = Profile(root, keys)
    values = {
        "span_name": "root",
        "trace_id": format(root.context.trace_id, "032x"),
        "span_id": profile.id,
    }
    on = tuple((key, values[key]) for key in keys)
    assert profile.span_labels() == on
    assert profile.labels == Labels(on, on[::-1])


def test_labels_are_the_same_object_until_the_root_is_renamed(plain_tracer):
    """Scenario 32: the id stays."""
    root = plain_tracer.start_span("root")
    profile = Profile(root, ("span_name", "span_id"))
    before = profile.labels
    assert profile.labels is before
    root.update_name("renamed")
    assert profile.labels is before
    profile.rename(root)
    assert profile.labels[0] == (("span_name", "renamed"), ("span_id", profile.id))


def test_only_the_root_names_the_profile(plain_tracer):
    root = plain_tracer.start_span("root")
    profile = Profile(root, ("span_name", "span_id"))
    before = profile.labels
    profile.rename(plain_tracer.start_span("child"))
    assert profile.labels is before


# While it is open


def test_profile_is_open_until_its_root_ends(plain_tracer):
    root = plain_tracer.start_span("root")
    profile = Profile(root, ("span_id",))
    assert profile.is_open()
    root.end()
    assert not profile.is_open()


def test_profile_is_open_while_it_is_held(plain_tracer):
    root = plain_tracer.start_span("root")
    profile = Profile(root, ("span_id",))
    profile.hold()
    profile.hold()
    root.end()
    assert profile.is_open()
    profile.release()
    assert profile.is_open()
    profile.release()
    assert not profile.is_open()


def test_released_profile_is_open_while_its_root_is(plain_tracer):
    root = plain_tracer.start_span("root")
    profile = Profile(root, ("span_id",))
    profile.hold()
    profile.release()
    assert profile.is_open()
    root.end()


def test_profile_does_not_keep_its_root_alive(plain_tracer):
    """Scenario 31: a root span that never ends is freed without the garbage collector."""
    root = plain_tracer.start_span("root")
    profile = Profile(root, ("span_id",))
    gone = weakref.ref(root)
    gc.disable()
    try:
        del root
        assert gone() is None
    finally:
        gc.enable()
    assert not profile.is_open()


def test_settled_profile_keeps_its_name_and_no_attributes(plain_tracer):
    attributes = {"url.path": "/users/7", "http.request.method": "GET"}
    span = plain_tracer.start_span("GET /users/7", attributes=attributes)
    profile = Profile(span, ("span_name",))

    def keeps_attributes():
        return any(isinstance(one, Mapping) for one in gc.get_referents(profile))

    profile.settle()
    assert keeps_attributes()
    span.end()
    profile.settle()
    assert not keeps_attributes()
    assert profile.span_labels() == (("span_name", "GET"),)

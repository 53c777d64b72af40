"""Checks that the symptoms in docs/troubleshooting.md are real."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from pyroscope_otel.tools.receiver import Receiver
from tests.examples.started import ROOT
from tests.support import child

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()

WORK = """
import pyroscope_otel
from opentelemetry import trace
pyroscope_otel.configure()
with trace.get_tracer("shop").start_as_current_span("request"):
    burn()
pyroscope_otel.shutdown()
trace.get_tracer_provider().shutdown()
"""


def output_of(code, **env):
    """Run code in a process and return its stdout and stderr."""
    redirected = "import os\nos.dup2(1, 2)\n"
    named = {"PYROSCOPE_APPLICATION_NAME": "shop", "PYROSCOPE_ENABLE_LOGGING": "true"}
    return "\n".join(child.run(redirected + code, env=named | env))


def message_like(pattern, **env):
    """Run the work until it prints a message that matches, and return the message.

    On a busy machine, the sampler may not have taken a sample before the work ends.
    """
    for _ in range(5):
        messages = output_of(WORK, **env)
        if found := re.findall(pattern, messages):
            (message,) = found
            return message
    raise AssertionError(f"no {pattern} in:\n{messages}")


def first_cells(section):
    """Return the first cell of each row of the section's tables."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return [row.split(" | ")[0].lstrip("| ") for row in re.findall(r"^\| .*$", text, re.MULTILINE)]


def row_of(section, message):
    """Return the first cell of the row for a message, or None; `...` matches anything."""
    for cell in first_cells(section):
        for code in re.findall(r"`([^`]+)`", cell):
            if re.search(".*".join(map(re.escape, code.split("..."))), message):
                return cell
    return None


def on_the_page(section, message):
    """Return whether the page has a row for a message."""
    return row_of(section, message) is not None


# `pyroscope.profile.id` is not on the spans


@pytest.fixture
def look():
    """Return a function that runs the page's code for the current span, and returns its output."""
    (code,) = re.findall(r"```python\n(from opentelemetry import trace\n.*?)```", PAGE, re.DOTALL)
    assert code.count("print(") == 1
    shown = []

    def look():
        exec(compile(code, "page", "exec"), {"print": lambda *shown_now: shown.append(shown_now)})  # noqa: S102  the page's code is under test
        return shown.pop()

    return look


def test_no_span(recorder, look):  # noqa: ARG001  it checks that no labels are left
    assert look() == (0, False, None)
    assert "`0 False None`" in first_cells("`pyroscope.profile.id` is not on the spans")


def test_unsampled_span(recorder, look):  # noqa: ARG001  same
    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("shop")
    with tracer.start_as_current_span("request"):
        number, *rest = look()
    assert number
    assert rest == [False, None]
    assert "a number, `False None`" in first_cells("`pyroscope.profile.id` is not on the spans")


def test_provider_without_the_processor(recorder, look):  # noqa: ARG001  same
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("shop")
    with tracer.start_as_current_span("request"):
        number, *rest = look()
    assert number
    assert rest == [True, None]
    assert "a number, `True None`" in first_cells("`pyroscope.profile.id` is not on the spans")


def test_child_span_shows_its_local_root(tracer, look):
    with tracer.start_as_current_span("request") as root, tracer.start_as_current_span("query"):
        number, *rest = look()
    local_root = trace.format_span_id(root.get_span_context().span_id)
    assert trace.format_span_id(number) != local_root
    assert rest == [True, local_root]
    cells = first_cells("`pyroscope.profile.id` is not on the spans")
    assert "a number, `True`, an id" in cells


# Profiles do not arrive


@pytest.fixture
def refusing(request):
    """Answer each push with a status. Yields the status and the URL."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(request.param)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield request.param, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("refusing", [302, 400, 401, 404, 413], indirect=True)
def test_server_refuses_profiles(refusing):
    status, url = refusing
    pattern = rf"Profiles are lost: {url} answers {status}.*"
    message = message_like(pattern, PYROSCOPE_SERVER_ADDRESS=url)
    assert str(status) in (row_of("Profiles do not arrive", message) or "")


@pytest.mark.parametrize("refusing", [500], indirect=True)
def test_server_fails(refusing):
    status, url = refusing
    for expected in (f"Cannot send profiles to {url}: it answers {status}", "Pushes of profiles"):
        message = message_like(rf"{expected}.*", PYROSCOPE_SERVER_ADDRESS=url)
        assert on_the_page("Profiles do not arrive", message)


def test_no_server():
    # Not port 9, for which `child.run` leaves the line out.
    message = message_like(
        r"Cannot send profiles to .*", PYROSCOPE_SERVER_ADDRESS="http://127.0.0.1:7"
    )
    assert on_the_page("Profiles do not arrive", message)


@pytest.mark.parametrize("refusing", [401], indirect=True)
def test_server_refuses_the_agent_in_direct_mode(refusing):
    """The agent then logs its own message."""
    status, url = refusing
    env = {"PYROSCOPE_SERVER_ADDRESS": url, "PYROSCOPE_ATTRIBUTION": "thread"}
    assert message_like(rf"Sending Session failed {status}", **env)
    assert f"`Sending Session failed {status}`" in PAGE


def test_server_takes_profiles():
    """The agent logs nothing; the library logs that it started the agent."""
    with Receiver() as receiver:
        quiet = output_of(WORK, PYROSCOPE_SERVER_ADDRESS=receiver.url)
        talking = output_of(
            "import logging\nlogging.basicConfig(level=logging.INFO)\n" + WORK,
            PYROSCOPE_SERVER_ADDRESS=receiver.url,
            PYROSCOPE_ENABLE_LOGGING="false",
        )
        assert receiver.profiles
    assert quiet == ""
    (message,) = re.findall(r"Pyroscope agent started .*", talking)
    assert on_the_page("Profiles do not arrive", message)


def test_application_has_its_own_agent():
    own = "import logging\nlogging.basicConfig(level=logging.INFO)\npyroscope.configure('own')\n"
    messages = output_of(own + WORK, PYROSCOPE_SERVER_ADDRESS="http://127.0.0.1:9")
    (message,) = re.findall(r"The application's own Pyroscope agent .*", messages)
    assert on_the_page("Profiles do not arrive", message)


# The profile of a span is empty


def test_names_differ():
    messages = output_of(
        WORK, OTEL_SERVICE_NAME="till", PYROSCOPE_SERVER_ADDRESS="http://127.0.0.1:9"
    )
    assert "Profiles have service_name 'shop', traces have service.name 'till'" in messages
    assert "`Profiles have service_name 'shop', traces have service.name 'till'`" in PAGE


def test_work_without_the_gil_is_sampled_with_gil_only_off():
    released = WORK.replace(
        "burn()",
        # Making the bytes holds the GIL.
        "import hashlib; given = bytes(8_000_000)\n"
        "    for _ in range(60): hashlib.sha256(given).digest()",
    )

    def sampled(gil_only):
        with Receiver() as receiver:
            output_of(released, PYROSCOPE_SERVER_ADDRESS=receiver.url, PYROSCOPE_GIL_ONLY=gil_only)
            samples = [sample for profile in receiver.profiles for sample in profile.samples]
        return sum(sample.value for sample in samples if sample.label("span_id"))

    assert sampled("false") > 2 * sampled("true")
    assert "`PYROSCOPE_GIL_ONLY=false`" in PAGE


# Traces do not arrive


def test_no_exporter():
    hidden = (
        "import sys\nsys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None\n"
    )
    messages = output_of(
        hidden + WORK,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        PYROSCOPE_SERVER_ADDRESS="http://127.0.0.1:9",
    )
    (message,) = re.findall(r"An OTLP endpoint is set.*", messages)
    assert on_the_page("Traces do not arrive", message)


@pytest.mark.parametrize("refusing", [401], indirect=True)
def test_server_refuses_traces(refusing):
    _, url = refusing
    messages = output_of(
        WORK, OTEL_EXPORTER_OTLP_ENDPOINT=url, PYROSCOPE_SERVER_ADDRESS="http://127.0.0.1:9"
    )
    (message,) = re.findall(r"Failed to export spans batch .*", messages)
    assert on_the_page("Traces do not arrive", message)


def test_no_server_for_traces():
    messages = output_of(
        WORK,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_EXPORTER_OTLP_TIMEOUT="3",
        PYROSCOPE_SERVER_ADDRESS="http://127.0.0.1:9",
    )
    message = re.findall(r"Transient error .*", messages)[0]
    assert on_the_page("Traces do not arrive", message)

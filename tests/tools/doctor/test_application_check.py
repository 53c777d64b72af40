"""The doctor's check of an application, which runs in its own process and gets requests.

For every finding there is an application that has the fault.
"""

from __future__ import annotations

import json
import re
import sys

import pytest

from pyroscope_otel.tools.doctor.bounded_http import send
from pyroscope_otel.tools.serve import LocalServer
from tests.tools.doctor.applications import (
    BUILT_BY_STARLETTE,
    BY_HAND,
    CONTRIB,
    FLASK,
    GLOBAL,
    MIDDLEWARE,
    PLAIN,
    PROVIDER,
)
from tests.tools.doctor.judging import codes, the_finding
from tests.tools.doctor.pyroscope_server import serving


def test_requests_of_the_doctor_are_not_listed(check, monkeypatch):
    with LocalServer(port=0, otlp_port=None) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=a")
        findings = check(PLAIN, MIDDLEWARE).findings
        assert "traces-accepted" in codes(findings)
        listed = json.loads(send(f"{server.url}/api/requests", headers={}).body)
        assert listed["requests"] == []


def test_correct_asgi_application(check, endpoint):
    work = """
import time
def work(path):
    assert path == "/work"
    end = time.thread_time() + 0.2
    while time.thread_time() < end:
        sum(range(1000))
"""
    checked = check(PLAIN, work, MIDDLEWARE, path="/work")
    assert codes(checked.findings) == [
        "app-one-local-root",
        "names-match",
        "app-profile",
        "traces-accepted",
        "app",
    ]
    assert f"to {endpoint}/v1/traces" in the_finding("traces-accepted", checked.findings).summary
    sampled = dict(checked.agent)
    assert sampled.pop("sampler") in ("pyspy", "stack")
    assert re.fullmatch(r"200, \d+ s ago", sampled.pop("last answer"))
    assert int(sampled["pushes taken"]) >= 1
    assert sampled == {
        "attribution": "by the stack: exact",
        "pushes taken": sampled["pushes taken"],
        "sent": sampled["pushes taken"],
        "waiting": "0 (0 bytes)",
        "dropped": "0",
        "sent without links": "0",
    }
    assert checked.arguments["application_name"] == "shop"
    assert checked.sources["application_name"] == "argument application_name"


@pytest.mark.usefixtures("endpoint")
def test_provider_made_at_start_up_and_flushed_at_shutdown(check):
    built = BUILT_BY_STARLETTE.replace("aplication", "application")
    found = codes(check(built, "@app.get('/')\ndef index(): return ''").findings)
    assert "traces-accepted" in found


@pytest.mark.usefixtures("endpoint")
def test_wsgi_factory_with_work_that_releases_the_gil(check, monkeypatch):
    # Stack samples such work.
    monkeypatch.setenv("PYROSCOPE_CPU_IMPLEMENTATION", "pyspy")
    index = """
import hashlib
def index():
    return hashlib.pbkdf2_hmac("sha256", b"x", b"y", 600_000)
"""
    for _ in range(5):
        checked = check(FLASK, index, app="shop:make_app()")
        if "app-profile" not in codes(checked.findings):
            break  # else the sampler has hit a moment with the GIL
    assert codes(checked.findings) == [
        "app-one-local-root",
        "names-match",
        "app-gil-released!",
        "traces-accepted",
    ]
    # The checks of the server need it.
    assert checked.arguments["auth_token"] == "t0ken"  # noqa: S105  not a secret


@pytest.mark.skipif(
    sys.version_info < (3, 11),
    reason="with gil_only=False the agent samples the waiting request as well; not yet understood",
)
def test_work_outside_the_request(check, monkeypatch):
    monkeypatch.setenv("PYROSCOPE_GIL_ONLY", "false")
    index = """
import threading, time
def burn():
    end = time.thread_time() + 0.3
    while time.thread_time() < end:
        sum(range(1000))
def index():
    thread = threading.Thread(target=burn)
    thread.start()
    thread.join()
    return ""
"""
    # A sample may hit the little work that the request does itself.
    assert any(
        "app-profile-empty!" in codes(check(FLASK, index, app="shop:make_app()").findings)
        for _ in range(5)
    )


def test_request_that_waits_and_provider_without_exporter(check):
    checked = check(
        FLASK, "import time\ndef index(): time.sleep(0.5); return ''", app="shop:make_app()"
    )
    *before, profile, exporter = codes(checked.findings)
    assert before == ["app-one-local-root", "names-match"]
    # A sample may hit the little work that it does.
    assert profile in ("app-profile-waiting", "app-profile")
    assert exporter == "traces-no-exporter!"


@pytest.mark.usefixtures("endpoint")
def test_remedies_for_the_applications_own_provider(check, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "till")
    alone = "\n".join(line for line in PROVIDER.splitlines() if "InMemory" not in line)
    till = MIDDLEWARE.replace("shop", "till")
    findings = check(alone, GLOBAL, PLAIN, till).findings
    assert {"names-differ!", "traces-no-exporter!"} <= set(codes(findings))
    assert (
        "resource that the application's code makes" in the_finding("names-differ", findings).remedy
    )
    remedy = the_finding("traces-no-exporter", findings).remedy
    assert remedy.startswith("If the application makes its tracer provider itself, add a Batch")


def test_set_up_by_hand_with_a_short_request(check):
    checked = check(PROVIDER, GLOBAL, BY_HAND, PLAIN, CONTRIB)
    found = codes(checked.findings)
    # On a busy machine even this request may have a sample.
    assert found.pop(3) in ("app-profile-short", "app-profile")
    assert found == [
        "app-agent-before-fork",
        "app-one-local-root",
        "names-match",
        "traces-stay-here",
        "app",
    ]
    assert checked.arguments == {
        "application_name": "shop",
        "server_address": "http://localhost:4040",
    }
    assert set(checked.sources.values()) == {"the application's call of pyroscope.configure"}


@pytest.mark.usefixtures("zero_code")
def test_with_zero_code_instrumentation(check, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    plain = (
        "from flask import Flask\napp = Flask('shop')\napp.add_url_rule('/', view_func=lambda: '')"
    )
    checked = check(plain)
    found = codes(checked.findings)
    # So short a request is rarely sampled.
    assert found.pop(2) in ("app-profile-short", "app-profile")
    assert found == ["app-one-local-root", "names-match", "traces-no-exporter!"]
    assert checked.sources["application_name"] == (
        "environment variable PYROSCOPE_APPLICATION_NAME"
    )


def test_refused_credentials_of_an_exporter_in_the_code(check):
    def refuse(_method, path, headers, _body):
        return (401, f"who is {headers['Authorization']} at {path}?"), ""

    with serving(refuse) as address:
        exporter = f"""
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(
    endpoint={address.replace("//", "//me:pa55word@") + "/v1/traces?key=k3yk3y"!r},
    headers={{"authorization": "Bearer t0ken-of-mine"}},
)))
"""
        findings = check(PROVIDER, exporter, GLOBAL, PLAIN, MIDDLEWARE).findings
    found = the_finding("traces-credentials-refused", findings)
    assert f"to {address.replace('//', '//***@')}/v1/traces?***" in found.summary
    assert found.detail.endswith("code: 401, reason: who is Basic *** at /v1/traces?***?")
    for secret in ("pa55word", "k3yk3y", "t0ken-of-mine"):
        assert secret not in repr(findings)


def test_names_differ_and_the_agent_ignores_labels(check):
    wrong = """
import pyroscope, sys, types
from pyroscope_otel import PyroscopeSpanProcessor
# No relay is started where uWSGI runs without threads.
sys.modules["uwsgi"] = types.SimpleNamespace(opt={"master": True})
provider = TracerProvider(resource=Resource({"service.name": "till", "service.namespace": "eu"}))
trace.set_tracer_provider(provider)
provider.add_span_processor(PyroscopeSpanProcessor())
pyroscope.configure("shop", cpu_implementation=pyroscope.ProfilerImplementation.Stack)
"""
    checked = check(PROVIDER, wrong, PLAIN, CONTRIB)
    assert {
        "app-stack-implementation!",
        "attribution-by-thread-labels",
        "names-differ!",
        "namespaces-differ!",
    } <= set(codes(checked.findings))
    assert checked.agent == {
        "sampler": "stack",
        "attribution": "by thread labels: right for turns of 20 ms, and wrong more often below",
    }


def test_no_processor_and_no_agent(check):
    findings = check(PROVIDER, GLOBAL, PLAIN, CONTRIB).findings
    assert codes(findings) == [
        "app-no-processor!",
        "app-no-agent!",
        "app-one-local-root",
        "traces-stay-here",
    ]


def test_processor_of_another_version(check):
    other = "class PyroscopeSpanProcessor:\n    on_start = on_end = shutdown = lambda *_: None\n"
    other += "provider.add_span_processor(PyroscopeSpanProcessor())"
    findings = check(PROVIDER, GLOBAL, other, PLAIN, CONTRIB).findings
    assert codes(findings)[:2] == ["app-processor-of-another-version!", "app-no-processor!"]
    assert "shop.PyroscopeSpanProcessor" in findings[0].summary


def test_processor_on_an_unused_provider(check):
    other = "provider = TracerProvider(resource=provider.resource)\n"
    findings = check(PROVIDER, BY_HAND, other, GLOBAL, PLAIN, CONTRIB).findings
    assert "app-processor-elsewhere!" in codes(findings)


def test_processor_added_too_late(check):
    late = """
def work(path):
    late = TracerProvider(resource=Resource({"service.name": "shop"}))
    with late.get_tracer("shop").start_as_current_span("GET /"):
        from pyroscope_otel import PyroscopeSpanProcessor
        late.add_span_processor(PyroscopeSpanProcessor())
"""
    assert "app-no-attribute!" in codes(check(PROVIDER, PLAIN, late).findings)


def test_two_instrumentations(check):
    own = """
from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
app = FastAPI()
FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
"""
    twice = """
outside = app
async def app(scope, receive, send):
    outer = provider.get_tracer("shop.outside").start_span("outside", kind=trace.SpanKind.SERVER)
    outer.end()
    await outside(scope, receive, send)
"""
    findings = check(PROVIDER, GLOBAL, BY_HAND, own, twice).findings
    found = the_finding("app-several-local-roots", findings)
    assert (
        "'outside' by shop.outside, 'GET' by opentelemetry.instrumentation.fastapi" in found.summary
    )
    assert "app-one-local-root" not in codes(findings)


def test_application_without_instrumentation(check):
    findings = check(PROVIDER, GLOBAL, BY_HAND, PLAIN).findings
    assert codes(findings) == ["app-agent-before-fork", "app-no-span!", "traces-stay-here"]


def test_no_provider(check):
    findings = check(
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return []"
    ).findings
    assert codes(findings) == ["app-no-provider!"]
    assert "opentelemetry-instrument pyroscope-otel doctor shop:app" in findings[0].remedy


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [("0", "sampler-drops-all!"), ("0.5", "sampler-drops-some")],
)
@pytest.mark.usefixtures("endpoint")
def test_sampler_that_drops(check, monkeypatch, ratio, expected):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    found = codes(check(PLAIN, MIDDLEWARE).findings)
    assert expected in found
    if ratio == "0":
        assert "traces-not-tried" in found


def test_sampler_that_keeps_one_trace_in_500(check):
    rarely = """
from itertools import count
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
class Rarely(Sampler):
    def __init__(self):
        self.traces = count(1)
    def should_sample(self, *given, **named):
        chosen = ALWAYS_OFF if next(self.traces) % 500 else ALWAYS_ON
        return chosen.should_sample(*given, **named)
    def get_description(self):
        return "Rarely"
"""
    rare = PROVIDER.replace("TracerProvider(", "TracerProvider(sampler=Rarely(), ")
    findings = check(rarely, rare, GLOBAL, PLAIN, MIDDLEWARE).findings
    # No finding about the agent: the first sampled request starts it.
    assert codes(findings) == ["sampler-drops-some", "traces-stay-here"]
    assert "drops 9980 of 10000 new traces" in findings[0].summary


def test_applications_own_agent_beside_our_settings(check):
    own = """
import pyroscope
pyroscope.configure(application_name="shop", server_address="http://elsewhere.example:4040")
"""
    checked = check(PROVIDER, GLOBAL, own, PLAIN, MIDDLEWARE)
    assert "names-match" in codes(checked.findings)
    # The doctor then checks the server of that agent.
    assert checked.arguments["server_address"] == "http://elsewhere.example:4040"
    assert set(checked.sources.values()) == {"the application's call of pyroscope.configure"}


def test_provider_with_an_unknown_exporter(check):
    unknown = """
from opentelemetry.sdk.trace import SpanProcessor
class Courier(SpanProcessor):
    pass
provider = TracerProvider(resource=provider.resource)
provider.add_span_processor(Courier())
trace.set_tracer_provider(provider)
"""
    findings = check(
        PROVIDER.replace("provider.add", "0 and provider.add"), unknown, PLAIN, CONTRIB
    ).findings
    assert "Courier" in the_finding("traces-exporter-unknown", findings).summary

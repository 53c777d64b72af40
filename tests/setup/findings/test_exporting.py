"""Exporters that the environment asks for, and exporters of a provider."""

from __future__ import annotations

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._configuration import _get_exporter_names, _import_exporters
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.setup.findings.exporting import (
    exporters_asked_for,
    exports_of,
    find_exporter,
    judge_exporting,
    judge_exports,
)
from pyroscope_otel.setup.findings.finding import Level

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
HTTP = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
BOTH = ("otlp_proto_http", "otlp_proto_grpc", "console")


def traces_exporter(names):
    return {"OTEL_TRACES_EXPORTER": names}


def asked(environ, installed=BOTH):
    return exporters_asked_for(environ, lambda name: name if name in installed else None)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (ENDPOINT, ["otlp_proto_http"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost/v1/traces"}, ["otlp_proto_http"]),
        (ENDPOINT | GRPC, ["otlp_proto_grpc"]),
        (
            ENDPOINT | GRPC | {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
            ["otlp_proto_http"],
        ),
        (traces_exporter("otlp"), ["otlp_proto_http"]),
        (traces_exporter("otlp") | GRPC, ["otlp_proto_grpc"]),
        (traces_exporter("otlp_proto_http"), ["otlp_proto_http"]),
        (traces_exporter("otlp_proto_http") | GRPC, ["otlp_proto_http"]),
        (traces_exporter("otlp_proto_grpc") | HTTP, ["otlp_proto_grpc"]),
        (traces_exporter("console"), ["console"]),
        (traces_exporter("console") | ENDPOINT, ["console"]),
        (traces_exporter("console, otlp ,console"), ["console", "otlp_proto_http"]),
        (traces_exporter(" ") | ENDPOINT, ["otlp_proto_http"]),
    ],
)
def test_exporters_that_are_asked_for_and_installed(environ, expected):
    found = asked(environ)
    assert [*found.exporters] == expected
    assert found.findings == []


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (["otlp_proto_grpc"], ["otlp_proto_grpc"]),
        (["otlp_proto_http", "otlp_proto_grpc"], ["otlp_proto_http"]),
    ],
)
def test_installed_exporter_is_taken_without_a_protocol(installed, expected):
    assert [*asked(ENDPOINT, installed).exporters] == expected


@pytest.mark.parametrize(
    ("environ", "installed", "code", "words"),
    [
        ({}, BOTH, "traces-no-endpoint", "No OTLP endpoint is set"),
        (traces_exporter("none"), BOTH, "traces-exporter-off", "'none': traces go nowhere."),
        (
            traces_exporter("None") | ENDPOINT,
            BOTH,
            "traces-exporter-off!",
            "though an OTLP endpoint is set.",
        ),
        (
            ENDPOINT,
            [],
            "traces-exporter-missing!",
            "http, or opentelemetry-exporter-otlp-proto-grpc with OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        ),
        (
            ENDPOINT | GRPC,
            ["otlp_proto_http"],
            "traces-exporter-missing!",
            "pip install opentelemetry-exporter-otlp-proto-grpc.",
        ),
        (
            traces_exporter("otlp_proto_http"),
            [],
            "traces-exporter-missing!",
            "OTEL_TRACES_EXPORTER is 'otlp_proto_http', but no OTLP exporter",
        ),
        (
            traces_exporter("zipkin"),
            BOTH,
            "traces-exporter-missing!",
            "OTEL_TRACES_EXPORTER asks for 'zipkin', and no exporter of this name is installed",
        ),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            BOTH,
            "traces-protocol-unknown!",
            "The OTLP protocol is set to 'http/json'",
        ),
    ],
)
def test_faults_of_the_exporters_asked_for(environ, installed, code, words):
    found = asked(environ, installed)
    (finding,) = found.findings
    assert finding.code + "!" * (finding.level is Level.PROBLEM) == code
    assert words in finding.line
    assert found.exporters == {}


def test_missing_exporter_does_not_stop_the_others():
    found = asked(traces_exporter("zipkin,console"))
    assert [*found.exporters] == ["console"]
    assert [one.code for one in found.findings] == ["traces-exporter-missing"]


@pytest.mark.parametrize(
    "environ",
    [
        traces_exporter("otlp") | HTTP,
        traces_exporter("otlp_proto_http"),
        traces_exporter("otlp_proto_http") | HTTP,
        traces_exporter("console, otlp_proto_http"),
        traces_exporter("none"),
    ],
)
def test_result_agrees_with_the_sdk(environ, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    of_the_sdk, *_ = _import_exporters(_get_exporter_names("traces"), [], [])
    assert exporters_asked_for(environ).exporters == of_the_sdk


def test_exporters_are_found_by_their_entry_points(monkeypatch):
    assert find_exporter("console") is ConsoleSpanExporter
    assert find_exporter("otlp_proto_http") is OTLPSpanExporter
    assert find_exporter("nix") is None
    # Installed, but without a package that it needs.
    monkeypatch.setitem(
        __import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None
    )
    assert find_exporter("otlp_proto_http") is None


# Exporters of a provider


class Courier(SpanProcessor):
    """A processor that may send spans, or not."""


def provider(*processors):
    made = TracerProvider(shutdown_on_exit=False)
    for one in (PyroscopeSpanProcessor(), *processors):
        made.add_span_processor(one)
    return made


def otlp(endpoint="http://me:sesame@traces.example/v1/traces?key=sesame"):
    return SimpleSpanProcessor(OTLPSpanExporter(endpoint=endpoint))


def console():
    return SimpleSpanProcessor(ConsoleSpanExporter())


@pytest.mark.parametrize(
    ("processors", "code", "words"),
    [
        (
            [otlp, console, Courier],
            "traces-exported",
            "Spans go by OTLPSpanExporter to http://***@traces.example/v1/traces?***.",
        ),
        ([console], "traces-stay-here", "The ConsoleSpanExporter shows spans"),
        ([console, Courier], "traces-exporter-unknown", "another span processor does: Courier."),
        ([], "traces-no-exporter", "The tracer provider has no exporter"),
    ],
)
def test_destinations_of_the_spans_of_a_provider(processors, code, words):
    (finding,) = judge_exporting(provider(*(make() for make in processors)), ENDPOINT)
    assert finding.code == code
    assert words in finding.summary


def test_provider_of_another_class():
    assert exports_of(object()) is None
    assert judge_exports(None) == []


def test_provider_still_to_be_made_exports_as_the_environment_asks():
    assert [one.code for one in judge_exporting(None, traces_exporter("zipkin"))] == [
        "traces-exporter-missing"
    ]

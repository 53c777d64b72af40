"""Pieces of source code, which tests combine into applications with a fault."""

from __future__ import annotations

PLAIN = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    work(scope["path"])
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})

def work(path):
    pass
"""
MIDDLEWARE = """
from pyroscope_otel.asgi import PyroscopeMiddleware
app = PyroscopeMiddleware(app, application_name="shop")
"""
BUILT_BY_STARLETTE = """
from fastapi import FastAPI
from pyroscope_otel.asgi import PyroscopeMiddleware
app = FastAPI()
app.add_middleware(PyroscopeMiddleware, aplication_name="shop")
"""
CONTRIB = """
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
app = OpenTelemetryMiddleware(app, exclude_spans=["receive", "send"])
"""
PROVIDER = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.resources import Resource
provider = TracerProvider(resource=Resource({"service.name": "shop"}))
provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
"""
BY_HAND = """
import pyroscope
from pyroscope_otel import PyroscopeSpanProcessor
provider.add_span_processor(PyroscopeSpanProcessor())
pyroscope.configure(application_name="shop", server_address="http://localhost:4040")
"""
GLOBAL = "trace.set_tracer_provider(provider)\n"
FLASK = """
from flask import Flask
from pyroscope_otel_flask import Pyroscope

def make_app():
    app = Flask("shop")
    app.config["PYROSCOPE_AUTH_TOKEN"] = "t0ken"
    app.add_url_rule("/", view_func=index)
    Pyroscope(app, application_name="shop")
    return app
"""

"""A real application with the real agent and the SDK's exporter, given only addresses."""

import os
import shutil
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
import pyroscope_otel
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
pyroscope_otel.configure(application_name="shop", upload_interval=1)
tracer = trace.get_tracer("shop")

def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(500))

def price_cart():
    burn(0.6)

def rank_results():
    burn(0.6)

for name, work in (("GET /cart", price_cart), ("GET /search", rank_results)):
    with tracer.start_as_current_span(name, kind=trace.SpanKind.SERVER):
        with tracer.start_as_current_span("inner"):
            work()
    # Only a label names the request here, and it is read a moment later than the stack.
    time.sleep(0.3)
provider.shutdown()
pyroscope_otel.shutdown()
"""


@pytest.fixture
def shop(client, shared_server):
    """Run the program and return its requests by route."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PYROSCOPE_"))}
    addresses = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": shared_server.otlp_url,
        "PYROSCOPE_SERVER_ADDRESS": shared_server.url,
    }
    subprocess.run([sys.executable, "-c", PROGRAM], env=clean | addresses, check=True, timeout=50)
    return {request["route"]: request for request in client.get("/api/requests")["requests"]}


def nodes(graph):
    found, rest = [], [graph["root"]]
    while rest:
        found.append(rest.pop())
        rest += found[-1]["children"]
    return found


def names(graph):
    return {node["name"] for node in nodes(graph)}


def test_each_request_has_its_own_flame_graph(shop, client):
    assert set(shop) == {"GET /cart", "GET /search"}
    for route, own, other in (
        ("GET /cart", "price_cart", "rank_results"),
        ("GET /search", "rank_results", "price_cart"),
    ):
        request = shop[route]
        assert request["service"] == "shop"
        assert request["samples"] > 0
        graph = client.get("/api/flamegraph", profile_id=request["profile_id"])
        assert graph["total_ns"] == request["cpu_ns"]
        assert {"<module>", own, "burn"} <= names(graph)
        assert other not in names(graph)
        trace = client.get(f"/api/requests/{request['profile_id']}")
        assert [span["name"] for span in trace["spans"]] == [route, "inner"]


@pytest.mark.timeout(600)  # Go compiles pprof when it first runs, half a minute of CPU time.
@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go's pprof")
def test_go_reads_the_download(shop, client, tmp_path):
    request = shop["GET /cart"]
    _, _, content = client.request("GET", f"/api/profiles/{request['profile_id']}.pprof")
    (tmp_path / "cart.pprof").write_bytes(content)
    done = subprocess.run(
        ["go", "tool", "pprof", "-top", tmp_path / "cart.pprof"],
        check=True,
        capture_output=True,
        text=True,
        timeout=550,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["Type:", "cpu"] in lines
    (price_cart,) = [line for line in lines if line[-1:] == ["price_cart"]]
    flat, cumulative = price_cart[0], price_cart[3]
    assert flat == "0"
    # Not the CPU time of the whole request: a sample may be outside of price_cart.
    graph = client.get("/api/flamegraph", profile_id=request["profile_id"])
    spent = sum(node["total_ns"] for node in nodes(graph) if node["name"] == "price_cart")
    assert cumulative in (f"{as_pprof(spent / 1e6)}ms", f"{as_pprof(spent / 1e9)}s")


def as_pprof(number):
    """Format a number as pprof's `-top` does: two decimals, or none if both are zero."""
    return f"{number:.2f}".removesuffix(".00")

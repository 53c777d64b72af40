"""`opentelemetry-instrument` and environment variables, without code, under real servers."""

from __future__ import annotations

import re
import shlex
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.attribution.burn import SLICE_VARIABLE, request_of
from tests.examples.started import ROOT, started

ORDERS = range(12)

ENVIRONMENT = {
    SLICE_VARIABLE: "50",
    "PYTHONPATH": str(Path.cwd()),
    "PYROSCOPE_APPLICATION_NAME": "shop",
    # Later than the test: every push comes from the graceful stop.
    "PYROSCOPE_UPLOAD_INTERVAL": "600s",
    "OTEL_SERVICE_NAME": "shop",
    # The default of the distribution is gRPC.
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    # Loading these takes seconds, and there is nothing to instrument.
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "celery,django",
}


def ask(server, app, path, workers=1):
    """Serve all orders under `opentelemetry-instrument`; return the spans and samples."""
    command = ["opentelemetry-instrument", *server, f"tests.real.unprepared_apps:{app}"]
    with (
        started(
            "tests/real/unprepared_apps.py", command=command, environment=ENVIRONMENT
        ) as running,
        ThreadPoolExecutor(4) as clients,
    ):
        # The master listens before its workers serve.
        serving = set()
        while len(serving) < workers:
            serving |= set(clients.map(running.get, ["/process"] * 4))
        answers = clients.map(lambda order: running.get(f"/{path}/{order}"), ORDERS)
        assert set(answers) == serving
    samples = [sample for profile in running.profiles for sample in profile.samples]
    return running.spans, samples


def check(spans, samples, path, name):
    """Check that most samples carry the id of the right request."""
    ids = {}
    for span in spans:
        target = span.attributes.get("http.target", "")
        if span.profile_id is not None and target != "/process":
            assert span.name == name
            assert span.profile_id == span.span_id
            assert span.resource["service.name"] == "shop"
            order = target.removeprefix(f"/{path}/")
            assert order not in ids
            ids[order] = span.profile_id
    assert set(ids) == set(map(str, ORDERS))

    burned = [(sample, request_of(sample)) for sample in samples]
    found = [
        (sample.label("span_id"), ids[str(order)], sample.value)
        for sample, order in burned
        if order is not None
    ]
    total = sum(value for *_, value in found)
    labelled = sum(value for label, _, value in found if label is not None)
    right = sum(value for label, own, value in found if label == own)
    assert right >= 0.97 * labelled
    assert right >= 0.95 * total
    assert {own for label, own, _ in found if label == own} == set(ids.values())


def test_flask_under_gunicorn_with_two_workers():
    spans, samples = ask(["gunicorn", "--workers", "2"], "flask_app", "plain", workers=2)
    check(spans, samples, "plain", "GET /plain/<int:order>")


def test_fastapi_under_uvicorn():
    spans, samples = ask(["uvicorn"], "fastapi_app", "async_plain")
    check(spans, samples, "async_plain", "GET /async_plain/{order}")


PAGE = (ROOT / "docs" / "zero-code.md").read_text()
ADDRESSES = {"PYROSCOPE_SERVER_ADDRESS", "OTEL_EXPORTER_OTLP_ENDPOINT"}


def test_documented_commands(tmp_path):
    (code,) = re.findall(r"```python\n(# shop\.py\n.*?)```", PAGE, re.DOTALL)
    (tmp_path / "shop.py").write_text(code)
    exports = re.findall(r"^export (.*)$", PAGE, re.MULTILINE)
    variables = dict(word.split("=", 1) for word in " ".join(exports).split())
    assert set(variables) > ADDRESSES
    environment = {name: variables[name] for name in set(variables) - ADDRESSES}
    (command,) = re.findall(r"^opentelemetry-instrument .*$", PAGE, re.MULTILINE)
    (path,) = re.findall(r"^curl localhost:8000(/.*)$", PAGE, re.MULTILINE)
    (name,) = re.findall(r"one root span, `([^`]+)`", PAGE)
    with started(
        None, command=shlex.split(command), folder=tmp_path, environment=environment
    ) as running:
        assert running.get(path) == b"199999990000000"
        link = running.link(name)
    assert "sum_up" in link.functions
    assert link.span.resource["service.name"] == link.profile_labels["service_name"] == "shop"


def test_documented_configuration_file(tmp_path):
    (code,) = re.findall(r"```python\n(# shop\.py\n.*?)```", PAGE, re.DOTALL)
    (file,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "shop.py").write_text(code)
    (tmp_path / "otel.yaml").write_text(file)
    (command,) = re.findall(r"^opentelemetry-instrument .*$", PAGE, re.MULTILINE)
    (variable,) = re.findall(r"`(OTEL_CONFIG_FILE=.*?)`", PAGE)
    environment = dict([variable.split("=")])
    with started(
        None, command=shlex.split(command), folder=tmp_path, environment=environment
    ) as running:
        assert running.get("/sum/20000000") == b"199999990000000"
        link = running.link("GET /sum/<int:limit>")
    assert link.span.resource["service.name"] == link.profile_labels["service_name"] == "shop"
    assert link.profile_labels["region"] == "eu"


def test_uvicorn_loses_the_last_samples_at_sigterm():
    """The page says so. If this fails, correct the page."""
    command = ["opentelemetry-instrument", "uvicorn", "tests.real.unprepared_apps:fastapi_app"]
    with started(None, command=command, environment=ENVIRONMENT, stop=signal.SIGTERM) as running:
        running.get("/async_plain/1")
    assert running.profiles == []

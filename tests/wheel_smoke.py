"""Tests the built wheel in an environment with nothing but its dependencies.

Run `python wheel_smoke.py` outside of the checkout. A failed assertion shows the fault.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import pathlib
import subprocess
import sys

import pyroscope
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pyroscope.otel import PyroscopeSpanProcessor

import pyroscope_otel

# The agent's package is complete, with our module in it.
assert pyroscope_otel.PyroscopeSpanProcessor is PyroscopeSpanProcessor
assert callable(pyroscope.configure)
assert "site-packages" in pyroscope_otel.__file__
assert pathlib.Path(pyroscope_otel.__file__).with_name("py.typed").exists()
installed = importlib.metadata.files("pyroscope-otel") or ()
files = {str(file) for file in installed if file.suffix != ".pyc"}
assert [file for file in files if file.startswith("pyroscope/")] == ["pyroscope/otel/__init__.py"]
# The command is outside of site-packages ("..").
assert {file.split("/")[0] for file in files if ".dist-info" not in file} - {".."} == {
    "pyroscope",
    "pyroscope_otel",
    "pyroscope_otel_django",
    "pyroscope_otel_flask",
}
assert "pyroscope_otel/tools/serve/page/index.html" in files
assert importlib.metadata.version("pyroscope-otel") == "2.0.0.dev0"

# No optional library was imported.
for library in ("uvloop", "anyio", "greenlet", "trio", "google.protobuf", "asgiref"):
    assert library not in sys.modules, library

# The core works without any extra.
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
provider.add_span_processor(PyroscopeSpanProcessor())
assert pyroscope.configure(application_name="smoke", server_address="http://127.0.0.1:9")
with provider.get_tracer("smoke").start_as_current_span("request") as span:
    profile_id = pyroscope_otel.current_profile_id()
    assert profile_id == format(span.get_span_context().span_id, "016x")
assert pyroscope_otel.current_profile_id() is None
(exported,) = exporter.get_finished_spans()
assert exported.attributes == {"pyroscope.profile.id": profile_id}

# The import error names the missing extra.
from pyroscope_otel.asgi import PyroscopeMiddleware as AsgiMiddleware  # noqa: E402
from pyroscope_otel.wsgi import PyroscopeMiddleware as WsgiMiddleware  # noqa: E402

for middleware, extra in ((AsgiMiddleware, "asgi"), (WsgiMiddleware, "wsgi")):
    try:
        middleware(lambda *_: None, application_name="smoke")
    except ImportError as error:
        package = f"opentelemetry-instrumentation-{extra}"
        assert f"pip install '{package}>=" in str(error), error  # noqa: PT017  same
    else:
        raise AssertionError(f"{extra} middleware was made without its extra")

# The command is installed with the core, and names the extra that it needs.
command = pathlib.Path(sys.executable).with_name("pyroscope-otel")
served = subprocess.run([command, "serve"], capture_output=True, text=True, check=False)
assert served.returncode == 1, served
assert "'starlette>=" in served.stderr, served

print("1 passed, 0 failed")

"""Runs a program under the real command `opentelemetry-instrument`, in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support import push_server

# The address of a server that takes each profile, once `run` has started it. Without one, a
# program that is sampled before it ends, as on a busy machine, logs a warning.
SERVER = "http://127.0.0.1:9"

PROFILED = {
    "PYROSCOPE_APPLICATION_NAME": "shop",
    "PYROSCOPE_SERVER_ADDRESS": SERVER,
    "OTEL_SERVICE_NAME": "shop",
}

# Finding and loading all instrumentations takes seconds, and most tests need none.
QUICK = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}

# A name that no distribution has: as if none was installed.
NO_DISTRO = {"OTEL_PYTHON_CONFIGURATOR": "none"}
NO_DISTRO_LOG = (
    "Configuration of configurator not loaded because none is set by OTEL_PYTHON_CONFIGURATOR"
)

PRELUDE = """
import json, sys
import pyroscope, pyroscope_otel
from opentelemetry import trace
from pyroscope_otel import following
from pyroscope_otel.setup import tracing
from pyroscope_otel.link.processor import PyroscopeSpanProcessor

def is_agent_running():
    "It takes labels, and only then."
    if not pyroscope.add_thread_tag("is", "running"):
        return False
    return pyroscope.remove_thread_tag("is", "running")

def is_linked():
    "Whether a root span carries the id that its samples have."
    with trace.get_tracer("test").start_as_current_span("root") as span:
        own = (getattr(span, "attributes", None) or {}).get("pyroscope.profile.id")
        return own is not None and own == pyroscope_otel.current_profile_id()

def is_hooked():
    "Whether anything of the process was changed."
    return any(hook.active for hook in following.HOOKS)

def processors():
    registered = tracing.span_processors(trace.get_tracer_provider())
    return sum(isinstance(one, PyroscopeSpanProcessor) for one in registered)

def say(**facts):
    print("said", json.dumps(facts))
"""


@dataclass(frozen=True)
class Run:
    """What a program printed and logged: one dict for each log record, one line for each print."""

    said: list[dict]
    log: list[str]


def run(code, environment, *, prelude=PRELUDE):
    """Run `code` under `opentelemetry-instrument`; fail if it fails."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYROSCOPE_", "OTEL_"))
    }
    command = Path(sys.executable).parent / "opentelemetry-instrument"
    with push_server.Server() as server:
        done = subprocess.run(
            [command, sys.executable, "-c", prelude + code],
            env={
                **inherited,
                "PYTHONPATH": str(Path.cwd()),
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                **{
                    name: server.url if value == SERVER else value
                    for name, value in environment.items()
                },
            },
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    # An exporter may print spans in between.
    said = [line for line in done.stdout.splitlines() if line.startswith("said ")]
    facts = [json.loads(line.removeprefix("said ")) for line in said]
    return Run(facts, done.stderr.splitlines())

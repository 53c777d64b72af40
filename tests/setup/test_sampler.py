"""Which of the agent's samplers is chosen."""

from __future__ import annotations

import sys
import types

import pyroscope
import pytest
import trio

from pyroscope_otel.setup import sampler
from pyroscope_otel.setup.settings import read_settings
from tests.adapters.asgi_variants import telemetry_of
from tests.support.child import run

needs_stack = pytest.mark.skipif(
    sys.version_info < (3, 12) or sys.platform != "linux",
    reason="Stack samples threads by their own clocks on Linux, from Python 3.12 on",
)


def chosen(*, holds_requests=True, **arguments):
    settings = read_settings(arguments, environ={})
    return sampler.choose(settings, holds_requests=holds_requests)


@pytest.fixture
def on_linux(monkeypatch):
    """Pretend to run on Linux and CPython 3.12, with a current agent."""
    monkeypatch.setattr(sampler, "stack_uses_thread_clocks", lambda: True)


@pytest.mark.usefixtures("on_linux")
def test_auto_is_stack_if_marks_name_every_sample():
    assert chosen() == "stack"
    assert chosen(mem_enabled=True) == "stack"


@pytest.mark.usefixtures("on_linux")
@pytest.mark.parametrize(
    "arguments",
    [
        {"attribution": "thread"},
        {"oncpu": False},
        {"cpu_enabled": False, "mem_enabled": True},
        {"cpu_implementation": "pyspy"},
    ],
)
def test_auto_is_pyspy_if_stack_has_less_detail(arguments):
    assert chosen(**arguments) == "pyspy"


@pytest.mark.usefixtures("on_linux")
def test_auto_is_pyspy_if_spans_are_made_current_by_hand():
    """In a consumer or script, only the thread's label names the span."""
    assert chosen(holds_requests=False) == "pyspy"
    assert chosen(holds_requests=False, cpu_implementation="stack") == "stack"


@pytest.mark.usefixtures("on_linux")
def test_auto_is_pyspy_on_trio():
    async def main():
        return chosen()

    assert trio.run(main) == "pyspy"


@pytest.mark.usefixtures("on_linux")
def test_auto_is_pyspy_in_uwsgi(monkeypatch):
    monkeypatch.setitem(sys.modules, "uwsgi", types.ModuleType("uwsgi"))
    assert chosen() == "pyspy"


@pytest.mark.usefixtures("on_linux")
def test_auto_is_pyspy_if_stack_ran_before(monkeypatch):
    monkeypatch.setattr(sampler._Process, "stack_has_run", True)
    assert chosen() == "pyspy"
    assert chosen(cpu_implementation="stack") == "stack"


def test_auto_is_pyspy_if_stack_has_no_thread_clocks(monkeypatch):
    monkeypatch.setattr(sampler, "stack_uses_thread_clocks", lambda: False)
    assert chosen() == "pyspy"


def test_this_python_version_is_known():
    expected = sys.platform == "linux" and sys.version_info >= (3, 12)
    assert sampler.stack_uses_thread_clocks() is expected


@pytest.mark.skipif(
    not hasattr(pyroscope, "ProfilerImplementation"), reason="this agent has one sampler"
)
def test_names_of_the_agent_constants():
    assert sampler.name_of(pyroscope.ProfilerImplementation.Stack) == "stack"
    assert sampler.name_of(pyroscope.ProfilerImplementation.PySpy) == "pyspy"
    assert sampler.name_of("stack") is None
    assert sampler.name_of(pyroscope.LineNo.First) is None


CONFIGURE = """
import pyroscope_otel
logging.getLogger("pyroscope_otel").addHandler(logging.StreamHandler(sys.stdout))
logging.getLogger("pyroscope_otel").setLevel("INFO")

def configure(**more):
    pyroscope_otel.configure(
        application_name="shop", server_address="http://127.0.0.1:9", start="now", **more
    )
"""


def samplers(lines):
    return [line.rpartition(" ")[2] for line in lines if "agent started" in line]


@needs_stack
def test_sampler_depends_on_what_starts_the_agent():
    """A root span by hand, or the first request or task held at its edge."""
    by_hand = """
pyroscope_otel.configure(application_name="shop", server_address="http://127.0.0.1:9")
from opentelemetry import trace
tracer = trace.get_tracer("test")
def request():
    with tracer.start_as_current_span("root"):
        pass
"""
    assert samplers(run(CONFIGURE + by_hand + "request()")) == ["pyspy"]
    held = """
from pyroscope_otel.link.held_request import hold_request, run_held
run_held(hold_request({}), request)
"""
    assert samplers(run(CONFIGURE + by_hand + held)) == ["stack"]
    task = """
from celery import Celery
Celery().task(request, shared=False).apply()
"""
    assert samplers(run(CONFIGURE + by_hand + task)) == ["stack"]


@needs_stack
def test_auto_is_stack_for_a_fastapi_that_traces_itself():
    """Its root span starts in FastAPI's own code, outside of Starlette's."""
    telemetry_of(None)  # Skips the test with an older FastAPI.
    program = """
pyroscope_otel.configure(application_name="shop", server_address="http://127.0.0.1:9")
import asyncio
from fastapi import FastAPI
from tests.support.asgi_server import Exchange, http
asyncio.run(FastAPI()(http(), *Exchange().ends))
"""
    assert samplers(run(CONFIGURE + program)) == ["stack"]


@needs_stack
def test_stack_reports_the_process_id():
    """As PySpy does. It is a label of the whole profile."""
    program = """
import gzip
from pyroscope_otel.pprof.messages import PushRequest
from tests.support.push_server import Server
with Server() as server:
    pyroscope_otel.configure(
        application_name="shop",
        server_address=server.url,
        cpu_implementation="stack",
        report_pid=True,
        tags={"region": "eu"},
        start="now",
    )
    burn()
    pyroscope_otel.shutdown()
for series in PushRequest.FromString(gzip.decompress(server.bodies[0])).series:
    labels = {label.name: label.value for label in series.labels}
    print(labels["region"], labels["pid"] == str(os.getpid()))
"""
    assert run("import pyroscope_otel\n" + program) == ["eu True"]


@needs_stack
def test_stack_first_and_pyspy_after_it():
    """The agent starts again after a stop, and in a forked child."""
    lines = run(
        CONFIGURE
        + """
from pyroscope_otel.setup import agent
agent.AGENT.holds_requests = True
configure()
pyroscope_otel.shutdown()
configure()
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    agent.ensure_running()
    sys.stdout.flush()
    os._exit(0)
os.waitpid(pid, 0)
""",
        python_arguments=["-W", "ignore::DeprecationWarning"],
    )
    assert samplers(lines) == ["stack", "pyspy", "pyspy"]


@needs_stack
def test_stack_by_name_logs_why_it_does_not_start_twice():
    lines = run(
        CONFIGURE
        + """
configure(cpu_implementation="stack")
pyroscope_otel.shutdown()
configure(cpu_implementation="stack")
"""
    )
    assert samplers(lines) == ["stack"]
    assert "can start only once in a process" in lines[-1]


@needs_stack
def test_auto_is_pyspy_without_a_relay():
    """Stack reads no thread labels, and without a relay no marks are read."""
    lines = run(
        CONFIGURE
        + """
from pyroscope_otel.relay import relay

def fail(self):
    raise OSError("no loopback here")

relay.Relay.start = fail
from pyroscope_otel.setup import agent
from pyroscope_otel.link.state import STATE
agent.AGENT.holds_requests = True
configure()
print(STATE.labels_only, pyroscope.add_thread_tag("a", "b"))
from pyroscope_otel.setup import sampler
print(sampler.has_stack_run())
"""
    )
    assert lines[-2:] == ["True True", "False"]

"""An agent that the application started before a fork does not run in the child.

With the real agent, in processes of their own.
"""

from __future__ import annotations

import pytest

from tests.support.child import run

BY_HAND = """
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads
from opentelemetry.sdk.trace import TracerProvider
from pyroscope_otel import PyroscopeSpanProcessor, configure
from pyroscope_otel.link import thread_labels
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(PyroscopeSpanProcessor())
tracer = provider.get_tracer("shop")
SERVER = "http://127.0.0.1:9"

def serve(times=2):
    for _ in range(times):
        with tracer.start_as_current_span("request"):
            pass

def in_child(work):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        work()
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""
START = "pyroscope.configure('shop', server_address=SERVER)\n"


def test_first_request_in_the_child_logs_it_once():
    (line,) = run(BY_HAND + START + "serve()\nin_child(serve)\nserve()")
    assert line.startswith("WARNING There are no profiles: the application started the Pyroscope")
    assert "post_fork" in line


def test_each_child_logs_it():
    assert len(run(BY_HAND + START + "in_child(serve)\nin_child(serve)")) == 2


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(START + "serve()\nin_child(list)\n", id="a child that serves nothing"),
        pytest.param("in_child(serve)\n", id="no agent anywhere"),
        pytest.param(
            f"def work():\n    {START}    serve()\nin_child(work)\n", id="started after the fork"
        ),
        pytest.param(
            START + f"def work():\n    {START}    serve()\nin_child(work)\n",
            id="started again after the fork",
        ),
    ],
)
def test_nothing_is_logged_without_such_an_agent(program):
    assert run(BY_HAND + program) == []


def test_our_agent_starts_again_in_the_child():
    assert run(
        BY_HAND
        + """
configure(application_name="shop", server_address=SERVER, tracer_provider=provider, start="now")
def work():
    serve()
    print(thread_labels.agent_is_running())
in_child(work)
"""
    )[-1:] == ["True"]

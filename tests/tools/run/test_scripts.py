"""Programs that serve no requests: scripts and pytest."""

from __future__ import annotations

import re
import subprocess

import pytest

from pyroscope_otel.tools.serve import LocalServer
from tests.tools.command_process import ask
from tests.tools.run.run_process import BIN, WORK, finished

pytestmark = pytest.mark.timeout(200)


def listed(done):
    """Return the listed routes, each with its hottest functions."""
    return re.findall(r"(?:on CPU|sampled) \d+ ms  (.*)\npyroscope-otel: +(.*)\n", done.stderr)


def test_script_is_one_request(tmp_path):
    (tmp_path / "job.py").write_text(f"{WORK}\nprice_lines()\nprint('priced')\n")
    done = finished(tmp_path, "python", "job.py", check=0)
    assert done.stdout == "priced\n"
    ((route, hottest),) = listed(done)
    assert route == "job.py"
    assert hottest.startswith("price_lines ")


@pytest.mark.parametrize("words", [("-m", "job"), ("-Wdefault", "-X", "utf8", "job.py")], ids=str)
def test_request_has_the_name_of_the_script(tmp_path, words):
    (tmp_path / "job.py").write_text(f"{WORK}\nprice_lines()\n")
    done = finished(tmp_path, "python", *words, check=0)
    ((route, _),) = listed(done)
    assert route == words[-1]
    assert "The requests of job are at" in done.stderr


OWN_ROOTS = f"""
from opentelemetry import trace
{WORK}
tracer = trace.get_tracer("job")
price_lines()
for number in range(2):
    with tracer.start_as_current_span("order"):
        price_lines()
        with tracer.start_as_current_span("line"):
            pass
price_lines()
"""


def test_root_spans_of_a_script_replace_its_request(tmp_path):
    (tmp_path / "job.py").write_text(OWN_ROOTS)
    data = tmp_path / "kept"
    done = finished(tmp_path, "python", "job.py", options=("--port", "0", "--data", data), check=0)
    assert [route for route, _ in listed(done)] == ["order", "order"]
    assert f"pyroscope-otel serve --data {data}" in done.stderr
    with LocalServer(port=0, otlp_port=None, data=data) as server:
        orders = ask(server.url, "requests?route=order")["requests"]
        spans = [ask(server.url, f"requests/{one['profile_id']}")["spans"] for one in orders]
    # Each is its own trace and has no parent.
    assert [sorted(one["name"] for one in trace) for trace in spans] == [["line", "order"]] * 2
    assert [
        [one["parent_span_id"] for one in trace if one["name"] == "order"] for trace in spans
    ] == [[None], [None]]


def test_client_spans_of_a_script_are_in_its_request(tmp_path):
    code = """
from opentelemetry import trace
from opentelemetry.trace import SpanKind

with trace.get_tracer("client").start_as_current_span("GET", kind=SpanKind.CLIENT):
    pass
with trace.get_tracer("opentelemetry.instrumentation.sqlite3").start_as_current_span("SELECT"):
    pass
"""
    (tmp_path / "job.py").write_text(code)
    done = finished(tmp_path, "python", "job.py", check=0)
    assert [route for route, _ in listed(done)] == ["job.py"]


def test_script_that_fails(tmp_path):
    (tmp_path / "job.py").write_text("1 / 0\n")
    data = tmp_path / "kept"
    done = finished(tmp_path, "python", "job.py", options=("--port", "0", "--data", data), check=1)
    assert "ZeroDivisionError" in done.stderr
    with LocalServer(port=0, otlp_port=None, data=data) as server:
        (request,) = ask(server.url, "requests?status=error")["requests"]
    assert request["route"] == "job.py"


def test_child_process_of_a_script_is_no_request(tmp_path):
    (tmp_path / "child.py").write_text("pass\n")
    (tmp_path / "job.py").write_text(
        "import subprocess, sys\nsubprocess.run([sys.executable, 'child.py'], check=True)\n"
    )
    done = finished(tmp_path, "python", "job.py", check=0)
    assert [route for route, _ in listed(done)] == ["job.py"]


def test_forked_child_does_not_end_the_request(tmp_path):
    (tmp_path / "job.py").write_text(
        f"import os, sys\n{WORK}\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.exit(3)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3\n"
        "price_lines()\n"
    )
    data = tmp_path / "kept"
    done = finished(tmp_path, "python", "job.py", options=("--port", "0", "--data", data), check=0)
    ((route, hottest),) = listed(done)
    assert route == "job.py"
    assert hottest.startswith("price_lines ")
    with LocalServer(port=0, otlp_port=None, data=data) as server:
        assert ask(server.url, "status")["trace_exports"] == 1


def test_script_with_warnings_as_errors(tmp_path):
    (tmp_path / "job.py").write_text(f"{WORK}\nprice_lines()\n")
    done = finished(tmp_path, "python", "-W", "error", "job.py", check=0)
    assert [route for route, _ in listed(done)] == ["job.py"]


TESTS = f"""
import pytest
{WORK}
@pytest.mark.parametrize("case", ["one", "two"])
def test_price(case):
    price_lines()

def test_that_fails():
    assert False
"""


@pytest.mark.parametrize("more", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_each_pytest_test_is_one_request(tmp_path, more):
    (tmp_path / "test_shop.py").write_text(TESTS)
    data = tmp_path / "kept"
    words = ("pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-W", "error", *more)
    done = finished(tmp_path, *words, options=("--port", "0", "--data", data))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 2 passed" in done.stdout
    routes = listed(done)
    price, fails = "test_shop.py::test_price", "test_shop.py::test_that_fails"
    assert sorted(route for route, _ in routes) == [price, price, fails]
    assert all("price_lines" in hottest for route, hottest in routes if route == price)
    with LocalServer(port=0, otlp_port=None, data=data) as server:
        (request,) = ask(server.url, "requests?status=error")["requests"]
    assert request["route"] == fails


@pytest.mark.parametrize(
    ("options", "sampler"), [((), "pyspy"), (("--sampler", "auto"), "auto")], ids=str
)
def test_sampler_of_pytest_is_pyspy_unless_given(tmp_path, options, sampler):
    """PySpy also sees root spans that are made current by hand."""
    (tmp_path / "test_shop.py").write_text(
        "import os\n\n"
        "def test_sampler():\n"
        f"    assert os.environ['PYROSCOPE_CPU_IMPLEMENTATION'] == '{sampler}'\n"
    )
    words = ("pytest", "-q", "-p", "no:cacheprovider")
    finished(tmp_path, *words, options=("--port", "0", *options), check=0)


def test_pytest_without_run_has_no_plugin(tmp_path):
    (tmp_path / "test_shop.py").write_text("def test_nothing(): pass\n")
    done = subprocess.run(
        [BIN / "pytest", "--trace-config", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pyroscope_otel" not in done.stdout

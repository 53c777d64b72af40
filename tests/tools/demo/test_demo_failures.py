"""The demo's error messages."""

from __future__ import annotations

import re
import socket
import subprocess
import sys

import pytest

from pyroscope_otel.setup.installing import pip_install
from pyroscope_otel.tools.demo import running
from pyroscope_otel.tools.demo.errors import DemoFailed
from pyroscope_otel.tools.demo.running import run
from pyroscope_otel.tools.demo.shop_process import ShopProcess
from pyroscope_otel.tools.demo.terminal import Terminal
from pyroscope_otel.tools.demo.traffic import pair_of_requests, round_of_requests
from pyroscope_otel.tools.serve import LocalServer
from tests.tools.command_process import PATIENCE_SECONDS

pytestmark = pytest.mark.timeout(300)


def test_requested_port_is_taken(capfd):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run(port=port) == 1
    assert capfd.readouterr().err == (
        "pyroscope-otel: The local server did not start: cannot listen on 127.0.0.1, "
        f"port {port}: Address already in use. "
        "Choose another port with --port; 0 means any free port.\n"
    )


def test_port_of_traces_for_everything_causes_no_warning(capfd, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(running, "_OTLP_PORT", port)
    with running._server(Terminal(), port, None) as server:
        assert server.otlp_url == server.url == f"http://127.0.0.1:{port}"
    assert capfd.readouterr() == ("", "")


def test_port_of_traces_that_was_taken_in_between_is_not_needed(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(running, "_OTLP_PORT", other.getsockname()[1])
        monkeypatch.setattr(running, "is_free", lambda _port: True)
        with running._server(Terminal(), 0, None) as server:
            assert server.otlp_url == server.url


def test_data_file_of_another_program_is_refused(capfd, tmp_path):
    file = tmp_path / "letter"
    file.write_text("Dear Sir or Madam,\n" * 100)
    assert run(port=0, data=str(file)) == 1
    error = capfd.readouterr().err
    assert error.startswith("pyroscope-otel: ")
    assert str(file) in error
    assert error.endswith(". Choose another with --data.\n")
    assert file.read_text() == "Dear Sir or Madam,\n" * 100


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("opentelemetry.instrumentation.asgi", "opentelemetry-instrumentation-asgi"),
        ("opentelemetry.exporter.otlp.proto.http", "opentelemetry-exporter-otlp-proto-http"),
    ],
)
def test_error_names_a_package_that_only_the_shop_needs(module, package, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    assert run(port=0) == 1
    message = (
        f"pyroscope-otel: The demo needs {package}, which is not installed. "
        f"Install it with: {pip_install('local')}\n"
    )
    assert capfd.readouterr() == ("", message)


def test_error_shows_the_output_of_a_shop_that_does_not_start():
    shop = ShopProcess(profiles_to="nowhere:4040", traces_to="http://127.0.0.1:9")
    with pytest.raises(DemoFailed) as failed, shop:
        pytest.fail("it started")
    message = str(failed.value)
    assert message.startswith("The shop did not start: ")
    assert " It printed:\n\n" in message
    assert "server_address must be" in message
    assert shop._process.returncode is not None


def test_error_shows_the_output_of_a_shop_whose_spans_do_not_arrive(capfd, monkeypatch):
    monkeypatch.setattr(LocalServer, "otlp_url", "http://127.0.0.1:9")
    light = round_of_requests(1)[-1:]
    monkeypatch.setattr(running, "round_of_requests", lambda _number: light)
    monkeypatch.setattr(running, "pair_of_requests", lambda: light * 2)
    assert run(port=0, once=True) == 1
    error = capfd.readouterr().err
    assert error.startswith(
        "pyroscope-otel: 3 of the shop's requests did not arrive at the local server. "
        "It printed:\n\n"
    )
    assert "exporting spans" in error


def test_wait_for_profiles_has_a_limit(monkeypatch):
    monkeypatch.setattr(running, "_ARRIVAL_SECONDS", 0.5)
    message = (
        "The shop answered, but its profiles did not arrive within 0.5 s. "
        "Running pyroscope-otel doctor may help. It printed nothing."
    )
    with LocalServer(port=0, otlp_port=None) as server:
        shop = ShopProcess(profiles_to=server.url, traces_to=server.url)
        with pytest.raises(DemoFailed, match=f"^{re.escape(message)}$"):
            running._first_results(Terminal(), server.url, shop, pair_of_requests())


def test_import_starts_nothing():
    code = (
        "import sys, threading, pyroscope_otel.tools.demo\n"
        "assert threading.active_count() == 1\n"
        "heavy = ('starlette', 'uvicorn', 'pyroscope_otel.tools.serve')\n"
        "assert not [name for name in sys.modules if name.startswith(heavy)]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_SECONDS)


INTERRUPTED = """\
import signal, threading
from pyroscope_otel.tools.demo.shop_process import ShopProcess

start = threading.Thread.start

def start_and_interrupt(thread):
    start(thread)
    signal.raise_signal(signal.SIGINT)

threading.Thread.start = start_and_interrupt
nowhere = "http://127.0.0.1:9"
try:
    ShopProcess(profiles_to=nowhere, traces_to=nowhere).__enter__()
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_while_its_thread_starts_ends_the_shop():
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        capture_output=True,
        check=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert ended.stdout == "interrupted\n"

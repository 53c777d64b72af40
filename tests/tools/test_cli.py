"""The command line: arguments, errors and imports."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from pyroscope_otel.setup.installing import pip_install
from pyroscope_otel.tools.cli import main

COMMAND = Path(sys.executable).with_name("pyroscope-otel")


@contextmanager
def running(*arguments):
    process = subprocess.Popen(
        [COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(*arguments, code=None, **environment):
    """Run the command, or `code` with the function `main`."""
    start = [COMMAND] if code is None else [sys.executable, "-c", code]
    return subprocess.run(
        [*start, *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, **environment},
    )


def test_version():
    assert run("--version").stdout == f"pyroscope-otel {version('pyroscope-otel')}\n"


def test_module_is_the_command():
    module = subprocess.run(
        [sys.executable, "-m", "pyroscope_otel", "--help"],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert module.stdout == run("--help").stdout


@pytest.mark.parametrize("command", ["serve", "demo", "doctor"])
def test_each_subcommand_has_help(command, capsys):
    for arguments in (["--help"], [command, "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["serve", "--port", "65536"], "'65536' is not a port; allowed: 0 to 65535"),
        (["serve", "--port", "-1"], "'-1' is not a port"),
        (
            ["serve", "--keep", "12"],
            "'12' is not a time; allowed: a whole number with s, m, h or d, such as 12h",
        ),
        (["serve", "--keep", "0h"], "'0h' is not a time"),
        (
            ["serve", "--max-size", "2TB"],
            "'2TB' is not a size; allowed: a whole number with KB, MB or GB, such as 500MB",
        ),
        (
            ["doctor", "--path", "x"],
            "'x' is not a path; a path begins with / and is quoted as in a URL",
        ),
        *[
            (
                ["doctor", option, wrong],
                f"{option}: not a URL; a URL begins with http:// or https:// and names a host",
            )
            for option in ("--server", "--read-from")
            for wrong in ("me:pw@localhost", "ftp://host", "http://", "http://a b", "http://a:x")
        ],
        (["doctor", "a:b", "c:d"], "unrecognized arguments: c:d"),
    ],
)
def test_wrong_usage_is_explained(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_unused_subcommands_are_not_imported():
    code = """
import sys
from pyroscope_otel.tools.cli import main
try:
    main(["--version"])
finally:
    parts = (
        "pyroscope_otel.tools.serve",
        "pyroscope_otel.tools.demo",
        "pyroscope_otel.tools.doctor",
        "uvicorn",
    )
    assert not [name for name in sys.modules if name.startswith(parts)]
"""
    assert run(code=code).returncode == 0


@pytest.mark.parametrize("command", ["serve", "demo"])
@pytest.mark.parametrize("missing", ["uvicorn", "starlette"])
def test_error_for_a_missing_extra_has_the_command_that_installs_it(command, missing):
    code = f"""
import sys
sys.modules[{missing!r}] = None
from pyroscope_otel.tools.cli import main
sys.exit(main(["{command}", "--port", "0"]))
"""
    done = run(code=code)
    assert done.returncode == 1
    assert pip_install("local") in done.stderr
    assert "Traceback" not in done.stderr


def test_other_import_errors_are_not_reported_as_a_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroscope_otel.tools.doctor.examination", None)
    monkeypatch.delitem(sys.modules, "pyroscope_otel.tools.doctor", raising=False)
    with pytest.raises(ImportError, match=r"pyroscope_otel\.tools\.doctor\.examination"):
        main(["doctor"])


def test_local_server_runs_until_sigterm(tmp_path):
    data = tmp_path / "kept"
    limits = ["--data", data, "--keep", "2h", "--max-size", "20MB"]
    with running("serve", "--port", "0", "--otlp-port", "0", *limits) as server:
        lines = [server.stdout.readline() for _ in range(6)]
        assert lines[0] == "For development only: it checks no credentials.\n"
        url = lines[1].split()[-1]
        with urllib.request.urlopen(f"{url}/api/status", timeout=30) as answer:  # noqa: S310  the local server
            status = json.load(answer)
        assert status["bound"] == {"keep_seconds": 7200, "max_bytes": 20_000_000}
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    assert data.exists()


def test_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port), "--otlp-port", "0")
    assert done.returncode == 1
    assert done.stderr == (
        f"pyroscope-otel: cannot listen on 127.0.0.1, port {port}: Address already in use. "
        "Choose others with --port and --otlp-port; 0 means any free port.\n"
    )


def test_data_file_of_another_kind_is_refused(tmp_path):
    foreign = tmp_path / "holiday.jpg"
    foreign.write_bytes(b"\xff\xd8" * 100)
    done = run("serve", "--port", "0", "--otlp-port", "0", "--data", foreign)
    assert done.returncode == 1
    assert done.stderr.startswith("pyroscope-otel: ")
    assert done.stderr.endswith("Choose another with --data.\n")
    assert foreign.read_bytes() == b"\xff\xd8" * 100


def test_interrupt_prints_no_traceback(monkeypatch):
    def interrupted(_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("pyroscope_otel.tools.doctor.run", interrupted)
    assert main(["doctor"]) == 130

"""The command's terminal, signals and exit status."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys

import pytest

from tests.tools.command_process import PATIENCE_SECONDS, wait_until
from tests.tools.run.run_process import WORK, command, environment, finished, running

pytestmark = pytest.mark.timeout(200)


def test_exit_status_is_that_of_the_command(tmp_path):
    finished(tmp_path, "sh", "-c", "exit 7", check=7)


def test_exit_status_after_a_signal_is_as_in_a_shell(tmp_path):
    finished(tmp_path, "sh", "-c", "kill -KILL $$", check=128 + signal.SIGKILL)


def test_unknown_command(tmp_path):
    done = finished(tmp_path, "no-such-command", check=127)
    assert done.stderr.endswith("pyroscope-otel: there is no command no-such-command\n")


def test_file_that_is_not_executable(tmp_path):
    (tmp_path / "file").write_text("")
    done = finished(tmp_path, "./file", check=1)
    assert done.stderr.endswith("pyroscope-otel: ./file cannot be run: Permission denied\n")


def test_without_a_command(tmp_path):
    done = finished(tmp_path, check=2)
    assert "COMMAND is missing, such as uvicorn shop:app\n" in done.stderr


def test_options_after_the_command_are_passed_to_it(tmp_path):
    done = finished(tmp_path, "echo", "--port", "1", "--memory", check=0)
    assert done.stdout == "--port 1 --memory\n"


def test_two_dashes_before_the_command_are_accepted(tmp_path):
    assert finished(tmp_path, "--", "echo", "--open", check=0).stdout == "--open\n"


def test_options(tmp_path):
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "$1" > opened\n')
    browser.chmod(0o755)
    options = ("--port", "0", "--memory", "--sampler", "pyspy", "--open")
    code = 'echo "$PYROSCOPE_MEM_ENABLED $PYROSCOPE_CPU_IMPLEMENTATION"'
    done = finished(tmp_path, "sh", "-c", code, options=options, check=0, BROWSER=f"{browser} %s")
    assert done.stdout == "true pyspy\n"
    assert f"are at {(tmp_path / 'opened').read_text().strip()}/\n" in done.stderr


def test_unknown_sampler(tmp_path):
    done = finished(tmp_path, "true", options=("--sampler", "dtrace"), check=2)
    assert "--sampler: invalid choice: 'dtrace'" in done.stderr


def test_command_has_standard_input_and_output(tmp_path):
    done = subprocess.run(
        command("tr", "a-z", "A-Z"),
        cwd=tmp_path,
        env=environment(),
        input="shop",
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert done.stdout == "SHOP"


def test_wrong_setting_stops_start_up(tmp_path):
    done = finished(tmp_path, "touch", "started", check=1, PYROSCOPE_UPLOAD_INTERVAL="soon")
    assert "upload_interval must be" in done.stderr
    assert "PYROSCOPE_UPLOAD_INTERVAL is 'soon'" in done.stderr
    assert not (tmp_path / "started").exists()


# Prints each signal that it gets, and ends after the last.
SIGNALLED = """
import os, signal, sys
def say(number, frame):
    print("got", signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM:
        sys.exit(5)
for name in ("SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR2", "SIGTERM"):
    signal.signal(signal.Signals[name], say)
reading, writing = os.pipe()
os.set_blocking(writing, False)
signal.set_wakeup_fd(writing)
print("ready", flush=True)
while True:
    os.read(reading, 1)
"""


def test_signals_are_passed_to_the_command(tmp_path):
    (tmp_path / "signalled.py").write_text(SIGNALLED)
    with running(tmp_path, "python", "signalled.py") as run:
        run.wait_for("ready")
        for name in ("SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR2"):
            run.process.send_signal(signal.Signals[name])
            run.wait_for(f"got {name}")
        assert run.end(signal.SIGTERM) == 5
        assert run.printed.count("got SIG") == 5


def test_sigusr1_lists_the_slowest_requests(tmp_path):
    code = f"""
{WORK}
from opentelemetry import trace
with trace.get_tracer("job").start_as_current_span("order"):
    price_lines()
print("done", flush=True)
input()
"""
    (tmp_path / "job.py").write_text(code)
    # `tail` keeps the standard input of the job open.
    with running(tmp_path, "sh", "-c", "tail -f /dev/null | python job.py") as run:
        run.profiled("order")
        run.process.send_signal(signal.SIGUSR1)
        run.wait_for(r"1 request\. The slowest:\n.* order\n.*price_lines")


# Not `pty.fork`: the test process may have threads.
TAKE_THE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A terminal with `run` in the foreground."""

    def __init__(self, folder, *words):
        self._descriptor, other = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKE_THE_TERMINAL, *command(*words)],
            cwd=folder,
            env=environment(),
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)
        self.printed = ""

    def send_signal(self, number):
        self._process.send_signal(number)

    def type(self, text):
        os.write(self._descriptor, text)

    def wait_for(self, text):
        def read():
            if text not in self.printed and select.select([self._descriptor], [], [], 1)[0]:
                try:
                    self.printed += os.read(self._descriptor, 10_000).decode()
                except OSError as error:  # the other end is closed
                    raise AssertionError(self.printed) from error
            return text in self.printed

        wait_until(read, lambda: self.printed)

    def end(self):
        """Read the rest of the output and return the exit status."""
        try:
            while True:
                self.printed += os.read(self._descriptor, 10_000).decode()
        except OSError:
            pass
        os.close(self._descriptor)
        return self._process.wait(PATIENCE_SECONDS)


CTRL_C = b"\x03"


def test_ctrl_c_reaches_the_command_once(tmp_path):
    code = SIGNALLED.replace("== signal.SIGTERM", "== signal.SIGUSR2")
    code += "    print('again', flush=True)\n"
    (tmp_path / "signalled.py").write_text(code)
    terminal = Terminal(tmp_path, "python", "signalled.py")
    terminal.wait_for("ready")
    terminal.type(CTRL_C)
    terminal.wait_for("again")
    terminal.send_signal(signal.SIGUSR2)
    assert terminal.end() == 5
    assert terminal.printed.count("got SIGINT") == 1
    # Ctrl-C came before the end, so `run` does not wait.
    assert "The page stays" not in terminal.printed


def test_sigint_to_run_alone_is_not_passed_on_from_a_terminal(tmp_path):
    (tmp_path / "signalled.py").write_text(SIGNALLED)
    terminal = Terminal(tmp_path, "python", "signalled.py")
    terminal.wait_for("ready")
    terminal.send_signal(signal.SIGINT)
    terminal.send_signal(signal.SIGTERM)
    assert terminal.end() == 5
    assert "got SIGINT" not in terminal.printed


def test_page_stays_after_a_script_on_a_terminal(tmp_path):
    (tmp_path / "job.py").write_text("raise SystemExit(3)\n")
    terminal = Terminal(tmp_path, "python", "job.py")
    terminal.wait_for("The page stays until Ctrl-C")
    terminal.type(CTRL_C)
    assert terminal.end() == 3
    assert "Stopped." in terminal.printed

"""The programs that serve applications: how each is started, and how it ends."""

from __future__ import annotations

import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """A program that serves.

    Attributes:
        start: The command that starts it, without the application and its options.
        bind: The options by which it takes a free port of the loopback address.
        serves: What it writes when it is there, with the port as a group if it has one.
        runs_exit_handlers_on: The signal after which it ends as an interpreter
            does. The agent of an application that started it itself needs that,
            to push its last samples; ours is there for the others as well.
        is_stopped_by_ctrl_c: Whether the end is that of a terminal's Ctrl-C, which
            all of its processes are told of.
    """

    start: tuple[str, ...]
    bind: tuple[str, ...]
    serves: re.Pattern[str]
    runs_exit_handlers_on: signal.Signals = signal.SIGTERM
    is_stopped_by_ctrl_c: bool = False


def _beside_python(name: str) -> str:
    return str(Path(sys.executable).parent / name)


GUNICORN = Program(
    (sys.executable, "-m", "gunicorn"),
    ("--bind", "127.0.0.1:0", "--no-control-socket", "--graceful-timeout", "20"),
    re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)"),
)
UVICORN = Program(
    (sys.executable, "-m", "uvicorn"),
    ("--host", "127.0.0.1", "--port", "0", "--no-access-log"),
    re.compile(r"running on http://127\.0\.0\.1:(\d+)"),
    # After SIGTERM it ends by that signal in the end.
    runs_exit_handlers_on=signal.SIGINT,
)
HYPERCORN = Program(
    (sys.executable, "-m", "hypercorn"),
    ("--bind", "127.0.0.1:0", "--graceful-timeout", "20"),
    re.compile(r"Running on http://127\.0\.0\.1:(\d+)"),
)
DAPHNE = Program(
    (sys.executable, "-m", "daphne"),
    ("--bind", "127.0.0.1", "--port", "0"),
    re.compile(r"Listening on TCP address 127\.0\.0\.1:(\d+)"),
)
WAITRESS = Program(
    (sys.executable, "-m", "waitress"),
    ("--listen", "127.0.0.1:0"),
    re.compile(r"Serving on http://127\.0\.0\.1:(\d+)"),
    is_stopped_by_ctrl_c=True,
)
FLASK_RUN = Program(
    (sys.executable, "-m", "flask"),
    (),
    re.compile(r"Running on http://127\.0\.0\.1:(\d+)"),
    is_stopped_by_ctrl_c=True,
)
UWSGI = Program(
    # Without the hook it takes SIGTERM for a request to reload, and with
    # --die-on-term a worker that is just done with a request runs no exit handlers.
    (
        *(_beside_python("uwsgi"), "--virtualenv", sys.prefix, "--master"),
        *("--hook-master-start", "unix_signal:15 gracefully_kill_them_all"),
    ),
    ("--http-socket", "127.0.0.1:0"),
    re.compile(r"bound to TCP address 127\.0\.0\.1:(\d+)"),
)
RUNSERVER = Program(
    (sys.executable, "-m", "django", "runserver"),
    ("127.0.0.1:0",),
    re.compile(r"development server at http://127\.0\.0\.1:(\d+)"),
    is_stopped_by_ctrl_c=True,
)
CELERY = Program(
    (sys.executable, "-m", "celery"),
    (),
    re.compile(r"celery@\S+ ready\."),
)

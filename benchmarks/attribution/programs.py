"""The server programs: how each is started and stopped."""

from __future__ import annotations

import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """A server program.

    Attributes:
        start: The command, without the application and its options.
        bind: The options that bind a free port of the loopback address.
        serves: The output that shows that it serves, with the port as a group if there is one.
        runs_exit_handlers_on: The signal after which it runs the interpreter's exit handlers.
            An agent that the application started itself needs them to push its last samples;
            ours also handles the other signals.
        is_stopped_by_ctrl_c: Whether the signal goes to all of its processes, as Ctrl-C in a
            terminal does.
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
    # After SIGTERM, it finally ends itself by that signal.
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
    # Without the hook, SIGTERM makes it reload. With --die-on-term, a worker that has just
    # finished a request runs no exit handlers.
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

"""The command `pyroscope-otel`.

Each subcommand is imported only when it runs, so none slows down the others. A subcommand that
needs an extra says so.
"""

from __future__ import annotations

import argparse
import errno
import importlib.metadata
import os
import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroscope_otel.tools.serve import LocalServer

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_BYTES = {"KB": 1000, "MB": 1000**2, "GB": 1000**3}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The command line after the command's name. Default: `sys.argv`.

    Returns:
        The exit status: 0 for success, 1 for failure.

    Raises:
        SystemExit: With 2 for wrong arguments, with 0 after ``--help`` and ``--version``.
    """
    parsed = _parser().parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except ImportError as error:
        if error.name is not None:
            raise
        # The message names the missing extra and how to install it.
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130  # the status that shells use for an interrupt
    return status


def _fail(message: str) -> int:
    print(f"pyroscope-otel: {message}", file=sys.stderr)  # noqa: T201  terminal output
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyroscope-otel",
        description="Links OpenTelemetry traces with Pyroscope profiles.",
    )
    version = importlib.metadata.version("pyroscope-otel")
    parser.add_argument("--version", action="version", version=f"pyroscope-otel {version}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_serve(commands)
    _add_demo(commands)
    _add_doctor(commands)
    return parser


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="run your application unchanged, and show its requests",
        usage="pyroscope-otel run [options] COMMAND...",
        description=(
            "Run a command, such as uvicorn shop:app, together with the local server. Each "
            "request of its Python processes appears on the page with its flame graph. The "
            "application is not changed."
        ),
        epilog="Exit status: the command's.",
    )
    parser.add_argument(
        "--port",
        type=_port,
        help=(
            "port of the local server; if a local server already runs there, it is used "
            "(default: 4040, or a free port if that is taken)"
        ),
    )
    parser.add_argument("--data", metavar="FILE", help="store the received data in this file")
    parser.add_argument(
        "--sampler",
        choices=("auto", "stack", "pyspy"),
        help="the CPU sampler (default: auto, which is stack if that sees all requests)",
    )
    parser.add_argument("--memory", action="store_true", help="also take memory profiles")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    parser.set_defaults(run=_run, usage_error=parser.error)


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "serve",
        help="run a local development server that shows profiles and traces on a web page",
        description=(
            "Run a local development server. It accepts pushes from Pyroscope agents and "
            "OTLP traces over HTTP, and shows each request with its flame graph on a web page."
        ),
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s; others may expose it to the network)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=4040,
        help="port of the page, profiles and /v1/traces (default: %(default)s, as in Pyroscope)",
    )
    parser.add_argument(
        "--otlp-port",
        type=_port,
        default=4318,
        help="port of OTLP over HTTP (default: %(default)s, the standard port)",
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="store the received data in this file (default: a temporary one)",
    )
    parser.add_argument(
        "--keep",
        type=_duration,
        default="24h",
        metavar="TIME",
        help="delete older data; a time such as 30m, 12h or 7d (default: %(default)s)",
    )
    parser.add_argument(
        "--max-size",
        type=_size,
        default="512MB",
        metavar="SIZE",
        help="delete the oldest data above this size, such as 500MB or 2GB (default: %(default)s)",
    )
    parser.set_defaults(run=_serve)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "demo",
        help="run the local server and an example service, and send it requests",
        description=(
            "Run the local server and an example service, send it various requests, and "
            "print the link to their flame graphs. Press Ctrl-C to stop."
        ),
    )
    parser.add_argument(
        "--port",
        type=_port,
        help="port of the local server (default: 4040, or a free port if that is taken)",
    )
    parser.add_argument("--data", metavar="FILE", help="store the received data in this file")
    parser.add_argument(
        "--once",
        action="store_true",
        help="send the requests once, print where each spent its CPU time, and exit",
    )
    parser.add_argument(
        "--memory", action="store_true", help="also take memory profiles (uses more CPU)"
    )
    parser.set_defaults(run=_demo)


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "doctor",
        help="check a set-up and report what is wrong with it",
        description=(
            "Check a set-up and report each problem with its remedy. It checks the "
            "settings, the installed versions, the Pyroscope server and the trace exporters, and "
            "pushes a span's profile and reads it back. With APP, it also loads the application "
            "as its server would, in a separate process, and sends it a request."
        ),
        epilog="Exit status: 0 for no problems, 1 for problems, 2 for wrong arguments.",
    )
    parser.add_argument(
        "app",
        nargs="?",
        metavar="APP",
        default=os.environ.get("DJANGO_SETTINGS_MODULE"),
        help=(
            "the application: module:app or module:make_app() (ASGI or WSGI), the directory of a "
            "Django project's manage.py, or a Django settings module "
            "(default: DJANGO_SETTINGS_MODULE, if that is set)"
        ),
    )
    parser.add_argument(
        "--path",
        default="/",
        type=_path,
        help="path of the GET request to APP (default: %(default)s)",
    )
    parser.add_argument(
        "--server",
        type=_url,
        metavar="URL",
        help="push to this Pyroscope server instead of the one in the settings",
    )
    parser.add_argument(
        "--read-from",
        type=_url,
        metavar="URL",
        help=(
            "read profiles back from this server (default: the server they are pushed to; "
            "needed if that only forwards them, like Grafana Alloy)"
        ),
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=_doctor)


def _run(arguments: argparse.Namespace) -> int:
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        arguments.usage_error("COMMAND is missing, such as uvicorn shop:app")
    from pyroscope_otel.tools.run.running import run

    return run(
        words,
        port=arguments.port,
        data=arguments.data,
        sampler=arguments.sampler,
        memory=arguments.memory,
        opened=arguments.open,
    )


def _serve(arguments: argparse.Namespace) -> int:
    from pyroscope_otel.tools.serve import ForeignFile, serve

    try:
        serve(
            _welcome,
            host=arguments.host,
            port=arguments.port,
            otlp_port=arguments.otlp_port,
            data=arguments.data,
            keep=arguments.keep,
            max_size=arguments.max_size,
        )
    except ForeignFile as error:
        return _fail(f"{error}. Choose another with --data.")
    except OSError as error:
        reason = f"{error.strerror or error}."
        if error.errno == errno.EADDRINUSE:
            reason += " Choose others with --port and --otlp-port; 0 means any free port."
        return _fail(reason)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from pyroscope_otel.tools.demo import run

    return run(
        port=arguments.port, data=arguments.data, once=arguments.once, memory=arguments.memory
    )


def _welcome(server: LocalServer) -> None:
    print(  # noqa: T201  as above
        f"For development only: it checks no credentials.\n"
        f"Page and profiles  {server.url}\n"
        f"Traces (OTLP)      {server.otlp_url}\n"
        f"An application finds it with\n"
        f"  PYROSCOPE_SERVER_ADDRESS={server.url} OTEL_EXPORTER_OTLP_ENDPOINT={server.otlp_url}\n"
        f"Ctrl-C ends it.",
        flush=True,
    )


def _doctor(arguments: argparse.Namespace) -> int:
    from pyroscope_otel.tools.doctor import run

    return run(arguments)


def _port(text: str) -> int:
    most = 65_535
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; allowed: 0 to {most}")
    return int(text)


def _duration(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time; allowed: a whole number with s, m, h or d, such as 12h"
        )
    return int(found[1]) * _SECONDS[found[2]]


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9})(KB|MB|GB)", text, re.IGNORECASE)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size; allowed: a whole number with KB, MB or GB, such as 500MB"
        )
    return int(found[1]) * _BYTES[found[2].upper()]


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or re.search(r"\s", text):
        # The URL is omitted: it may contain a password.
        raise argparse.ArgumentTypeError(
            "not a URL; a URL begins with http:// or https:// and names a host"
        )
    return text


def _path(text: str) -> str:
    if not re.fullmatch(r"/[!-~]*", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a path; a path begins with / and is quoted as in a URL"
        )
    return text

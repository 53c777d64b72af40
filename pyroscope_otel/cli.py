"""The command `pyroscope-otel`.

Each subcommand is imported when it is called: none costs the others anything,
and what needs an extra says so.
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

    from pyroscope_otel.local import LocalServer

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_BYTES = {"KB": 1000, "MB": 1000**2, "GB": 1000**3}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Those after the command's name; `sys.argv` by default.

    Returns:
        The exit status: 0 for success, 1 for failure.

    Raises:
        SystemExit: With 2 where the arguments are wrong; with 0 after ``--help``
            and ``--version``.
    """
    parsed = _parser().parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except ImportError as error:
        if error.name is not None:
            raise
        # Composed by the part that needs an extra: it says which, and how to get it.
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130  # as a shell counts an interrupt
    return status


def _fail(message: str) -> int:
    print(f"pyroscope-otel: {message}", file=sys.stderr)  # noqa: T201  a command talks to its terminal
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
        help="run an application of yours, unchanged, and show its requests",
        usage="pyroscope-otel run [options] COMMAND...",
        description=(
            "Run a command, such as uvicorn shop:app, with the local server beside it: each "
            "request of its Python processes is on the page with its flame graph. Nothing of the "
            "application is changed."
        ),
        epilog="Exit status: the command's.",
    )
    parser.add_argument(
        "--port",
        type=_port,
        help=(
            "port of the local server; one that runs there already is used "
            "(default: 4040, or a free one where something else has that)"
        ),
    )
    parser.add_argument("--data", metavar="FILE", help="keep what was received in this file")
    parser.add_argument(
        "--sampler",
        choices=("auto", "stack", "pyspy"),
        help="what takes the CPU profiles (default: auto, which is stack where it sees all)",
    )
    parser.add_argument("--memory", action="store_true", help="take memory profiles as well")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    parser.set_defaults(run=_run, usage_error=parser.error)


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "serve",
        help="run a local server for development: profiles and traces in, a web page out",
        description=(
            "Run a local server for development. It takes what a Pyroscope agent pushes and "
            "OTLP traces over HTTP, and shows each request with its flame graph on a web page."
        ),
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s; another may let other machines in)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=4040,
        help="port of the page, the profiles and /v1/traces (default: %(default)s, Pyroscope's)",
    )
    parser.add_argument(
        "--otlp-port",
        type=_port,
        default=4318,
        help="port of OTLP over HTTP (default: %(default)s, its standard port)",
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="keep what was received in this file (default: a temporary one)",
    )
    parser.add_argument(
        "--keep",
        type=_duration,
        default="24h",
        metavar="TIME",
        help="forget what is older than this, such as 30m, 12h or 7d (default: %(default)s)",
    )
    parser.add_argument(
        "--max-size",
        type=_size,
        default="512MB",
        metavar="SIZE",
        help="forget the oldest when more is stored, such as 500MB or 2GB (default: %(default)s)",
    )
    parser.set_defaults(run=_serve)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "demo",
        help="run the local server, an example service, and requests to it",
        description=(
            "Run the local server and an example service, send it requests of all sorts, and "
            "print the link to their flame graphs. Ctrl-C ends it."
        ),
    )
    parser.add_argument(
        "--port",
        type=_port,
        help="port of the local server (default: 4040, or a free one where that is taken)",
    )
    parser.add_argument("--data", metavar="FILE", help="keep what was received in this file")
    parser.add_argument(
        "--once",
        action="store_true",
        help="send the requests once, print what each spent its CPU time on, and end",
    )
    parser.add_argument(
        "--memory", action="store_true", help="take memory profiles as well (it takes more CPU)"
    )
    parser.set_defaults(run=_demo)


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "doctor",
        help="check a set-up and say what is wrong with it",
        description=(
            "Check a set-up and say what is wrong with it, each finding with its remedy: the "
            "settings, the installed versions, the Pyroscope server, the way of the traces, and "
            "a span whose profile is pushed and read back. With APP, the application as well: "
            "it is loaded as its server would, in a process of its own, and gets a request."
        ),
        epilog="Exit status: 0 if no problem was found, 1 if one was, 2 for wrong arguments.",
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
        help="path of the request that APP gets, with GET (default: %(default)s)",
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
            "read profiles back from this server (default: the one that they are pushed to; "
            "needed where that only passes them on, as Grafana Alloy does)"
        ),
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=_doctor)


def _run(arguments: argparse.Namespace) -> int:
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        arguments.usage_error("COMMAND is missing, such as uvicorn shop:app")
    from pyroscope_otel.run.running import run

    return run(
        words,
        port=arguments.port,
        data=arguments.data,
        sampler=arguments.sampler,
        memory=arguments.memory,
        opened=arguments.open,
    )


def _serve(arguments: argparse.Namespace) -> int:
    from pyroscope_otel.local import ForeignFile, serve

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
            reason += " Choose others with --port and --otlp-port; 0 is any free one."
        return _fail(reason)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from pyroscope_otel.demo import run

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
    from pyroscope_otel.doctor import run

    return run(arguments)


def _port(text: str) -> int:
    most = 65_535
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > most:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; allowed is 0 to {most}")
    return int(text)


def _duration(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; allowed is a whole number with s, m, h or d, such as 12h"
        )
    return int(found[1]) * _SECONDS[found[2]]


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9})(KB|MB|GB)", text, re.IGNORECASE)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size; allowed is a whole number with KB, MB or GB, such as 500MB"
        )
    return int(found[1]) * _BYTES[found[2].upper()]


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or re.search(r"\s", text):
        # Without it: it may have a password in it.
        raise argparse.ArgumentTypeError(
            "not a URL; it begins with http:// or https:// and names a host"
        )
    return text


def _path(text: str) -> str:
    if not re.fullmatch(r"/[!-~]*", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no path; it begins with / and is quoted as in a URL"
        )
    return text

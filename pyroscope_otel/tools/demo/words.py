"""The demo's texts: links to its requests, and what they show."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pyroscope_otel.tools.asking import hottest
from pyroscope_otel.tools.demo.results import table
from pyroscope_otel.tools.run.cpu_time import methods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroscope_otel.tools.demo.results import Result

__all__ = ("look", "once")

_LOOK = """
Two requests ran at the same time on one event loop in one thread, in turns of a
millisecond or two. Each has its own profile:
"""

_ONCE = """
Below each request are the functions that used its CPU time. The two requests of
one trace ran at the same time, in turns, on one event loop in one thread."""

_ELSEWHERE = """\
To run the same shop with your own Pyroscope (and Tempo):

  PYROSCOPE_SERVER_ADDRESS=http://localhost:4040 \\
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 \\
  {python} -m uvicorn pyroscope_otel.tools.demo.shop:app
"""


def look(server: str, shop: str, first: Sequence[Result], *, memory: bool) -> str:
    """Return the text for the first profiles, with links to them.

    Args:
        server: The local server's URL.
        shop: The shop's URL.
        first: The two requests that share a trace, and one that is slower than others
            of its route.
        memory: Whether memory profiles are taken.
    """
    *pair, slow = first
    left, right = sorted(pair, key=lambda one: one.route)
    lines = [
        _LOOK,
        *(
            f"  {one.route:23}  {one.cpu_ms:4.0f} ms: {hottest(server, one.profile_id)}"
            for one in (left, right)
        ),
        "",
        *_methods(pair),
        "",
        "Both on one timeline, with the flame graph of each",
        f"  {server}/#/request/{left.profile_id}",
        "",
        "The difference between the two",
        f"  {server}/#/difference?left={left.profile_id}&right={right.profile_id}",
        "The difference between a slow invoice and the usual one",
        f"  {server}/#/difference?left={slow.profile_id}&right=route",
        *(_memory(server) if memory else ()),
        "All requests, as they arrive",
        f"  {server}/",
        "",
        "One more slow invoice:",
        "",
        f"  curl {shop}/invoice/9001",
        "",
        _elsewhere(),
        "More requests follow. Ctrl-C ends the demo.",
    ]
    return "\n".join(lines)


def once(server: str, requests: Sequence[Result], data: str | None) -> str:
    """Return the table of requests, and how to see more.

    Args:
        server: The local server's URL.
        requests: The requests.
        data: The file that they are stored in, unless it is temporary.
    """
    kept = f"See them as flame graphs:\n\n  pyroscope-otel serve --data {data}\n\n" if data else ""
    below = "\n".join([_ONCE, *_methods(requests)])
    return f"\n{table(server, requests)}\n{below}\n\n{kept}{_elsewhere()}"


def _memory(server: str) -> tuple[str, str]:
    address = "#/route?service=shop&route=GET+%2Fcatalog&type=alloc_space"
    return "Memory allocated by the route that loads all products", f"  {server}/{address}"


def _methods(requests: Sequence[Result]) -> list[str]:
    return methods(one.cpu_from for one in requests)


def _elsewhere() -> str:
    python = os.path.relpath(sys.executable)
    if len(python) > len(sys.executable):
        python = sys.executable
    return _ELSEWHERE.format(python=python)

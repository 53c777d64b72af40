"""What the demo says about what there is to see."""

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
Two requests ran at the same time, in turns of a millisecond or two, on one event
loop of one thread. Each has a profile of its own:
"""

_ONCE = """
Below each request are the functions that its own CPU time went to. The two of the
same trace ran at the same time, in turns, on one event loop of one thread."""

_ELSEWHERE = """\
The same shop, for a Pyroscope (and a Tempo) of yours:

  PYROSCOPE_SERVER_ADDRESS=http://localhost:4040 \\
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 \\
  {python} -m uvicorn pyroscope_otel.tools.demo.shop:app
"""


def look(server: str, shop: str, first: Sequence[Result], *, memory: bool) -> str:
    """Return where to look, once the first profiles are there.

    Args:
        server: The local server's URL.
        shop: The shop's URL.
        first: The two requests that share a trace, and one that is slower than others
            of its route.
        memory: Whether there are memory profiles.
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
        "Open it: both in time, and the flame graph of each",
        f"  {server}/#/request/{left.profile_id}",
        "",
        "One against the other",
        f"  {server}/#/difference?left={left.profile_id}&right={right.profile_id}",
        "A slow invoice against the usual one",
        f"  {server}/#/difference?left={slow.profile_id}&right=route",
        *(_memory(server) if memory else ()),
        "All requests, as they come",
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
        data: The file that they are kept in, if it is not a temporary one.
    """
    kept = f"See them as flame graphs:\n\n  pyroscope-otel serve --data {data}\n\n" if data else ""
    below = "\n".join([_ONCE, *_methods(requests)])
    return f"\n{table(server, requests)}\n{below}\n\n{kept}{_elsewhere()}"


def _memory(server: str) -> tuple[str, str]:
    address = "#/route?service=shop&route=GET+%2Fcatalog&type=alloc_space"
    return "What the route that loads all products allocates", f"  {server}/{address}"


def _methods(requests: Sequence[Result]) -> list[str]:
    return methods(one.cpu_from for one in requests)


def _elsewhere() -> str:
    python = os.path.relpath(sys.executable)
    if len(python) > len(sys.executable):
        python = sys.executable
    return _ELSEWHERE.format(python=python)

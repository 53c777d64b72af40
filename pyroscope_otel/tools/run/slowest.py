"""Lists the slowest requests of a run."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

from pyroscope_otel.tools.asking import ask, hottest
from pyroscope_otel.tools.run.cpu_time import methods, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("slowest_requests",)

_SHOWN = 5
_PAGE = 500  # the API's limit for one page
_MAX_PAGES = 20


def slowest_requests(url: str, since_ms: float) -> list[str]:
    """Return lines with the slowest requests, each with its three hottest functions.

    Args:
        url: The local server.
        since_ms: The start of the run, in milliseconds since the epoch.

    Returns:
        The lines, or none if there is no request.

    Raises:
        Unanswered: The server does not answer.
    """
    found = list(_requests(url, since_ms))
    if not found:
        return []
    slowest = heapq.nlargest(_SHOWN, found, key=lambda one: one["duration_ns"])
    count = f"{len(found)} request{'s' if len(found) > 1 else ''}"
    lines = [f"{count}. The slowest:"]
    for one in slowest:
        lines += [
            f"  {one['duration_ns'] / 1e6:6.0f} ms, {_held(one)}{shown(one)}  {one['route']}",
            f"            {_hottest(url, one)}",
            f"            {url}/#/request/{one['profile_id']}",
        ]
    return lines + methods(one["cpu_from"] for one in slowest)


def _held(request: dict[str, Any]) -> str:
    held_ns = request.get("held_ns")  # a server of an older release does not say
    return "" if held_ns is None else f"held {held_ns / 1e6:.0f} ms, "


def _hottest(url: str, request: dict[str, Any]) -> str:
    functions = hottest(url, request["profile_id"]) if request["cpu_ns"] else ""
    return functions or "hardly any CPU time: no sample hit it"


def _requests(url: str, since_ms: float) -> Iterator[dict[str, Any]]:
    """Yield the requests since then, newest first, up to a limit."""
    query = {"limit": str(_PAGE)}
    for _ in range(_MAX_PAGES):
        page = ask(url, "requests", query)
        for one in page["requests"]:
            if one["start_ms"] < since_ms:
                return
            yield one
        if page["next"] is None:
            return
        query["before"] = page["next"]

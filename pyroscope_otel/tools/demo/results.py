"""Reads the shop's requests from the local server's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyroscope_otel.tools.asking import ask, hottest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyroscope_otel.tools.demo.traffic import Request

__all__ = ("Result", "results", "table")

_MAX_REQUESTS = 500  # the API's limit for one page


class Result(NamedTuple):
    """A request that the server has stored.

    Attributes:
        trace_id: The trace id.
        route: The name of the root span.
        profile_id: The profile id on its samples and its root span.
        cpu_ms: The CPU time of its samples in milliseconds, or 0 without samples.
        cpu_from: How the CPU time was measured, as the API reports it.
    """

    trace_id: str
    route: str
    profile_id: str
    cpu_ms: float
    cpu_from: str | None


def results(url: str, sent: Iterable[Request]) -> list[Result]:
    """Return those of the requests that are among the newest on the server, oldest first."""
    traces = {one.trace_id for one in sent}
    found = ask(url, "requests", {"limit": str(_MAX_REQUESTS)})["requests"]
    return [
        Result(
            one["trace_id"],
            one["route"],
            one["profile_id"],
            (one["cpu_ns"] or 0) / 1e6,
            one["cpu_from"],
        )
        for one in reversed(found)
        if one["trace_id"] in traces
    ]


def table(url: str, requests: Iterable[Result]) -> str:
    """Return two lines for each request: its ids and CPU time, and its hottest functions."""
    lines = [f"{'trace id':32}  {'route':23}  {'profile id':16}  {'CPU ms':>6}"]
    for one in requests:
        lines += [
            f"{one.trace_id}  {one.route:23}  {one.profile_id}  {one.cpu_ms:6.0f}",
            f"    {hottest(url, one.profile_id) or 'hardly any CPU time: no sample hit it'}",
        ]
    return "\n".join(lines)

"""What the local server has of the shop's requests, asked through its API."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyroscope_otel.tools.asking import ask, hottest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyroscope_otel.tools.demo.traffic import Request

__all__ = ("Result", "results", "table")

_MOST_REQUESTS = 500  # that the API returns at once


class Result(NamedTuple):
    """A request that the server knows of.

    Attributes:
        trace_id: Its trace's id.
        route: The name of its root span.
        profile_id: What its samples and its root span carry.
        cpu_ms: The CPU time of its samples in milliseconds; 0 without samples.
        cpu_from: Where that is from, as the API has it.
    """

    trace_id: str
    route: str
    profile_id: str
    cpu_ms: float
    cpu_from: str | None


def results(url: str, sent: Iterable[Request]) -> list[Result]:
    """Return what the server knows of these requests, among the newest, oldest first."""
    traces = {one.trace_id for one in sent}
    found = ask(url, "requests", {"limit": str(_MOST_REQUESTS)})["requests"]
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
    """Return two lines for each request: what it was, and its hottest functions."""
    lines = [f"{'trace id':32}  {'route':23}  {'profile id':16}  {'CPU ms':>6}"]
    for one in requests:
        lines += [
            f"{one.trace_id}  {one.route:23}  {one.profile_id}  {one.cpu_ms:6.0f}",
            f"    {hottest(url, one.profile_id) or 'hardly any CPU time: no sample hit it'}",
        ]
    return "\n".join(lines)

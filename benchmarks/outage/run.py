"""Runs one scenario for one package, and counts what arrived."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.attribution.burn import request_of
from benchmarks.attribution.cases import CASES
from benchmarks.attribution.measure import Attribution, judge
from benchmarks.attribution.run import Agent, Package, Sampler, recorded, server_of
from benchmarks.attribution.server import ServerError
from benchmarks.outage.load import Load
from benchmarks.outage.server import UnwellServer

if TYPE_CHECKING:
    from benchmarks.outage.scenarios import Scenario
    from pyroscope_otel.pprof.pushes import PushedProfile

_CASE = CASES["fastapi-asyncio/async_def"]
_SLICE_MS = 20.0
_NANOSECONDS = 1e9
_ROUNDING_SECONDS = 0.1
"""Gaps between upload windows that are shorter than this are ignored."""


@dataclass(frozen=True)
class Outcome:
    """The results of a run.

    Attributes:
        seconds: How long the application was profiled.
        lost: How many of these seconds have no profile.
        requests: The number of requests, each with 0.2 s of CPU time.
        without: The number of requests without any sample.
        samples: The number of samples of requests that arrived.
        linked: The number of these samples with their own request's profile id.
        failures: The number of failed requests.
        slowest_before: The slowest request before the outage, in seconds.
        slowest: The slowest request since, in seconds.
        exit: The seconds that the application took to stop, or None if it had to be killed.
        tracebacks: The number of tracebacks in the application's log.
    """

    seconds: float
    lost: float
    requests: int
    without: int
    samples: int
    linked: int
    failures: int
    slowest_before: float
    slowest: float
    exit: float | None
    tracebacks: int


def run(
    scenario: Scenario, package: Package, upload_interval: int, sampler: Sampler = "auto"
) -> Outcome:
    """Run a scenario.

    Args:
        scenario: What happens to the server.
        package: The application's set-up; see `attribution.measure`.
        upload_interval: Seconds between two pushes of the agent.
        sampler: The agent's sampler; see `attribution.measure`.

    Raises:
        ServerError: The application did not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="outage-"))
    with UnwellServer() as pyroscope:
        agent = Agent(package, pyroscope.url, upload_interval, sampler)
        server = server_of(_CASE, agent, _SLICE_MS, folder)
        stopping, exited = 0.0, None
        try:
            with server:
                begin = time.time()
                with Load(server.port, _CASE.path).running() as load:
                    outage_begins = _go_through(scenario, pyroscope)
                end, stopping = time.time(), time.monotonic()
            exited = time.monotonic() - stopping
        except ServerError:
            if not stopping:
                raise  # It did not start.
        recording = recorded(load.sent, pyroscope.profiles, folder)
    shutil.rmtree(folder)
    result = Attribution(_CASE.name, package, _SLICE_MS)
    judge(recording, result)
    return Outcome(
        seconds=end - begin,
        lost=_seconds_without_profile(recording.profiles, begin, end),
        requests=load.sent,
        without=load.sent - len(_requests_in(recording.profiles)),
        samples=result.samples,
        linked=result.right,
        failures=len(load.failures),
        slowest_before=max(
            (took for sent, took in load.took if sent + took < outage_begins), default=0.0
        ),
        slowest=max(
            (took for sent, took in load.took if sent + took >= outage_begins), default=0.0
        ),
        exit=exited,
        tracebacks=result.tracebacks,
    )


def _go_through(scenario: Scenario, pyroscope: UnwellServer) -> float:
    """Go through the phases, and return the start of the first outage."""
    outage_begins = float("inf")
    for health, seconds in scenario.phases:
        pyroscope.become(health)
        if health != "well":
            outage_begins = min(outage_begins, time.monotonic())
        time.sleep(seconds)
    return outage_begins


def _seconds_without_profile(profiles: list[PushedProfile], begin: float, end: float) -> float:
    """Return the seconds without a profile between the first upload window and the end."""
    windows = sorted(
        (profile.time_nanos / _NANOSECONDS, profile.duration_nanos / _NANOSECONDS)
        for profile in profiles
        if profile.sample_type == "cpu"
    )
    if not windows:
        return end - begin
    lost, covered = 0.0, windows[0][0]
    for start, duration in [*windows, (end, 0.0)]:
        gap = start - covered
        if gap > _ROUNDING_SECONDS:
            lost += gap
        covered = max(covered, start + duration)
    return lost


def _requests_in(profiles: list[PushedProfile]) -> set[int]:
    found = {request_of(sample) for profile in profiles for sample in profile.samples}
    return found - {None}

"""Runs one case under load, and records what the agent and the tracer said."""

from __future__ import annotations

import math
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.attribution import apps_celery, burn, load, set_up, spans, without_code
from benchmarks.attribution.installed import installed, released_module
from benchmarks.attribution.server import REPOSITORY, Server
from pyroscope_otel.tools.receiver import Receiver

if TYPE_CHECKING:
    from benchmarks.attribution.cases import Case
    from pyroscope_otel.pprof.pushes import PushedProfile

Sampler = Literal["auto", "pyspy", "stack"]
SAMPLERS: tuple[Sampler, ...] = ("auto", "pyspy", "stack")
Package = Literal["old", "hand", "direct", "ours", "zero", "exact"]
PACKAGES: dict[Package, str] = {
    "old": "1.1.0",
    "hand": "by hand",
    "direct": "direct mode",
    "ours": "middleware",
    "zero": "without code",
    "exact": "exact",
}
COMPARED: tuple[Package, ...] = ("old", "hand", "direct", "ours", "zero")
_BY_LABELS = ("old", "direct", "exact")


@dataclass(frozen=True)
class Recording:
    """What came out of one run.

    Attributes:
        requests: How many requests were served.
        profiles: What the agents pushed.
        spans: What was exported, as the SDK's JSON.
        log: What the server and the application wrote.
    """

    requests: int
    profiles: list[PushedProfile]
    spans: list[dict[str, Any]]
    log: str


def reason_not_to(case: Case, package: Package, sampler: Sampler) -> str | None:
    """Return why there is nothing to measure, or None if there is."""
    if package == "zero" and case.zero_code is None:
        return "this application has no form without code"
    if sampler == "stack" and package in _BY_LABELS:
        return "the sampler Stack takes no labels of threads"
    return None


def run(  # noqa: PLR0913 a case, and the ways to run it
    case: Case,
    package: Package,
    slice_ms: float = 20,
    seconds: float = 4,
    upload_interval: int = 1,
    *,
    sampler: Sampler = "auto",
) -> Recording:
    """Serve a case's requests, until that much CPU time is burned.

    Args:
        case: The case.
        package: See `measure`.
        slice_ms: See `measure`.
        seconds: See `measure`.
        upload_interval: Seconds between two pushes of the agent. With more than
            the run takes, all there is comes from the server's graceful stop.
        sampler: See `measure`.

    Raises:
        ServerError: The server or a request failed. The message has the end of the
            server's log, which is kept in that case.
    """
    folder = Path(tempfile.mkdtemp(prefix="attribution-"))
    requests = math.ceil(seconds / burn.SECONDS_PER_REQUEST)
    with Receiver() as receiver:
        agent = Agent(package, receiver.url, upload_interval, sampler)
        with server_of(case, agent, slice_ms, folder) as server:
            try:
                if case.is_queue:
                    apps_celery.send(folder, requests)
                else:
                    load.send(case, server.port, requests)
            except (load.LoadError, TimeoutError) as error:
                raise server.failed(f"was not good: {error}") from error
        # Stopping has waited for background tasks and for the agent's last push.
        recording = recorded(requests, receiver.profiles, folder)
    shutil.rmtree(folder)
    return recording


@dataclass(frozen=True)
class Agent:
    """How an application is set up.

    Attributes:
        package: See `measure`.
        server_address: Where profiles are to go.
        upload_interval: Seconds between two pushes of the agent.
        sampler: See `measure`.
    """

    package: Package
    server_address: str
    upload_interval: int = 1
    sampler: Sampler = "auto"


def server_of(case: Case, agent: Agent, slice_ms: float, folder: Path) -> Server:
    """Return the server of a case.

    Args:
        case: The case.
        agent: How its application is set up.
        slice_ms: See `measure`.
        folder: An empty one, where its log and what it exports goes.
    """
    package = agent.package
    environment = {
        burn.SLICE_VARIABLE: str(slice_ms),
        spans.FOLDER_VARIABLE: str(folder),
        set_up.PACKAGE_VARIABLE: package,
        set_up.SERVER_VARIABLE: agent.server_address,
        set_up.UPLOAD_VARIABLE: str(agent.upload_interval),
        set_up.SAMPLER_VARIABLE: agent.sampler,
    }
    path = [str(installed(*case.requires))] if case.requires else []
    if case.measures == "alloc_space":
        environment[set_up.MEMORY_VARIABLE] = "1"
    if package == "old":
        environment[set_up.RELEASED_VARIABLE] = str(released_module())
    if package == "zero":
        without_code.offer_exporter(folder)
        path.append(str(folder))
        environment |= without_code.environment(
            case, agent.server_address, agent.upload_interval, agent.sampler
        )
    environment["PYTHONPATH"] = os.pathsep.join([*path, str(REPOSITORY)])
    has_our_adapter = package in ("ours", "direct")
    stop_by = signal.SIGTERM if has_our_adapter else case.program.runs_exit_handlers_on
    below = without_code.COMMAND if package == "zero" else ()
    return Server(case, environment, folder / "log", stop_by, below)


def recorded(requests: int, profiles: list[PushedProfile], folder: Path) -> Recording:
    """Return what came out of a server that has been stopped."""
    log = (folder / "log").read_text(errors="replace")
    return Recording(requests, profiles, spans.read(folder), log)

"""Runs one case under load, and records its profiles and spans."""

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
    """The results of one run.

    Attributes:
        requests: The number of requests.
        profiles: The profiles that the agents pushed.
        spans: The exported spans, as the SDK's JSON.
        log: The output of the server and the application.
    """

    requests: int
    profiles: list[PushedProfile]
    spans: list[dict[str, Any]]
    log: str


def reason_not_to(case: Case, package: Package, sampler: Sampler) -> str | None:
    """Return the reason to skip a measurement, or None."""
    if package == "zero" and case.zero_code is None:
        return "this application cannot be set up without code"
    if sampler == "stack" and package in _BY_LABELS:
        return "the sampler Stack ignores thread labels"
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
    """Serve the requests of a case, until they have burned this much CPU time.

    Args:
        case: The case.
        package: See `measure`.
        slice_ms: See `measure`.
        seconds: See `measure`.
        upload_interval: Seconds between two pushes of the agent. If this is longer than the
            run, all samples are pushed when the server stops gracefully.
        sampler: See `measure`.

    Raises:
        ServerError: The server or a request failed. The message includes the end of the
            server's log, and the log is kept.
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
        # The stop has waited for background tasks and for the agent's last push.
        recording = recorded(requests, receiver.profiles, folder)
    shutil.rmtree(folder)
    return recording


@dataclass(frozen=True)
class Agent:
    """The set-up of an application.

    Attributes:
        package: See `measure`.
        server_address: The address for profiles.
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
        agent: The set-up of its application.
        slice_ms: See `measure`.
        folder: An empty folder for its log and its exported spans.
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
    """Return the results of a server that has stopped."""
    log = (folder / "log").read_text(errors="replace")
    return Recording(requests, profiles, spans.read(folder), log)

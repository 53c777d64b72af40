"""Builds the environment that makes the command send to the local server."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pyroscope_otel.tools.run.inside.notes import FOLDER_VARIABLE
from pyroscope_otel.tools.run.inside.whole_run import SCRIPT_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("decisive_variables", "environment")

_STARTUP = Path(__file__).parent / "startup"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROXIES = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")

# Variables that, if the user sets them, can keep requests from being shown.
_DECISIVE = (
    "PYROSCOPE_SERVER_ADDRESS",
    "PYROSCOPE_ENABLED",
    "PYROSCOPE_PROFILING_ENABLED",
    *_ENDPOINTS,
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
)


def environment(  # noqa: PLR0913 -- what it is made of
    users: Mapping[str, str],
    *,
    url: str,
    name: str,
    notes: str,
    sampler: str | None = None,
    memory: bool = False,
) -> dict[str, str]:
    """Return the environment for the command.

    The user's variables are kept, unless an option on the command line overrides one.

    Args:
        users: The user's environment.
        url: The local server, for profiles and traces.
        name: The name of the service.
        notes: The folder in which the processes leave notes.
        sampler: The sampler, or None for the default.
        memory: Whether to take memory profiles.
    """
    ours = {
        "PYROSCOPE_SERVER_ADDRESS": url,
        "PYROSCOPE_UPLOAD_INTERVAL": "1s",
        "OTEL_BSP_SCHEDULE_DELAY": "500",  # milliseconds
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
    }
    if not any(users.get(variable) for variable in _ENDPOINTS):
        ours["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{url}/v1/traces"
        # The user's protocol for metrics and logs stays.
        ours["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
    attributes = users.get("OTEL_RESOURCE_ATTRIBUTES", "")
    named = re.search(r"(?:^|,)\s*service\.name\s*=\s*([^,]+)", attributes)
    ours["OTEL_SERVICE_NAME"] = (
        users.get("PYROSCOPE_APPLICATION_NAME") or (named and unquote(named[1].strip())) or name
    )
    made = {**ours, **{variable: value for variable, value in users.items() if value}}
    if sampler is not None:
        made["PYROSCOPE_CPU_IMPLEMENTATION"] = sampler
    if memory:
        made["PYROSCOPE_MEM_ENABLED"] = "true"
    made[FOLDER_VARIABLE] = notes
    made[SCRIPT_VARIABLE] = "1"
    made["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_STARTUP), users.get("PYTHONPATH")]))
    if any(users.get(proxy) for proxy in _PROXIES):
        for variable in ("NO_PROXY", "no_proxy"):
            made[variable] = ",".join(filter(None, [users.get(variable), "127.0.0.1"]))
    return made


def decisive_variables(users: Mapping[str, str]) -> list[str]:
    """Return the user's variables that may keep requests from being shown."""
    return [variable for variable in _DECISIVE if users.get(variable)]

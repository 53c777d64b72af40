"""Reads a span's profile back from a Pyroscope server or from the local server.

Pyroscope's query API is Connect with JSON. The methods and field names come from
`querier.v1` and `types.v1` in Grafana Pyroscope's public schema.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Protocol

from pyroscope_otel.tools.doctor.bounded_http import Answer, Unreachable, send
from pyroscope_otel.tools.doctor.target import SERVICE_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroscope_otel.tools.doctor.target import Target

CPU_TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
"""The profile type of the Python agent's CPU profiles."""

_QUERIER = "/querier.v1.QuerierService/"
PUSHED_BY_HAND = {"doctor": "push"}
"""The label of samples that the doctor pushes itself, without an agent."""

_SELECTOR = f'{{service_name="{SERVICE_NAME}"}}'
_BY_AN_AGENT = f'{{service_name="{SERVICE_NAME}",doctor!="push"}}'
_BEFORE_SECONDS = 600
_AFTER_SECONDS = 60
_OK = 200


class CannotRead(Exception):  # noqa: N818  reads better where it is caught
    """The server refuses to return profiles. The message gives the reason."""


class Reader(Protocol):
    """Reads the doctor's own profiles from a server."""

    is_local: bool

    def span_nanoseconds(self, span_id: str) -> int:
        """Return the CPU time in a span's profile, or 0 if there is no profile (yet).

        Raises:
            CannotRead: If the server refuses.
        """

    def service_total(self) -> int:
        """Return a number that grows with the doctor's samples, with or without a span.

        Raises:
            CannotRead: If the server refuses.
        """

    def shows_a_service(self) -> bool:
        """Return whether the server shows any service at all.

        Raises:
            CannotRead: If the server refuses.
        """


def reader_for(target: Target) -> Reader:
    """Return a reader for the kind of server at the target."""
    status = _json(target, "/api/status")
    if status is not None and "samples_without_request" in status:
        return LocalReader(target)
    return PyroscopeReader(target)


class LocalReader:
    """Reads from `pyroscope-otel serve`."""

    is_local = True

    def __init__(self, target: Target) -> None:
        self._target = target

    def span_nanoseconds(self, span_id: str) -> int:
        """Return the CPU time in a span's profile, or 0 if there is no profile."""
        graph = _json(self._target, f"/api/flamegraph?profile_id={span_id}")
        return _whole((graph or {}).get("total_ns"))

    def service_total(self) -> int:
        """Return the number of samples without a request, as the local server has no total."""
        status = _json(self._target, "/api/status") or {}
        return _whole(status.get("samples_without_request"))

    def shows_a_service(self) -> bool:
        """Return True: the local server shows at once what it has stored."""
        return True


class PyroscopeReader:
    """Reads from a Pyroscope server's query API."""

    is_local = False

    def __init__(self, target: Target) -> None:
        self._target = target

    def span_nanoseconds(self, span_id: str) -> int:
        """Return the CPU time in a span's profile, or 0 if there is no profile (yet)."""
        return self._total(
            "SelectMergeSpanProfile",
            {
                "profileTypeID": CPU_TYPE,
                "labelSelector": _SELECTOR,
                "spanSelector": [span_id],
            },
        )

    def service_total(self) -> int:
        """Return the CPU time in all profiles from the doctor's agents."""
        return self._total(
            "SelectMergeStacktraces", {"profileTypeID": CPU_TYPE, "labelSelector": _BY_AN_AGENT}
        )

    def shows_a_service(self) -> bool:
        """Return whether any series has a service name."""
        return bool(self._label_values("service_name", []))

    def label_values(self, name: str) -> list[str]:
        """Return the values of a label among the doctor's series.

        Raises:
            CannotRead: If the server refuses.
        """
        return self._label_values(name, [_SELECTOR])

    def _label_values(self, name: str, matchers: list[str]) -> list[str]:
        names = self._query("LabelValues", {"name": name, "matchers": matchers}).get("names", [])
        return [str(one) for one in names] if isinstance(names, list) else []

    def _total(self, method: str, query: Mapping[str, object]) -> int:
        graph = self._query(method, query).get("flamegraph")
        return _whole(graph.get("total")) if isinstance(graph, dict) else 0

    def _query(self, method: str, query: Mapping[str, object]) -> dict[str, Any]:
        now = time.time()
        times = {
            "start": round((now - _BEFORE_SECONDS) * 1000),
            "end": round((now + _AFTER_SECONDS) * 1000),
        }
        try:
            answer = send(
                self._target.read_address + _QUERIER + method,
                headers={**self._target.read_headers, "Content-Type": "application/json"},
                body=json.dumps({**query, **times}).encode(),
            )
        except Unreachable as error:
            raise CannotRead(str(error)) from error
        content = _object(answer)
        if answer.status == _OK and content is not None:
            return content
        raise CannotRead(f"it answered {answer.status} to a query: {answer.text or 'nothing'}")


def _json(target: Target, path: str) -> dict[str, Any] | None:
    """Return the JSON from the local server's API, or None if this is not a local server."""
    try:
        answer = send(target.read_address + path, headers=target.read_headers)
    except Unreachable:
        return None
    return _object(answer) if answer.status == _OK else None


def _object(answer: Answer) -> dict[str, Any] | None:
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _whole(number: object) -> int:
    """Return a number from the query API. Protobuf's JSON encodes an int64 as a string."""
    try:
        return max(0, int(str(number)))
    except ValueError:
        return 0

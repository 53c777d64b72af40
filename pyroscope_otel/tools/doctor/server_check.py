"""Checks that the Pyroscope server is reachable, accepts a push, and separates trace ids."""

from __future__ import annotations

import json
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyroscope_otel.setup.findings.credentials import is_this_machine
from pyroscope_otel.setup.findings.finding import Finding, fine, note, problem
from pyroscope_otel.tools.doctor.bounded_http import Answer, Unreachable, send
from pyroscope_otel.tools.doctor.push import PUSH_HEADERS, PUSH_PATH, push_body
from pyroscope_otel.tools.doctor.reading import (
    PUSHED_BY_HAND,
    CannotRead,
    LocalReader,
    PyroscopeReader,
    reader_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroscope_otel.tools.doctor.reading import Reader
    from pyroscope_otel.tools.doctor.target import Target

_ARRIVAL_SECONDS = 15.0
# Pyroscope 2.2.1 showed a lone push to a tenant without data after 241 s.
_NEW_SERVER_SECONDS = 250.0
_POLL_SECONDS = 0.5
_PUSH_AGAIN_SECONDS = 5.0

_REDIRECTS = range(300, 400)


@dataclass(frozen=True)
class ServerCheck:
    """What was found about the server.

    Attributes:
        findings: The findings.
        reader: Reads profiles back. None if the server takes no push.
        push: Pushes another sample.
    """

    findings: list[Finding]
    reader: Reader | None = None
    push: Callable[[], object] = bool


def check_server(target: Target, *, uses_trace_id: bool) -> ServerCheck:
    """Push one sample as the agent would, and judge the result.

    Args:
        target: The server.
        uses_trace_id: Whether the setting `span_labels` includes `trace_id`.
    """
    span_id, trace_id = secrets.token_hex(8), secrets.token_hex(16)

    def push() -> Answer:
        return send(
            target.address + PUSH_PATH,
            headers={**target.headers, **PUSH_HEADERS},
            body=push_body(
                {**target.labels, **PUSHED_BY_HAND}, {"span_id": span_id, "trace_id": trace_id}
            ),
        )

    try:
        answer = push()
    except Unreachable as error:
        return ServerCheck([_unreachable(target, str(error))])
    if answer.status != HTTPStatus.OK:
        return ServerCheck([_refused(target, answer)])
    reader = reader_for(target)
    version = _version(target, reader)
    return ServerCheck(
        [
            fine("server-accepts-push", f"{target.shown} takes a push ({version})."),
            _trace_id(reader, push, span_id, trace_id, uses_trace_id=uses_trace_id),
        ],
        reader,
        push,
    )


def _unreachable(target: Target, reason: str) -> Finding:
    remedy = (
        "Start the server, or set server_address (PYROSCOPE_SERVER_ADDRESS) to where it is. For "
        "one to try things with: pyroscope-otel serve."
    )
    if is_this_machine(urlsplit(target.address).hostname or ""):
        remedy += " In a container, localhost is the container itself."
    return problem(
        "server-unreachable",
        f"The Pyroscope server at {target.shown} cannot be reached: no profile arrives.",
        remedy,
        reason,
    )


def _refused(target: Target, answer: Answer) -> Finding:
    server = f"The Pyroscope server at {target.shown}"
    words = f"HTTP {answer.status}: {answer.text}" if answer.text else f"HTTP {answer.status}"
    if _is_about_tenants(answer):
        return _wrong_tenant(server, _tenant(target), words)
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return problem(
            "server-refuses-credentials",
            f"{server} refuses the credentials: no profile arrives.",
            "Set basic_auth_username and basic_auth_password, or auth_token, to credentials that "
            "may write profiles. In Grafana Cloud, the user is the stack's number under "
            "Pyroscope, and the token needs profiles:write.",
            words,
        )
    if answer.status in _REDIRECTS:
        return problem(
            "server-redirects",
            f"{server} sends the push elsewhere, to {answer.location or 'nowhere'}: no profile "
            "arrives.",
            "Set server_address to where it leads, if that is a Pyroscope server; a login page "
            "means that a proxy wants credentials.",
            words,
        )
    if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        return problem(
            "server-is-no-pyroscope",
            f"The server at {target.shown} takes no pushes: no profile arrives.",
            "Set server_address to the Pyroscope server's own URL, with its path prefix if it has "
            "one; not to Grafana, Tempo or an OTLP endpoint.",
            words,
        )
    if answer.status == HTTPStatus.BAD_REQUEST:
        return problem(
            "server-refuses-labels",
            f"{server} refuses a push with the labels in the settings: no profile arrives.",
            "Change the tags (PYROSCOPE_LABELS): names consist of letters, digits and "
            "underscores, and the server limits their number and length.",
            words,
        )
    return problem(
        "server-refuses-push",
        f"{server} does not take a push: no profile arrives.",
        f"A server that is still starting answers so: wait until {target.shown}/ready says ready. "
        "If it does, its log says more."
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        else "Its response gives the reason: its rate limit (429), or its size limit (413).",
        words,
    )


def _wrong_tenant(server: str, tenant: str, words: str) -> Finding:
    if not tenant:
        return problem(
            "server-needs-tenant",
            f"{server} has several tenants and was not told which: no profile arrives.",
            "Set tenant_id (PYROSCOPE_TENANT_ID).",
            words,
        )
    return problem(
        "server-refuses-tenant",
        f"{server} refuses the tenant {tenant!r}: no profile arrives.",
        "Set tenant_id (PYROSCOPE_TENANT_ID) to the name of one tenant: at most 150 letters, "
        "digits and !-_.*'(). Several tenants joined with | work only in queries.",
        words,
    )


def _is_about_tenants(answer: Answer) -> bool:
    """Return whether a refusal is about the tenant. Servers use two names for it."""
    is_refusal = answer.status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
    )
    return is_refusal and re.search(r"\b(org|tenant) ids?\b", answer.text.lower()) is not None


def _tenant(target: Target) -> str:
    names = {name.lower(): value for name, value in target.headers.items()}
    return names.get("x-scope-orgid", "")


def _version(target: Target, reader: Reader) -> str:
    if isinstance(reader, LocalReader):
        return "pyroscope-otel serve"
    try:
        answer = send(target.read_address + "/api/v1/status/buildinfo", headers=target.read_headers)
        version = json.loads(answer.body)["data"]["version"]
    except (Unreachable, ValueError, RecursionError, LookupError, TypeError):
        return "of unknown version"
    return f"Pyroscope {version}" if isinstance(version, str) and version else "of unknown version"


def _trace_id(
    reader: Reader,
    push: Callable[[], object],
    span_id: str,
    trace_id: str,
    *,
    uses_trace_id: bool,
) -> Finding:
    """Find out what the server did with the sample's trace id.

    The version does not tell: there are backports, forks, and services that report none. So
    look for the pushed sample, by its span and among the series.
    """
    try:
        is_there = arrives(reader, span_id, push)
        series = reader.label_values("trace_id") if isinstance(reader, PyroscopeReader) else []
    except CannotRead as error:
        return _cannot_tell(str(error))
    if trace_id in series:
        return _makes_series(uses_trace_id=uses_trace_id)
    if not is_there:
        return _cannot_tell("the pushed sample was not found there in time")
    return fine(
        "trace-id-separated",
        "The server separates the label trace_id from its series: it is safe in span_labels.",
    )


def _cannot_tell(reason: str) -> Finding:
    return note(
        "trace-id-unknown",
        "Cannot tell whether the server separates the label trace_id from its series.",
        "Leave trace_id out of span_labels unless the server is Pyroscope 2.1 or later. To check "
        "it, give credentials that may also read, or name the server to read from with "
        "--read-from.",
        reason,
    )


def _makes_series(*, uses_trace_id: bool) -> Finding:
    summary = "The server makes a series of each trace_id, as Pyroscope before 2.1 does"
    if not uses_trace_id:
        return note("trace-id-makes-series", f"{summary}: keep it out of span_labels.")
    return problem(
        "trace-id-makes-series",
        f"{summary}: it will slow down and hit its limits.",
        "Take trace_id out of span_labels (PYROSCOPE_SPAN_LABELS), or update the server.",
    )


def arrives(reader: Reader, span_id: str, push: Callable[[], object]) -> int:
    """Wait until a span's profile can be read, and return its CPU time, or 0 if it never can.

    A server accepts a push before the data can be queried. Pyroscope 2, by default, shows
    nothing of a tenant's first push until its first compaction. That is after some 40 s, and
    only when another push triggers it. The server also caches an empty result for a minute.
    So this function pushes again, and waits longer while the server shows nothing at all.

    Args:
        reader: Reads profiles from the server.
        span_id: The id of the span.
        push: Pushes another sample.

    Raises:
        CannotRead: If the server refuses.
    """
    begin = pushed = time.monotonic()
    deadline = begin + _ARRIVAL_SECONDS
    while True:
        nanoseconds = reader.span_nanoseconds(span_id)
        now = time.monotonic()
        if nanoseconds or now > deadline:
            return nanoseconds
        if not reader.shows_a_service():
            deadline = min(now + _ARRIVAL_SECONDS, begin + _NEW_SERVER_SECONDS)
        if now - pushed > _PUSH_AGAIN_SECONDS:
            pushed = now
            with suppress(Unreachable):
                push()
        time.sleep(_POLL_SECONDS)

"""The check of the Pyroscope server: each fault, over real HTTP."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from contextlib import suppress

import pytest

from pyroscope_otel.tools.doctor import server_check as server_checks
from pyroscope_otel.tools.doctor.server_check import check_server
from tests.tools.doctor.judging import codes, target
from tests.tools.doctor.pyroscope_server import PUSH, serving

TOKEN = {"auth_token": "abc"}


def test_server_that_accepts_pushes_and_separates_trace_ids(address, pyroscope_server):
    check = check_server(target(address, tags={"region": "eu"}), uses_trace_id=True)
    assert codes(check.findings) == ["server-accepts-push", "trace-id-separated"]
    assert check.findings[0].summary == f"{address} takes a push (Pyroscope 2.2.1)."
    (stored,) = pyroscope_server.stored
    labels, span_id, value = stored
    assert labels == {
        "region": "eu",
        "service_name": "pyroscope-otel-doctor",
        "doctor": "push",
    }
    assert len(span_id) == 16
    assert value == 10_000_000


def test_local_server(local_server):
    check = check_server(target(local_server.url), uses_trace_id=True)
    assert codes(check.findings) == ["server-accepts-push", "trace-id-separated"]
    assert "pyroscope-otel serve" in check.findings[0].summary


def test_server_that_makes_a_series_for_each_trace(address, pyroscope_server):
    pyroscope_server.separates_trace_id = False
    used = check_server(target(address), uses_trace_id=True)
    assert codes(used.findings) == ["server-accepts-push", "trace-id-makes-series!"]
    unused = check_server(target(address), uses_trace_id=False)
    assert codes(unused.findings) == ["server-accepts-push", "trace-id-makes-series"]


@pytest.mark.parametrize("reason", ["may not read", "does not arrive"])
def test_unknown_use_of_trace_ids(address, pyroscope_server, reason):
    pyroscope_server.may_read = reason != "may not read"
    pyroscope_server.keeps = lambda _: reason != "does not arrive"
    check = check_server(target(address), uses_trace_id=True)
    assert codes(check.findings) == ["server-accepts-push", "trace-id-unknown"]
    assert (
        check.findings[1].detail
        == {
            "may not read": "it answered 403 to a query: "
            '{"code": "permission_denied", "message": "missing scope profiles:read"}',
            "does not arrive": "the pushed sample was not found there in time",
        }[reason]
    )


def test_new_server_that_shows_its_first_profile_late(address, pyroscope_server, monkeypatch):
    monkeypatch.setattr(server_checks, "_ARRIVAL_SECONDS", 3.0)
    monkeypatch.setattr(server_checks, "_NEW_SERVER_SECONDS", 60.0)
    shows_from = time.monotonic() + 4
    pyroscope_server.shows = lambda: time.monotonic() > shows_from
    check = check_server(target(address), uses_trace_id=True)
    assert codes(check.findings) == ["server-accepts-push", "trace-id-separated"]


def test_new_server_that_shows_nothing_without_more_pushes(address, pyroscope_server, monkeypatch):
    """Pyroscope checks the age of its data when another push arrives."""
    monkeypatch.setattr(server_checks, "_ARRIVAL_SECONDS", 30.0)
    monkeypatch.setattr(server_checks, "_NEW_SERVER_SECONDS", 30.0)
    monkeypatch.setattr(server_checks, "_PUSH_AGAIN_SECONDS", 0.1)
    pyroscope_server.shows = lambda: len(pyroscope_server.stored) > 2
    check = check_server(target(address), uses_trace_id=True)
    assert codes(check.findings) == ["server-accepts-push", "trace-id-separated"]
    assert {span_id for _, span_id, _ in pyroscope_server.stored} == {pyroscope_server.stored[0][1]}


def test_server_that_shows_other_profiles_is_not_new(address, pyroscope_server, monkeypatch):
    check_server(target(address), uses_trace_id=True)
    pyroscope_server.keeps = lambda _: False
    monkeypatch.setattr(server_checks, "_NEW_SERVER_SECONDS", math.inf)
    check = check_server(target(address), uses_trace_id=True)
    assert codes(check.findings) == ["server-accepts-push", "trace-id-unknown"]


def test_separate_server_for_queries(address, pyroscope_server):
    def pass_on(method, path, headers, body):
        return pyroscope_server.answer(method, path, headers, body) if path == PUSH else (404, "")

    with serving(pass_on) as alloy:
        alone = check_server(target(alloy), uses_trace_id=False)
        both = check_server(target(alloy, read_from=address + "/"), uses_trace_id=False)
    assert codes(alone.findings) == ["server-accepts-push", "trace-id-unknown"]
    assert codes(both.findings) == ["server-accepts-push", "trace-id-separated"]


def test_separate_server_for_queries_with_its_own_credentials(pyroscope_server):
    def answer(method, path, headers, body):
        pyroscope_server.authorization = "Bearer abc" if path == PUSH else "Basic bWU6cHc="
        return pyroscope_server.answer(method, path, headers, body)

    with serving(answer) as guarded:
        to_read = guarded.replace("//", "//me:pw@")
        check = check_server(target(guarded, read_from=to_read, **TOKEN), uses_trace_id=False)
        without = check_server(target(guarded, **TOKEN), uses_trace_id=False)
    assert codes(check.findings) == ["server-accepts-push", "trace-id-separated"]
    assert codes(without.findings) == ["server-accepts-push", "trace-id-unknown"]


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"auth_token": "abc"}, "Bearer abc"),
        ({"basic_auth_username": "me", "basic_auth_password": "pw"}, "Basic bWU6cHc="),
        ({"http_headers": {"Authorization": "Token x"}}, "Token x"),
    ],
)
def test_credentials(address, pyroscope_server, settings, header):
    pyroscope_server.authorization = header
    refused = check_server(target(address), uses_trace_id=False)
    assert codes(refused.findings) == ["server-refuses-credentials!"]
    assert refused.reader is None
    assert "invalid token" in refused.findings[0].detail
    taken = check_server(target(address, **settings), uses_trace_id=False)
    assert codes(taken.findings) == ["server-accepts-push", "trace-id-separated"]


def test_credentials_in_the_address(address, pyroscope_server):
    pyroscope_server.authorization = "Basic bWU6cC93"
    with_login = target(address.replace("//", "//me:p%2Fw@"))
    assert codes(check_server(with_login, uses_trace_id=False).findings)[0] == "server-accepts-push"
    assert with_login.shown == address


def test_tenant(address, pyroscope_server):
    pyroscope_server.tenant = "team"
    refused = check_server(target(address), uses_trace_id=False)
    assert codes(refused.findings) == ["server-needs-tenant!"]
    taken = check_server(target(address, tenant_id="team"), uses_trace_id=False)
    assert codes(taken.findings)[0] == "server-accepts-push"


@pytest.mark.parametrize(
    ("tenant", "status", "words"),
    [
        ("team/shop eu", 401, "tenant ID 'team/shop eu' contains unsupported character '/'"),
        ("team/shop eu", 400, "tenant ID 'team/shop eu' contains unsupported character '/'"),
        ("a|b", 401, "multiple org IDs present"),
        ("x" * 151, 401, "tenant ID is too long: max 150 characters"),
    ],
)
@pytest.mark.parametrize("as_header", [False, True])
def test_refused_tenant(tenant, status, words, as_header):
    given = {"http_headers": {"x-scope-orgid": tenant}} if as_header else {"tenant_id": tenant}
    with serving(lambda *_: (status, words)) as refusing:
        (finding,) = check_server(target(refusing, **given), uses_trace_id=False).findings
    assert codes([finding]) == ["server-refuses-tenant!"]
    assert f"refuses the tenant {tenant!r}" in finding.summary
    assert "one tenant" in finding.remedy


def test_refused_labels(address):
    check = check_server(target(address, tags={"not allowed": "x"}), uses_trace_id=False)
    assert codes(check.findings) == ["server-refuses-labels!"]
    assert "invalid label name" in check.findings[0].detail


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((404, "404 page not found"), "server-is-no-pyroscope!"),
        ((405, ""), "server-is-no-pyroscope!"),
        ((302, "", {"Location": "https://login.example/"}), "server-redirects!"),
        ((413, "too large"), "server-refuses-push!"),
        ((429, "rate limit"), "server-refuses-push!"),
        ((503, "not ready"), "server-refuses-push!"),
        ((403, "no"), "server-refuses-credentials!"),
    ],
)
def test_refused_push(answer, expected):
    with serving(lambda *_: answer) as address:
        check = check_server(target(address), uses_trace_id=False)
    assert codes(check.findings) == [expected]
    assert check.reader is None
    assert check.findings[0].detail.startswith(f"HTTP {answer[0]}")
    if answer[0] == 302:
        assert "https://login.example/" in check.findings[0].summary


@pytest.mark.parametrize(
    ("status", "content"),
    [
        # From Pyroscope, before its components have found each other.
        (500, {"code": "unknown", "message": "rpc error: desc = service is unavailable"}),
        (503, "not ready"),
    ],
)
def test_server_that_is_still_starting(status, content):
    with serving(lambda *_: (status, content)) as address:
        (finding,) = check_server(target(address), uses_trace_id=False).findings
    assert codes([finding]) == ["server-refuses-push!"]
    assert f"wait until {address}/ready says ready" in finding.remedy


def test_remedy_for_a_rate_limit_is_not_to_wait():
    with serving(lambda *_: (429, "rate limit")) as address:
        (finding,) = check_server(target(address), uses_trace_id=False).findings
    assert "ready" not in finding.remedy


def test_nothing_listens(closed_port):
    check = check_server(target(f"http://127.0.0.1:{closed_port}"), uses_trace_id=False)
    assert codes(check.findings) == ["server-unreachable!"]
    assert check.findings[0].detail == os.strerror(111)


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST", "127.0.0.2"])
def test_remedy_for_localhost_mentions_containers(closed_port, host):
    check = check_server(target(f"http://{host}:{closed_port}"), uses_trace_id=False)
    (finding,) = check.findings
    assert "In a container, localhost is the container itself." in finding.remedy


@pytest.mark.parametrize("host", ["nowhere.invalid", "localhost.nowhere.invalid"])
def test_unknown_host(host):
    check = check_server(target(f"http://{host}:4040"), uses_trace_id=False)
    assert codes(check.findings) == ["server-unreachable!"]
    assert "container" not in check.findings[0].remedy


def test_server_that_never_answers(monkeypatch):
    monkeypatch.setattr("pyroscope_otel.tools.doctor.bounded_http._SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        check = check_server(target(address), uses_trace_id=False)
    assert codes(check.findings) == ["server-unreachable!"]
    assert "answer" in check.findings[0].detail


def test_server_whose_answer_never_ends(monkeypatch):
    monkeypatch.setattr("pyroscope_otel.tools.doctor.bounded_http._SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip():
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not is_over.wait(0.05):
                    connection.sendall(b"x")

        is_over = threading.Event()
        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        check = check_server(target(address), uses_trace_id=False)
        was_dripping = thread.is_alive()
        is_over.set()
        thread.join()
    assert codes(check.findings) == ["server-unreachable!"]
    assert was_dripping


def test_https_address_of_an_http_server(address):
    check = check_server(target(address.replace("http:", "https:")), uses_trace_id=False)
    assert codes(check.findings) == ["server-unreachable!"]
    assert "it does not speak TLS" in check.findings[0].detail


def test_server_that_does_not_speak_http():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet():
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                connection.recv(65536)

        thread = threading.Thread(target=greet)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        check = check_server(target(address), uses_trace_id=False)
        thread.join()
    assert codes(check.findings) == ["server-unreachable!"]


def test_query_api_with_a_malformed_answer(pyroscope_server):
    def answer(method, path, headers, body):
        if path == PUSH:
            return pyroscope_server.answer(method, path, headers, body)
        return 200, "[" * 100_000

    with serving(answer) as address:
        check = check_server(target(address), uses_trace_id=False)
    assert codes(check.findings) == ["server-accepts-push", "trace-id-unknown"]
    assert "of unknown version" in check.findings[0].summary

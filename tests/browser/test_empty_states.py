"""What the page shows if data is missing, and the remedies that it suggests."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pyroscope_otel.tools.serve import LocalServer
from tests.browser.sending import Span, send_request, send_samples, send_spans
from tests.browser.shop_stacks import SEARCH
from tests.browser.waiting import eventually

WORK = [([SEARCH], 5)]


def finding(page, name):
    return page.locator(f"[data-finding={name}]")


def test_nothing_has_arrived(server, open_page):
    page = open_page(server.url)
    expect(page.get_by_role("heading", name="Waiting for a first request")).to_be_visible()
    expect(finding(page, "nothing")).to_contain_text("pyroscope-otel doctor")
    expect(page.get_by_label("Service")).to_be_hidden()


def test_each_way_to_start_has_a_tab_with_the_address_of_this_server(open_page):
    with LocalServer(port=0, otlp_port=0) as server:
        page = open_page(server.url)
        code = finding(page, "nothing").locator(".way code")
        port = server.url.rpartition(":")[2]
        expect(code.first).to_contain_text("pip install '.[local]'")
        expect(code.nth(1)).to_have_text(f"pyroscope-otel run --port {port} uvicorn app:app")
        tabs = page.get_by_role("group", name="Ways to start").get_by_role("button")
        for name in ("FastAPI", "Django", "Flask", "Without code"):
            tabs.get_by_text(name, exact=True).click()
            expect(code.first).to_contain_text("pip install '.[")
            expect(code.last).to_contain_text(f"PYROSCOPE_SERVER_ADDRESS={server.url}")
            expect(code.last).to_contain_text(f"OTEL_EXPORTER_OTLP_ENDPOINT={server.otlp_url}")
        page.goto("about:blank")


@pytest.mark.parametrize("way", ["FastAPI", "Flask"])
def test_code_in_the_tabs_works(server, open_page, way, tmp_path):
    page = open_page(server.url)
    page.get_by_role("button", name=way, exact=True).click()
    source = page.locator(".way code").nth(1).inner_text()
    (tmp_path / "app.py").write_text(source)
    command = page.locator(".way code").last.inner_text()
    port = free_port()
    bin_folder = str(Path(sys.executable).parent)
    process = subprocess.Popen(
        ["sh", "-c", f"{command} --port {port}"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"},
        start_new_session=True,
    )
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/work"), expected=True)
        row = page.locator("table.requests tbody tr").first
        expect(row).to_contain_text("GET /work", timeout=20_000)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  the test's own application
            return answer.status == 200
    except OSError:
        return False


def test_code_can_be_copied(server, open_page):
    page = open_page(server.url, permissions=["clipboard-read", "clipboard-write"])
    block = page.locator(".way .copied").first
    block.get_by_role("button", name="Copy code").click()
    expect(block.get_by_role("button")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == block.locator("code").inner_text()


def test_no_traces(server, open_page):
    send_samples(server.url, WORK, span_id="1" * 16)
    page = open_page(server.url)
    expect(finding(page, "no-traces")).to_contain_text("Profiles arrive, traces do not")
    expect(finding(page, "no-traces")).to_contain_text(f"OTEL_EXPORTER_OTLP_ENDPOINT={server.url}")


def test_no_pushes(server, open_page):
    send_spans(server.url, Span("GET /first", stacks=[]))
    page = open_page(server.url)
    expect(finding(page, "no-pushes")).to_contain_text(f"PYROSCOPE_SERVER_ADDRESS={server.url}")
    expect(page.locator("table.requests tbody tr")).to_have_count(1)


def test_pushes_without_span_ids(server, open_page):
    send_spans(server.url, Span("GET /first", stacks=[]))
    send_samples(server.url, WORK)
    page = open_page(server.url)
    expect(finding(page, "no-labels")).to_contain_text("PyroscopeSpanProcessor")
    expect(page.locator("table.requests tbody tr")).to_have_count(1)


def test_spans_without_a_profile(server, open_page):
    send_spans(server.url, Span("GET /first", stacks=None))
    send_samples(server.url, WORK)
    page = open_page(server.url)
    expect(finding(page, "no-local-roots")).to_contain_text("pyroscope.profile.id")


def test_no_finding_if_nothing_is_missing(shop, open_page):
    page = open_page(shop.url)
    expect(page.locator("[data-finding]")).to_have_count(0)


def test_finding_disappears_when_the_missing_data_arrives(server, open_page):
    span = Span("GET /first", stacks=[])
    send_spans(server.url, span)
    page = open_page(server.url)
    expect(finding(page, "no-pushes")).to_be_visible()
    send_samples(server.url, WORK, span_id=span.id)
    expect(finding(page, "no-pushes")).to_have_count(0)


def test_request_without_samples(server, open_page):
    page = open_page(server.url)
    for ago, milliseconds, title, reasons in (
        (600, 1.5, "No sample hit this request", ["two sampling periods", "waits", "GIL"]),
        (600, 500, "No sample hit this request", ["waits", "GIL"]),
        (0, 500, "No sample yet", ["every 10 seconds", "waits", "GIL"]),
    ):
        span = Span("GET /idle", milliseconds=milliseconds, stacks=[])
        page.goto(f"{server.url}/#/request/{send_request(server.url, span, ago=ago)}")
        found = finding(page, "no-samples")
        expect(found.get_by_role("heading")).to_have_text(title)
        expect(found.locator("li")).to_have_count(len(reasons))
        for item, reason in zip(found.locator("li").all(), reasons, strict=True):
            expect(item).to_contain_text(reason)
        expect(page.locator("a[download]")).to_have_count(0)


def test_no_routes(server, open_page):
    page = open_page(server.url, "#/routes")
    expect(finding(page, "nothing")).to_be_visible()


def test_request_and_route_that_are_no_longer_stored(shop, open_page):
    page = open_page(shop.url)
    page.expected.append("404 (Not Found)")
    for address in ("#/request/ffffffffffffffff", "#/route?service=shop&route=GET+%2Fgone"):
        page.goto(f"{shop.url}/{address}")
        expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
        expect(page.locator("main")).to_contain_text("limited time")
        expect(page.locator("main p").first).to_have_text(re.compile(r"No request [^.]* stored\."))
        page.get_by_role("link", name="All requests").click()
        expect(page.locator("table.requests tbody tr")).to_have_count(5)


def test_unknown_address(shop, open_page):
    page = open_page(shop.url)
    for address in (
        "#/nothing", "#/request/", "#/request/..%2Fstatus", "#/request/XYZ", "#/difference?left=x"
    ):  # fmt: skip
        page.goto(f"{shop.url}/{address}")
        expect(page.locator("main")).to_contain_text("There is no such page")
        page.get_by_role("link", name="All requests").click()
        expect(page.locator("table.requests tbody tr")).to_have_count(5)


def test_server_stops_and_restarts(open_page):
    with LocalServer(port=0, otlp_port=None) as server:
        url = server.url
        send_request(url, Span("GET /first", stacks=[]))
        page = open_page(url)
        page.expected += ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE"]
        expect(page.locator("#connection")).to_have_text("connected")
    expect(page.locator("#connection")).to_have_text("server gone")
    page.get_by_role("link", name="GET /first").click()
    expect(page.locator("main")).to_contain_text("pyroscope-otel serve")
    page.go_back()
    expect(page.locator("main")).to_contain_text("No answer from the server")
    with LocalServer(port=int(url.rpartition(":")[2]), otlp_port=None):
        expect(page.locator("#connection")).to_have_text("connected", timeout=15_000)
        expect(page.locator("[data-finding=nothing]")).to_be_visible()


def test_refused_event_stream_is_retried(shop, open_page):
    page = open_page(shop.url, viewport={"width": 1280, "height": 700})
    page.expected.append("503 (Service Unavailable)")
    page.route("**/api/events", lambda route: route.fulfill(status=503))
    page.reload()
    expect(page.locator("#connection")).to_have_text("server gone")
    page.unroute("**/api/events")
    expect(page.locator("#connection")).to_have_text("connected", timeout=15_000)

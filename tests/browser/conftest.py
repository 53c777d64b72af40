"""Shared fixtures: a browser, a watched page, and a server with the data of a shop."""

from __future__ import annotations

import os
import shutil
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from pyroscope_otel.tools.serve import LocalServer
from tests.browser.sending import Span, send_request
from tests.browser.shop_stacks import SERVE, search_stacks
from tests.browser.waiting import go


@pytest.fixture(scope="session")
def chromium():
    names = ("chromium-headless-shell", "chromium", "chromium-browser")  # the fastest first
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        why = "no chromium on the PATH; on Debian: apt-get install chromium"
        if os.environ.get("PYROSCOPE_OTEL_REQUIRE_BROWSER"):
            pytest.fail(why)
        pytest.skip(why)
    # Chromium refuses to run as root with its sandbox.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


LAPTOP = {
    "viewport": {"width": 1280, "height": 800},
    "color_scheme": "light",
    "reduced_motion": "reduce",
}


@pytest.fixture(scope="session")
def laptop(chromium):
    """The page that most tests share, because a new one takes a second."""
    page = chromium.new_context(**LAPTOP).new_page()
    page.set_default_timeout(15_000)
    return page


class Watch:
    """Records what no page may do.

    That is errors and warnings on the console (including violations of the content security
    policy), uncaught exceptions, dialogs, and requests to other hosts. A test that expects a
    console message adds a part of it to `page.expected`.
    """

    def __init__(self, page, url):
        self.page = page
        self.host = urlsplit(url).netloc
        self.wrong = []
        self.listeners = {
            "console": self.log,
            "dialog": self.dialog,
            "pageerror": lambda error: self.wrong.append(f"uncaught: {error}"),
            "request": self.request,
        }
        page.expected = []
        for event, listener in self.listeners.items():
            page.on(event, listener)

    def stop(self):
        for event, listener in self.listeners.items():
            self.page.remove_listener(event, listener)

    def log(self, message):
        expected = any(text in message.text for text in self.page.expected)
        if message.type in {"error", "warning"} and not expected:
            self.wrong.append(f"{message.type}: {message.text}")

    def dialog(self, shown):
        self.wrong.append(f"dialog: {shown.message}")
        shown.dismiss()

    def request(self, sent):
        if urlsplit(sent.url).netloc != self.host:
            self.wrong.append(f"request to {sent.url}")


@pytest.fixture
def open_page(chromium, laptop, shop):
    """Return a function that opens a page of a server; check at the end what it did."""
    watches = []

    def open_page(url, address="#/", **options):
        page = chromium.new_context(**{**LAPTOP, **options}).new_page() if options else laptop
        page.set_default_timeout(15_000)
        if page.url.startswith(f"{url}/"):
            go(page, f"{url}/#/nowhere")  # the same address again would load nothing
        else:
            page.goto("about:blank")  # ends the requests of the other server's page
        watches.append(Watch(page, url))
        go(page, f"{url}/{address}")
        return page

    yield open_page
    for watch in watches:
        watch.stop()
        if watch.page is not laptop:
            watch.page.context.close()
    laptop.emulate_media(color_scheme="light", reduced_motion="reduce")
    if not laptop.url.startswith(f"{shop.url}/"):
        laptop.goto("about:blank")  # its server stops after this
    assert [wrong for watch in watches for wrong in watch.wrong] == []


@pytest.fixture
def server():
    """A server without data."""
    with LocalServer(port=0, otlp_port=None) as server:
        yield server


@pytest.fixture(scope="session")
def shop():
    """A server with a few requests, which tests only read.

    `slow` and `fast` share a route. `order` failed, and called the service `stock`. `health`
    has no samples.
    """
    with LocalServer(port=0, otlp_port=None) as server:
        url = server.url
        route = "GET /search/{word}"
        fast = send_request(
            url,
            Span(route, milliseconds=250, stacks=search_stacks(rank=8, tokenise=0)[::2]),
            ago=40,
        )
        health = send_request(url, Span("GET /health", milliseconds=1.5, stacks=[]), ago=35)
        root = Span(
            "POST /order",
            milliseconds=300,
            stacks=[([*SERVE, ("order", "/srv/shop/api.py", 80)], 3)],
            error="ValueError: out of stock",
            attributes={"http.response.status_code": 500},
            events=[("exception", 280, {"exception.message": "out of stock"})],
        )
        call = Span("GET", start=20, milliseconds=200, parent=root.id, kind=3)
        called = Span(
            "GET /levels",
            service="stock",
            start=40,
            milliseconds=150,
            parent=call.id,
            stacks=[([*SERVE, ("levels", "/srv/stock/views.py", 18)], 9)],
        )
        order = send_request(url, root, call, called, ago=30)
        slow = send_request(
            url,
            Span(
                route,
                milliseconds=400,
                stacks=search_stacks(rank=12, tokenise=6),
                attributes={"http.response.status_code": 200},
            ),
            ago=20,
        )
        yield SimpleNamespace(
            url=url, slow=slow, fast=fast, order=order, health=health, stock=called.id
        )

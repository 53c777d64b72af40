"""A request as one HTML file, which is complete and loads and runs nothing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.sending import Span, send_request
from tests.browser.shop_stacks import SERVE

HOSTILE = "<img src=x onerror=alert(1)></style></script><script>alert(2)</script>"


@pytest.fixture
def save(open_page):
    def save(url, profile_id):
        page = open_page(url, f"#/request/{profile_id}")
        with page.expect_download() as download:
            page.get_by_text("Save", exact=True).click()
            page.get_by_role("button", name="Page as HTML").click()
        assert download.value.suggested_filename == f"request-{profile_id}.html"
        return page, download.value.path().read_text()

    return save


@pytest.fixture
def opened(chromium, tmp_path):
    """Return a function that opens HTML text in an offline browser, and its console messages."""
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.wrong = []
    page.on("console", lambda message: page.wrong.append(message.text))
    page.on("dialog", lambda dialog: (page.wrong.append(dialog.message), dialog.dismiss()))
    page.on(
        "request",
        lambda sent: None if sent.url.startswith("file:") else page.wrong.append(sent.url),
    )

    def open_text(text):
        (tmp_path / "request.html").write_text(text)
        page.goto(f"file://{tmp_path}/request.html")
        return page

    yield open_text
    context.close()
    assert page.wrong == []


def test_file_has_the_request_with_trace_and_graph(shop, save, opened):
    _, text = save(shop.url, shop.slow)
    page = opened(text)
    expect(page.get_by_role("heading", level=1)).to_have_text("GET /search/{word}")
    expect(page.locator(".numbers")).to_contain_text("400 ms")
    expect(page.get_by_role("treeitem")).to_have_count(1)
    graph = page.locator("svg.graph").first
    expect(graph.locator("text")).to_contain_text(["GET /search/{word}", "⋯ python", "search"])
    expect(graph.locator("title", has_text="rank_results")).to_have_count(1)
    expect(page.locator(".functions tbody tr").first).to_contain_text("rank_results")
    page.get_by_text("With all frames of libraries").click()
    expect(page.locator("svg.graph").nth(1).locator("title", has_text="uvicorn")).to_have_count(1)
    assert page.evaluate("document.compatMode") == "CSS1Compat"


def test_file_has_no_references(shop, save):
    _, text = save(shop.url, shop.order)
    assert not re.search("<(?:script|a|button|input|select)[ >]", text)
    assert not re.search(r"(?:src|href)=", text)
    assert not re.search(r"url\(|@import", text)
    assert "default-src 'none'" in text


def test_hostile_names_are_text_in_the_file(server, save, opened):
    span = Span(
        HOSTILE,
        stacks=[([*SERVE, (HOSTILE, "/srv/a.py", 1)], 3)],
        error=HOSTILE,
        attributes={"a": HOSTILE},
    )
    page, text = save(server.url, send_request(server.url, span))
    page.goto("about:blank")
    file = opened(text)
    expect(file.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    expect(file.locator("img, script")).to_have_count(0)


def test_request_without_samples_can_be_saved(shop, save, opened):
    _, text = save(shop.url, shop.health)
    page = opened(text)
    expect(page.get_by_role("treeitem")).to_have_count(1)
    expect(page.locator("svg")).to_have_count(0)

"""Finding requests: by text, status code and time, in any order."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.sending import Span, send_request
from tests.browser.waiting import eventually

WORK = [("work", "/srv/shop/work.py", 4)]


def rows(page):
    return page.locator("table.requests tbody tr")


def expect_routes(page, *names):
    expect(rows(page).locator("td.route a")).to_have_text(list(names))


@pytest.fixture
def made(server):
    """Three requests: a from 90 minutes ago, b from 3 minutes ago, c from now."""
    return [
        send_request(
            server.url,
            Span("GET /a", milliseconds=20, stacks=[(WORK, 9)], attributes={"url.path": "/a/Shoe"}),
            ago=5400,
        ),
        send_request(
            server.url,
            Span("GET /b", milliseconds=90, stacks=[], attributes={"http.status_code": 404}),
            ago=180,
        ),
        send_request(
            server.url,
            Span(
                "GET /c",
                milliseconds=50,
                stacks=[(WORK, 2)],
                attributes={"http.target": "/c?size=9", "http.status_code": 503},
            ),
        ),
    ]


@pytest.fixture
def page(server, made, open_page):
    assert made
    page = open_page(server.url)
    expect_routes(page, "GET /c", "GET /b", "GET /a")
    return page


def test_rows_show_the_url(page):
    expect(rows(page).locator(".target")).to_have_text(["/c?size=9", "/a/Shoe"])


def test_text_finds_urls_and_ids(page, made):
    page.keyboard.press("/")
    box = page.get_by_role("searchbox")
    expect(box).to_be_focused()
    for text, route in (("shoe", "GET /a"), ("SIZE=9", "GET /c"), (made[1], "GET /b")):
        box.fill(text)
        expect_routes(page, route)
    assert f"text={made[1]}" in page.url
    page.reload()
    expect_routes(page, "GET /b")
    expect(box).to_have_value(made[1])


def test_status_codes(page):
    status = page.get_by_label("Status")
    status.select_option("5xx")
    expect_routes(page, "GET /c")
    page.goto(f"{page.url.partition('#')[0]}#/?status=404")
    expect_routes(page, "GET /b")
    expect(status).to_have_value("404")


def test_time_range(page):
    period = page.locator("select[name=last]")
    for value, routes in (
        ("1", ["c"]),
        ("5", ["c", "b"]),
        ("60", ["c", "b"]),
        ("", ["c", "b", "a"]),
    ):
        period.select_option(value)
        expect_routes(page, *[f"GET /{route}" for route in routes])


def test_bounds_of_the_duration(page):
    page.get_by_label("Faster than").fill("60")
    expect_routes(page, "GET /c", "GET /a")
    page.get_by_label("Slower than").fill("30")
    expect_routes(page, "GET /c")


def test_any_order(page):
    for name, routes in (
        ("Duration", ["b", "c", "a"]),
        ("CPU", ["a", "c", "b"]),
        ("Time", ["c", "b", "a"]),
    ):
        page.get_by_role("columnheader", name=name, exact=True).get_by_role("button").click()
        expect_routes(page, *[f"GET /{route}" for route in routes])
        header = page.get_by_role("columnheader", name=name, exact=True)
        expect(header).to_have_attribute("aria-sort", "descending")
    page.go_back()
    expect_routes(page, "GET /a", "GET /c", "GET /b")


def test_new_requests_are_inserted_in_the_chosen_order(server, page):
    page.get_by_role("button", name="Duration").click()
    expect_routes(page, "GET /b", "GET /c", "GET /a")
    page.locator("body").click(position={"x": 2, "y": 2})
    page.mouse.move(1, 1)
    page.evaluate("document.activeElement.blur()")
    send_request(server.url, Span("GET /d", milliseconds=70, stacks=[]))
    expect_routes(page, "GET /b", "GET /d", "GET /c", "GET /a")
    rows(page).first.hover()
    send_request(server.url, Span("GET /e", milliseconds=60, stacks=[]))
    button = page.get_by_role("button", name="1 new request")
    expect(button).to_be_visible()
    button.click()
    expect_routes(page, "GET /b", "GET /d", "GET /e", "GET /c", "GET /a")


def test_bars_have_a_scale(page):
    header = page.get_by_role("columnheader", name="CPU in the duration")
    expect(header).to_have_text("CPU in the duration, 0 to 90.0 ms")
    page.get_by_label("Faster than").fill("60")
    eventually(header.inner_text, "CPU in the duration, 0 to 50.0 ms")

"""The list of routes, and the distribution of their durations."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.sending import Span, send_request
from tests.browser.shop_stacks import search_stacks

ROUTE = "#/route?service=shop&route=GET+%2Fa"


def rows(page):
    return page.locator("table.requests tbody tr")


def names(page):
    return page.locator("table.routes td.route")


def test_routes_are_sorted_by_cpu_time(shop, open_page):
    page = open_page(shop.url, "#/routes")
    expect(names(page)).to_have_text(
        ["GET /search/{word}", "GET /levels", "POST /order", "GET /health"]
    )
    first = page.locator("table.routes tbody tr").first
    for column, text in {
        "count": "2",
        "errors": "0",
        "p50": "250 ms",
        "p95": "400 ms",
        "slowest": "400 ms",
        "cpu": "300 ms",
        "share": "71 %",
    }.items():
        expect(first.locator(f"td.{column}")).to_have_text(text)
    first.locator("td.count a").click()
    expect(rows(page)).to_have_count(2)


def test_routes_can_be_sorted_by_any_column(shop, open_page):
    page = open_page(shop.url, "#/routes")
    page.get_by_role("button", name="Errors").click()
    expect(names(page).first).to_have_text("POST /order")
    page.get_by_role("button", name="p50").click()
    expect(names(page).first).to_have_text("POST /order")
    expect(names(page).nth(1)).to_have_text("GET /search/{word}")
    header = page.get_by_role("columnheader", name="p50")
    expect(header).to_have_attribute("aria-sort", "descending")
    page.reload()
    expect(names(page).nth(1)).to_have_text("GET /search/{word}")
    page.go_back()
    expect(page.get_by_role("columnheader", name="Errors")).to_have_attribute(
        "aria-sort", "descending"
    )


def test_errors_of_a_route_link_to_its_failed_requests(shop, open_page):
    page = open_page(shop.url, "#/routes")
    page.get_by_role("link", name="1, 100 %").click()
    expect(rows(page).locator("td.route")).to_have_text(["POST /order"])


def test_link_to_the_difference_of_the_slowest_request(shop, open_page):
    page = open_page(shop.url, "#/routes")
    page.get_by_role("link", name="Explain the slowest of GET /search/{word}").click()
    title = "This request against the usual"
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page.locator(".side .big").first).to_have_text("200 ms")
    page.go_back()
    page.locator("table.routes").get_by_role("link", name="GET /search/{word}", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("GET /search/{word}")
    page.get_by_role("link", name="Explain the slowest").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


def test_bar_of_durations_links_to_its_requests(server, open_page):
    for milliseconds in (10, 10.2, 11, 80, 81):
        error = "no" if milliseconds == 80 else None
        send_request(server.url, Span("GET /a", milliseconds=milliseconds, stacks=[], error=error))
    send_request(server.url, Span("GET /b", milliseconds=80, stacks=[]))
    page = open_page(server.url, ROUTE)
    bars = page.locator(".histogram a")
    expect(bars.locator(".amount")).to_have_text(["2", "1", "2"])
    expect(bars.last).to_have_accessible_name(re.compile(": 2 requests, 1 error$"))
    bars.last.click()
    expect(rows(page).locator("td.duration")).to_have_text(["81.0 ms", "80.0 ms"])
    page.go_back()
    bars.first.click()
    expect(rows(page).locator("td.duration")).to_have_text(["10.2 ms", "10.0 ms"])


def test_graph_of_a_route_shows_the_mean_of_a_request(server, open_page):
    for rank in (2, 4):
        stacks = search_stacks(rank=rank, tokenise=0)[::2]
        send_request(server.url, Span("GET /a", stacks=stacks))
    page = open_page(server.url, ROUTE)
    title = "Merged flame graph 10 samples, 50 ms a request"
    expect(page.get_by_role("heading", name="Merged flame graph")).to_have_text(title)


def test_scale_of_a_few_bars_repeats_no_label(server, open_page):
    send_request(server.url, Span("GET /a", milliseconds=80, stacks=[]))
    page = open_page(server.url, ROUTE)
    scale = page.locator(".scale-of-bars span")
    expect(scale).to_have_text(["less than 88.0 ms"])
    send_request(server.url, Span("GET /a", milliseconds=90, stacks=[]))
    page = open_page(server.url, ROUTE)
    expect(scale).to_have_text(["88.0 ms", "96.8 ms"])

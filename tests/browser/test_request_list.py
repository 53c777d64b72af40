"""The list of recent requests: rows, filters, and updates."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.sending import Span, send_request, send_samples, send_spans
from tests.browser.waiting import eventually


def rows(page):
    return page.locator("table.requests tbody tr")


def expect_routes(page, *names):
    expect(rows(page).locator("td.route")).to_have_text(list(names))


def test_requests_are_listed_newest_first_with_their_cpu_time(shop, open_page):
    page = open_page(shop.url)
    expect_routes(
        page,
        "GET /search/{word}",
        "GET /levels",
        "POST /order",
        "GET /health",
        "GET /search/{word}",
    )
    newest = rows(page).first
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", newest.locator("td.time").inner_text())
    expect(newest.locator("td.service")).to_have_text("shop")
    expect(newest.locator("td.duration")).to_have_text("400 ms")
    expect(newest.locator("td.cpu")).to_have_text("200 ms")
    expect(newest.locator("td.status")).to_have_text("200")
    expect(rows(page).nth(2).locator("td.status")).to_have_text("✕ 500 error")
    expect(rows(page).nth(3).locator("td.cpu")).to_have_text("none")


def test_bars_show_the_duration_and_the_share_on_cpu(shop, open_page):
    page = open_page(shop.url)
    bar = rows(page).first.locator(".timebar")
    assert bar.get_attribute("aria-label") == "50 % sampled"
    widths = (
        rows(page)
        .locator(".timebar")
        .evaluate_all("bars => bars.map(bar => bar.offsetWidth / bar.parentElement.clientWidth)")
    )
    inner = bar.evaluate("bar => bar.firstChild.offsetWidth / bar.offsetWidth")
    assert inner == pytest.approx(0.5, abs=0.02)
    assert widths[0] / widths[2] == pytest.approx(400 / 300, rel=0.05)


def test_filters(shop, open_page):
    page = open_page(shop.url)
    for name, value, left in (
        ("service", "stock", ["GET /levels"]),
        ("route", "GET /health", ["GET /health"]),
        ("status", "error", ["POST /order"]),
    ):
        select = page.locator(f"select[name={name}]")
        select.select_option(value)
        expect_routes(page, *left)
        select.select_option("")
        expect(rows(page)).to_have_count(5)


def test_filters_are_kept_in_the_address(shop, open_page):
    page = open_page(shop.url)
    service = page.locator("select[name=service]")
    service.select_option("stock")
    expect_routes(page, "GET /levels")
    page.reload()
    expect_routes(page, "GET /levels")
    expect(service).to_have_value("stock")
    page.go_back()
    expect(rows(page)).to_have_count(5)
    expect(service).to_have_value("")


def test_filter_for_slow_requests(shop, open_page):
    page = open_page(shop.url)
    page.get_by_label("Slower than").fill("260")
    expect_routes(page, "GET /search/{word}", "POST /order")
    assert "min_ms=260" in page.url


def test_route_filter_has_only_routes_of_the_service(shop, open_page):
    page = open_page(shop.url)
    page.locator("select[name=service]").select_option("stock")
    expect(page.locator("select[name=route] option")).to_have_text(["All routes", "GET /levels"])


def test_change_of_service_resets_the_route_filter(shop, open_page):
    page = open_page(shop.url, "#/?service=shop&route=GET+%2Fhealth")
    expect(rows(page)).to_have_count(1)
    page.locator("select[name=service]").select_option("stock")
    expect_routes(page, "GET /levels")


def test_filters_without_matches_can_be_cleared(shop, open_page):
    page = open_page(shop.url, "#/?min_ms=99999")
    expect(page.locator("[data-finding=filtered]")).to_contain_text("No request matches")
    page.get_by_role("link", name="Clear the filters").click()
    expect(rows(page)).to_have_count(5)


def test_new_request_is_put_on_top(server, open_page):
    send_request(server.url, Span("GET /first", stacks=[]), ago=9)
    page = open_page(server.url)
    expect(rows(page)).to_have_count(1)
    send_request(server.url, Span("GET /second", stacks=[]), ago=1)
    expect_routes(page, "GET /second", "GET /first")
    expect(page.locator("select[name=route] option")).to_have_count(3)


def test_first_request_replaces_the_empty_state(server, open_page):
    page = open_page(server.url)
    expect(page.locator("[data-finding=nothing]")).to_be_visible()
    send_request(server.url, Span("GET /first", stacks=[]))
    expect(rows(page)).to_have_count(1)
    expect(page.locator("[data-finding=nothing]")).to_have_count(0)


def test_later_samples_do_not_move_the_focus(server, open_page):
    span = Span("GET /late", stacks=[])
    send_spans(server.url, span)
    page = open_page(server.url)
    link = rows(page).get_by_role("link")
    link.focus()
    send_samples(server.url, [([("work", "/srv/a.py", 1)], 7)], span_id=span.id)
    expect(rows(page).locator("td.cpu")).to_have_text("70 ms")
    expect(link).to_be_focused()


def test_rows_under_the_pointer_do_not_move(server, open_page):
    send_request(server.url, Span("GET /first", stacks=[]), ago=9)
    page = open_page(server.url)
    rows(page).first.hover()
    send_request(server.url, Span("GET /second", stacks=[]), ago=1)
    button = page.get_by_role("button", name="1 new request")
    expect(button).to_be_visible()
    expect_routes(page, "GET /first")
    button.click()
    expect(rows(page)).to_have_count(2)
    expect(button).to_be_hidden()
    expect(rows(page).first.get_by_role("link")).to_be_focused()


def test_rows_do_not_move_while_scrolled_down(server, open_page):
    for number in range(30):
        send_request(server.url, Span(f"GET /{number}", stacks=[]), ago=60 - number)
    page = open_page(server.url, viewport={"width": 1280, "height": 400})
    page.evaluate("scrollTo(0, 300)")
    place = rows(page).nth(12).bounding_box()
    send_request(server.url, Span("GET /new", stacks=[]), ago=1)
    expect(page.get_by_role("button", name="1 new request")).to_be_visible()
    assert rows(page).nth(12).bounding_box() == place
    expect(rows(page)).to_have_count(30)


def test_live_updates_can_be_paused(server, open_page):
    send_request(server.url, Span("GET /first", stacks=[]), ago=9)
    page = open_page(server.url)
    live = page.get_by_role("button", name="Live")
    live.click()
    expect(live).to_have_attribute("aria-pressed", "false")
    send_request(server.url, Span("GET /second", stacks=[]), ago=1)
    expect(page.get_by_role("button", name="1 new request")).to_be_visible()
    expect_routes(page, "GET /first")
    live.click()
    expect(rows(page)).to_have_count(2)


def test_older_requests_are_loaded_on_request(server, open_page):
    send_spans(
        server.url, *[Span(f"GET /{number}", start=number, stacks=[]) for number in range(60)]
    )
    page = open_page(server.url)
    expect(rows(page)).to_have_count(50)
    page.get_by_role("button", name="Show older requests").click()
    expect(rows(page)).to_have_count(60)
    expect_routes(page, *[f"GET /{number}" for number in reversed(range(60))])
    expect(page.get_by_role("button", name="Show older requests")).to_be_hidden()


def test_scroll_position_is_restored_after_going_back(server, open_page):
    for number in range(30):
        send_request(server.url, Span(f"GET /{number}", stacks=[]), ago=60 - number)
    page = open_page(server.url, viewport={"width": 1280, "height": 400})
    link = page.get_by_role("link", name="GET /14", exact=True)
    link.scroll_into_view_if_needed()
    there = page.evaluate("scrollY")
    assert there > 100
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("GET /14")
    assert page.evaluate("scrollY") == 0
    page.go_back()
    expect(rows(page)).to_have_count(30)
    eventually(lambda: page.evaluate("scrollY"), there)

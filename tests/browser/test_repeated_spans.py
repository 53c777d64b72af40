"""Repeated spans are one group, with their count and total time."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.sending import Span, send_request

QUERY = "SELECT * FROM stock WHERE id = ?"
TRACEBACK = 'Traceback (most recent call last):\n  File "/srv/shop/api.py", line 82\nValueError'


def rows(page):
    return page.get_by_role("treeitem")


def labels(page):
    return page.locator("[role=treeitem]:visible").evaluate_all(
        "all => all.map(one => one.getAttribute('aria-label'))"
    )


@pytest.fixture
def page(server, open_page):
    """The page of a request with 6 equal queries, one of them failed, and 4 others."""
    root = Span("GET /list", milliseconds=300, stacks=[([("f", "/srv/a.py", 1)], 20)])

    def query(start, text, **more):
        statement = {"db.query.text": text}
        return Span(
            "SELECT", start=start, parent=root.id, kind=3, attributes=statement, **more
        )  # fmt: skip

    equal = [query(10 + 20 * at, QUERY, milliseconds=5 + at) for at in range(6)]
    equal[2].error = "deadlock"
    others = [query(15 + 20 * at, f"{QUERY} AND {at}", milliseconds=2) for at in range(4)]
    return open_page(server.url, f"#/request/{send_request(server.url, root, *equal, *others)}")


def test_equal_spans_are_one_row_until_opened(page):
    expect(page.get_by_role("treeitem", name="SELECT, 6 times")).to_be_visible()
    assert labels(page) == [
        "GET /list, shop, after 0 ms, took 300 ms, 200 ms CPU",
        "SELECT, 6 times, shop, after 10.0 ms, took 45.0 ms together, failed",
        *[f"SELECT, shop, after {15 + 20 * at}.0 ms, took 2.00 ms" for at in range(4)],
    ]
    page.get_by_role("treeitem", name="SELECT, 6 times").click()
    assert len(labels(page)) == 12
    assert labels(page)[2] == "SELECT, shop, after 10.0 ms, took 5.00 ms"


def test_group_shows_a_bar_for_each_span(page):
    group = page.get_by_role("treeitem", name="SELECT, 6 times")
    expect(group.locator(".span-bar")).to_have_count(6)
    expect(group.locator(".times")).to_have_text("\N{MULTIPLICATION SIGN} 6")


def test_group_shows_its_total_and_the_statement(page):
    page.get_by_role("treeitem", name="SELECT, 6 times").click()
    details = page.get_by_role("region", name="Span", exact=True)
    expect(details.get_by_role("heading")).to_have_text("SELECT \N{MULTIPLICATION SIGN} 6 client")
    expect(details.locator("dd")).to_have_text(["45.0 ms", "7.50 ms", "10.0 ms", "1"])
    expect(details).to_contain_text(QUERY)


def test_group_by_keyboard(page):
    rows(page).first.focus()
    page.keyboard.press("ArrowDown")
    group = page.get_by_role("treeitem", name="SELECT, 6 times")
    expect(group).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(group).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Enter")
    expect(group).to_have_attribute("aria-expanded", "false")


def test_span_in_a_group_can_be_opened_by_address(page):
    page.get_by_role("treeitem", name="SELECT, 6 times").click()
    rows(page).nth(3).click()
    page.reload()
    expect(rows(page).nth(3)).to_be_visible()
    expect(rows(page).nth(3)).to_have_attribute("aria-selected", "true")


def test_traceback_has_the_width_of_the_panel(server, open_page):
    event = ("exception", 5, {"exception.stacktrace": TRACEBACK})
    profile_id = send_request(server.url, Span("GET /", stacks=[], error="x", events=[event]))
    page = open_page(server.url, f"#/request/{profile_id}")
    traceback = page.locator("dd.long")
    expect(traceback).to_have_text(TRACEBACK)
    wide, panel = (
        box.bounding_box()["width"] for box in (traceback, page.locator(".waterfall .details"))
    )
    assert wide > 0.95 * panel


def test_durations_are_beside_their_bars(page):
    for row in page.locator("[role=treeitem]:visible").all():
        track, took = (row.locator(part).bounding_box() for part in (".track", ".took"))
        assert took["x"] >= track["x"] + track["width"]

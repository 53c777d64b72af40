"""The page of a request: its numbers, the waterfall of its trace, and downloads."""

from __future__ import annotations

import gzip

import pytest
from playwright.sync_api import expect

from pyroscope_otel.pprof.messages import PprofProfile
from tests.browser.sending import Span, send_request, send_samples, send_spans


def spans(page):
    return page.get_by_role("treeitem")


def details(page):
    return page.get_by_role("region", name="Span", exact=True)


def test_row_of_the_list_opens_the_request(shop, open_page):
    page = open_page(shop.url)
    page.get_by_role("link", name="POST /order").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("POST /order")
    expect(page.locator(".head .lead")).to_contain_text("✕ 500 error")
    expect(page.locator(".numbers dd")).to_have_text(["300 ms", "30 ms", "10 %"])
    time = page.locator(".head time").inner_text()
    expect(page).to_have_title(f"POST /order, {time} \N{EN DASH} pyroscope-otel")
    page.go_back()
    expect(page.locator("table.requests tbody tr")).to_have_count(5)


def test_waterfall_shows_the_trace_as_a_tree(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.order}")
    expect(spans(page)).to_have_count(3)
    labels = spans(page).evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert labels == [
        "POST /order, shop, after 0 ms, took 300 ms, 30 ms CPU, failed",
        "GET, shop, after 20.0 ms, took 200 ms",
        "GET /levels, stock, after 40.0 ms, took 150 ms, 90 ms CPU",
    ]
    levels = spans(page).evaluate_all("all => all.map(one => one.ariaLevel)")
    assert levels == ["1", "2", "3"]


def test_position_and_width_of_bars_match_the_spans(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.order}")
    found = page.locator(".span-bar").evaluate_all(
        """bars => bars.map(bar => {
          const track = bar.parentElement.getBoundingClientRect();
          const box = bar.getBoundingClientRect();
          return [(box.left - track.left) / track.width, box.width / track.width];
        })"""
    )
    expected = [[0, 1], [20 / 300, 200 / 300], [40 / 300, 150 / 300]]
    assert found == [pytest.approx(bar, abs=0.01) for bar in expected]


def test_selected_span_shows_its_attributes_events_and_error(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.order}")
    expect(details(page)).to_contain_text("✕ Failed: ValueError: out of stock")
    expect(details(page)).to_contain_text("exception after 280 ms")
    expect(details(page)).to_contain_text("out of stock")
    page.get_by_text("Attributes and ids").click()
    expect(details(page)).to_contain_text("http.response.status_code500")
    spans(page).nth(1).click()
    expect(details(page).get_by_role("heading")).to_have_text("GET client")


def test_spans_by_keyboard(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.order}")
    tree = page.get_by_role("tree")
    spans(page).first.focus()
    page.keyboard.press("ArrowDown")
    expect(spans(page).nth(1)).to_be_focused()
    expect(spans(page).nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowLeft")
    expect(spans(page).nth(1)).to_have_attribute("aria-expanded", "false")
    expect(tree.locator("li:visible")).to_have_count(2)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(spans(page).nth(2)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(spans(page).nth(0)).to_be_focused()
    page.keyboard.press("End")
    expect(spans(page).nth(1)).to_be_focused()  # the last visible one


def test_selected_span_is_kept_in_the_address(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.order}")
    spans(page).nth(1).click()
    page.reload()
    expect(spans(page).nth(1)).to_have_attribute("aria-selected", "true")


def test_each_local_root_span_of_the_trace_has_a_flame_graph(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.order}")
    tabs = page.get_by_role("navigation", name="Local roots of this trace").get_by_role("link")
    expect(tabs).to_have_text(["POST /order shop, 30 ms", "GET /levels stock, 90 ms"])
    expect(page.get_by_role("button", name="order /srv/shop/api.py")).to_be_visible()
    tabs.nth(1).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("GET /levels")
    expect(page.get_by_role("button", name="levels /srv/stock/views.py")).to_be_visible()
    expect(spans(page)).to_have_count(3)
    expect(tabs.nth(1)).to_have_attribute("aria-current", "page")


def test_profile_can_be_downloaded_as_pprof(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.slow}")
    with page.expect_download() as download:
        page.get_by_text("Save", exact=True).click()
        page.get_by_role("link", name="CPU as pprof").click()
    assert download.value.suggested_filename == f"{shop.slow}.pprof"
    content = download.value.path().read_bytes()
    profile = PprofProfile.FromString(gzip.decompress(content))
    assert sum(sample.value[-1] for sample in profile.sample) == 200_000_000


def test_menu_by_keyboard(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.slow}")
    save = page.get_by_text("Save", exact=True)
    item = page.get_by_role("button", name="Page as HTML")
    save.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(item).to_be_focused()
    page.keyboard.press("Escape")
    expect(item).to_be_hidden()
    expect(save).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(item).to_be_hidden()


def test_later_samples_appear_by_themselves(server, open_page):
    span = Span("GET /late", stacks=[])
    send_spans(server.url, span)
    page = open_page(server.url, f"#/request/{span.id}")
    expect(page.locator("[data-finding=no-samples]")).to_contain_text("No sample yet")
    send_samples(server.url, [([("work", "/srv/a.py", 1)], 7)], span_id=span.id)
    expect(page.get_by_role("application")).to_be_visible()
    expect(page.locator(".numbers dd")).to_have_text(["100 ms", "70 ms", "70 %"])


def test_more_samples_are_shown_on_request(server, open_page):
    work = [([("work", "/srv/a.py", 1)], 7)]
    profile_id = send_request(server.url, Span("GET /two", milliseconds=900, stacks=work))
    page = open_page(server.url, f"#/request/{profile_id}")
    expect(page.locator(".numbers dd").nth(1)).to_have_text("70 ms")
    send_samples(server.url, work, span_id=profile_id)
    button = page.get_by_role("button", name="Show it")
    expect(button).to_be_visible()
    expect(page.locator(".numbers dd").nth(1)).to_have_text("70 ms")
    button.click()
    expect(page.locator(".numbers dd").nth(1)).to_have_text("140 ms")


def test_spans_in_cycles_or_without_parents_are_shown(shop, open_page):
    page = open_page(shop.url)
    found = page.evaluate(
        """async () => {
          const { spanTree } = await import("/page/span_tree.js");
          const span = (span_id, parent_span_id, start_ms) =>
            ({ span_id, parent_span_id, start_ms });
          const rows = spanTree([
            span("a", "b", 1), span("b", "a", 2), span("c", "lost", 3),
            span("d", "d", 4), span("e", "c", 5), span("e", "c", 6),
          ]);
          return rows.map(row => [row.span.span_id, row.level]);
        }"""
    )
    assert found == [["c", 1], ["e", 2], ["e", 2], ["d", 1], ["a", 1], ["b", 2]]

"""The merged flame graph of a route, and the difference of two requests."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.canvas import colour
from tests.browser.sending import Span, send_request

MINUS = "\N{MINUS SIGN}"


def frame(page):
    return page.get_by_role("region", name="Frame")


def functions(page):
    return page.get_by_role("region", name="Functions").locator("tbody tr")


def cells(row):
    return [text.split("\n")[0] for text in row.locator("td").all_inner_texts()]


def test_flame_graph_of_a_route_merges_its_requests(shop, open_page):
    page = open_page(shop.url, "#/routes")
    page.get_by_role("link", name="GET /search/{word}", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("GET /search/{word}")
    expect(page.locator(".numbers dd")).to_have_text(["2", "250 ms", "400 ms", "400 ms"])
    expect(functions(page).locator(".name")).to_have_text(["rank_results", "tokenise", "search"])
    assert cells(functions(page).first) == ["200 ms", "200 ms", "67 %"]
    expect(page.locator("table.requests tbody tr")).to_have_count(2)


def test_view_of_a_route_is_kept_in_the_address(shop, open_page):
    address = "#/route?service=shop&route=GET+%2Fsearch%2F%7Bword%7D&find=tokenise"
    page = open_page(shop.url, address)
    expect(page.locator(".found")).to_have_text("1 frame, 20 %")


def test_route_without_samples(shop, open_page):
    page = open_page(shop.url, "#/route?service=shop&route=GET+%2Fhealth")
    expect(page.locator("[data-finding=no-samples]")).to_contain_text("No sample hit this route")


def test_difference_of_a_request_and_its_route(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.slow}")
    page.get_by_role("link", name="Against the usual").click()
    expect(page.locator(".side .big")).to_have_text(["200 ms", "100 ms", "+100 ms"])
    expect(page.locator(".side.result")).to_contain_text("100 % more than usual")
    expect(page.locator(".side").nth(1)).to_contain_text("mean of 1 other request")
    found = {row.locator(".name").inner_text(): cells(row) for row in functions(page).all()}
    assert found == {
        "tokenise": ["60 ms", "0 ms", "+60 ms"],
        "rank_results": ["120 ms", "80 ms", "+40 ms"],
    }


def test_difference_of_two_chosen_requests(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.fast}")
    page.get_by_role("link", name="Against another").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare with")
    rows = page.locator("table.requests tbody tr")
    expect(rows).to_have_count(1)  # not the request itself
    rows.get_by_role("link").click()
    expect(page.locator(".side .big")).to_have_text(["100 ms", "200 ms", f"{MINUS}100 ms"])
    page.get_by_role("button", name="tokenise /srv/shop/text.py").click()
    expect(frame(page).locator("dd")).to_have_text(["0 ms", "60 ms", f"{MINUS}60 ms"])
    page.get_by_role("link", name="Swap A and B").click()
    expect(page.locator(".side .big")).to_have_text(["200 ms", "100 ms", "+100 ms"])
    page.go_back()
    expect(page.locator(".side .big")).to_have_text(["100 ms", "200 ms", f"{MINUS}100 ms"])


def test_difference_is_coloured_and_signed(shop, open_page):
    page = open_page(shop.url, f"#/difference?left={shop.slow}&right=route&fold=0")
    # Of 300 ms: rank 200, then tokenise 60.
    colours = [colour(page, 5, 0.3), colour(page, 5, 0.8)]
    for red, _, blue, alpha in colours:
        assert red > blue
        assert alpha == 255
    # 60 of 60 is a larger difference than 40 of 200.
    assert colours[1][2] < colours[0][2]
    page.get_by_role("application").press("ArrowDown")
    said = page.locator(".flame-frame [aria-live]")
    expect(said).to_contain_text("200 ms this request, 100 ms usual: +100 ms")


def test_frames_of_the_other_side_only_are_blue(shop, open_page):
    page = open_page(shop.url, f"#/difference?left={shop.fast}&right={shop.slow}&fold=0")
    red, _, blue, _ = colour(page, 5, 0.8)
    assert blue > red


def test_only_request_of_a_route_has_nothing_to_compare_with(shop, open_page):
    page = open_page(shop.url, f"#/difference?left={shop.order}")
    expect(page.locator("main")).to_contain_text("No other request of this route")


def test_difference_of_an_only_request_and_its_route_is_not_found(shop, open_page):
    page = open_page(shop.url)
    page.expected.append("404 (Not Found)")
    page.goto(f"{shop.url}/#/difference?left={shop.order}&right=route")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    expect(page.get_by_role("link", name="All requests")).to_be_visible()


def test_two_requests_without_samples_have_nothing_to_compare(server, open_page):
    first, second = (send_request(server.url, Span("GET /health", stacks=[])) for _ in "12")
    page = open_page(server.url, f"#/difference?left={first}&right={second}")
    expect(page.locator("[data-finding=no-samples]")).to_contain_text("Neither side has a sample")

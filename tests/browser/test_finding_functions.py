"""Finding functions: search by pattern, callers and callees, the sorted table, hidden rows."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.sending import Span, send_request
from tests.browser.shop_stacks import RANK, SEARCH, SERVE, TOKENISE

HELP = ("helper", "/srv/shop/help.py", 3)


def heading(page):
    return page.get_by_role("region", name="Frame").get_by_role("heading")


def names(page):
    return page.get_by_role("region", name="Functions").locator("tbody .name")


@pytest.fixture
def page(server, open_page):
    """The page of a request whose helper has two callers and one callee."""
    stacks = [
        ([*SERVE, SEARCH, RANK, HELP], 4),
        ([*SERVE, SEARCH, TOKENISE, HELP, ("inner", "/srv/shop/help.py", 9)], 2),
        ([*SERVE, SEARCH, TOKENISE], 1),
        ([*SERVE, SEARCH], 3),
    ]
    profile_id = send_request(server.url, Span("GET /search", stacks=stacks))
    return open_page(server.url, f"#/request/{profile_id}")


def test_search_with_a_regular_expression(page):
    box = page.get_by_role("searchbox")
    box.fill("^(rank|token).*s")
    expect(page.locator(".found")).to_have_text("no match")
    page.get_by_role("button", name="Regular expression").click()
    expect(page.locator(".found")).to_have_text("2 frames, 70 %")
    assert "regex=1" in page.url
    page.reload()
    expect(page.locator(".found")).to_have_text("2 frames, 70 %")


def test_invalid_regular_expression(page):
    page.get_by_role("button", name="Regular expression").click()
    page.get_by_role("searchbox").fill("rank(")
    expect(page.locator(".found")).to_have_text("not a pattern")
    expect(page.get_by_role("searchbox")).to_have_attribute("aria-invalid", "true")
    page.get_by_role("searchbox").fill("rank")
    expect(page.get_by_role("searchbox")).to_have_attribute("aria-invalid", "false")


def test_buttons_go_to_the_next_and_the_previous_match(page):
    page.get_by_role("searchbox").fill("shop/")
    following = page.get_by_role("button", name="Next match")
    for name in ("search", "rank_results", "helper"):
        following.click()
        expect(heading(page)).to_contain_text(name)
    page.get_by_role("button", name="Previous match").click()
    expect(heading(page)).to_contain_text("rank_results")
    page.get_by_role("searchbox").press("Shift+Enter")
    expect(heading(page)).to_contain_text("search")
    page.get_by_role("searchbox").fill("helper.py")
    expect(following).to_be_hidden()


def test_callers_and_callees_of_a_function(page):
    page.get_by_role("button", name="helper /srv/shop/help.py").click()
    page.get_by_role("button", name="Callers and callees").click()
    callers = page.get_by_role("application", name="Callers of helper")
    callees = page.get_by_role("application", name="Flame graph of")
    expect(callees).to_be_focused()
    said = page.locator(".flame-frame:not(.callers *) [aria-live]")
    callees.press("ArrowDown")
    expect(said).to_have_text("inner, /srv/shop/help.py:9, 20 ms, 20 %, own code, level 1")
    callers.press("ArrowDown")
    expect(heading(page)).to_have_text("rank_results own code")
    callers.press("ArrowRight")
    expect(heading(page)).to_have_text("tokenise own code")
    callers.press("ArrowDown")
    expect(heading(page)).to_have_text("search own code")
    assert "function=" in page.url
    page.get_by_role("button", name="Back to the whole").click()
    expect(callers).to_have_count(0)
    page.go_back()
    expect(callers).to_be_visible()


def test_unknown_function_in_the_address_shows_the_whole_graph(page):
    page.goto(page.url + "?function=abcdef")
    expect(page.get_by_role("application")).to_have_count(1)


def test_table_can_be_sorted_by_any_column(page):
    expect(names(page)).to_have_text(["helper", "search", "inner", "tokenise"])
    page.get_by_role("button", name="Total").click()
    expect(names(page).first).to_have_text("search")
    header = page.get_by_role("columnheader", name="Total")
    expect(header).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("button", name="Total")).to_be_focused()


def test_name_stack_and_link_can_be_copied(server, open_page):
    profile_id = send_request(server.url, Span("GET /", stacks=[([*SERVE, SEARCH, RANK], 4)]))
    page = open_page(
        server.url,
        f"#/request/{profile_id}",
        permissions=["clipboard-read", "clipboard-write"],
    )
    page.get_by_role("button", name="rank_results").click()
    stack = ["⋯ python, uvicorn, starlette", "search (/srv/shop/api.py:31)"]
    stack.append("rank_results (/srv/shop/ranking.py:58)")
    for what, text in (
        ("name", "rank_results"),
        ("file and line", "/srv/shop/ranking.py:58"),
        ("stack", "\n".join(stack)),
        ("link", page.url),
    ):
        button = page.get_by_role("button", name=f"Copy {what}")
        button.click()
        expect(button).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == text


def test_hidden_rows_are_announced(server, open_page):
    stack = [(f"f{depth}", f"/x/site-packages/lib/{depth}.py", 1) for depth in range(60)]
    profile_id = send_request(server.url, Span("GET /deep", stacks=[([*stack, SEARCH], 5)]))
    page = open_page(server.url, f"#/request/{profile_id}?fold=0")
    cue = page.locator(".cue")
    expect(cue).to_contain_text("more rows, with own code")
    while cue.is_visible():
        cue.click()
    graph = page.get_by_role("application")
    assert graph.evaluate("box => box.scrollTop + box.clientHeight >= box.scrollHeight - 21")


def test_keys_of_the_graph_are_shown_while_it_has_the_focus(page):
    expect(page.locator(".in-graph")).to_be_hidden()
    expect(page.locator(".to-graph")).to_be_visible()
    page.get_by_role("application").focus()
    expect(page.locator(".in-graph")).to_be_visible()


def test_each_own_file_has_its_own_colour(page):
    swatches = page.locator(".legend .swatch.own")
    colours = swatches.evaluate_all(
        "all => all.map(each => getComputedStyle(each).backgroundColor)"
    )
    assert len(colours) == len(set(colours)) == 4
    expect(page.locator(".legend")).to_contain_text("/srv/shop/ranking.py")

"""The flame graph: drawing, search, zoom and keys."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.canvas import NOTHING, colour
from tests.browser.sending import Span, send_request
from tests.browser.shop_stacks import LIBRARY
from tests.browser.waiting import eventually

ROW = 21  # pixels


@pytest.fixture
def graph(shop, open_page):
    """The page of a request with 12 samples in rank, 6 in tokenise, 2 in search itself."""
    return open_page(shop.url, f"#/request/{shop.slow}?fold=0")


def flame(page):
    return page.get_by_role("application")


def frame(page):
    return page.get_by_role("region", name="Frame")


def click(page, row, part):
    """Click in a row, at a fraction of the width."""
    box = flame(page).bounding_box()
    page.mouse.click(box["x"] + part * box["width"], box["y"] + (row + 0.5) * ROW)


def announcement(page):
    return page.locator(".flame-frame [aria-live]")


def test_width_of_frames_is_their_cpu_time(graph):
    # Rows: root, three of libraries, search, then rank before tokenise (by name).
    for part, name in ((0.58, "rank_results"), (0.62, "tokenise"), (0.02, "rank_results")):
        click(graph, 5, part)
        expect(frame(graph).get_by_role("heading")).to_contain_text(name)
    assert colour(graph, 5, 0.88) != colour(graph, 5, 0.95) == NOTHING


def test_selected_frame_shows_its_file_line_and_times(graph):
    click(graph, 5, 0.3)
    expect(frame(graph)).to_contain_text("/srv/shop/ranking.py:58")
    expect(frame(graph)).to_contain_text("own code")
    expect(frame(graph).locator("dd")).to_have_text(["120 ms, 60 %", "120 ms, 60 %"])
    click(graph, 4, 0.3)
    expect(frame(graph).locator("dd")).to_have_text(["200 ms, 100 %", "20 ms, 10 %"])
    click(graph, 2, 0.3)
    expect(frame(graph)).to_contain_text(f"{LIBRARY}/uvicorn/main.py:410")
    expect(frame(graph)).to_contain_text("library")


def test_file_and_line_can_be_copied(shop, open_page):
    page = open_page(
        shop.url, f"#/request/{shop.slow}?fold=0", permissions=["clipboard-read", "clipboard-write"]
    )
    click(page, 5, 0.3)
    frame(page).get_by_role("button", name="Copy file and line").click()
    expect(frame(page).get_by_role("button", name="Copy file and line")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "/srv/shop/ranking.py:58"


def test_second_click_zooms_and_back_undoes_it(graph):
    whole = colour(graph, 5, 0.95)
    click(graph, 5, 0.3)
    click(graph, 5, 0.3)
    assert colour(graph, 5, 0.95) != whole
    assert "zoom=0.0.0.0.0" in graph.url
    graph.go_back()
    eventually(lambda: colour(graph, 5, 0.95), whole)


def test_zoom_is_kept_in_the_address(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.slow}?fold=0&zoom=0.0.0.0.1")
    click(page, 5, 0.05)
    expect(frame(page).get_by_role("heading")).to_contain_text("tokenise")
    page.get_by_role("button", name="Reset zoom").click()
    click(page, 5, 0.05)
    expect(frame(page).get_by_role("heading")).to_contain_text("rank_results")


def test_invalid_zoom_in_the_address_is_ignored(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.slow}?zoom=0.7.__proto__.1")
    expect(page.get_by_role("button", name="Reset zoom")).to_be_hidden()
    expect(flame(page)).to_be_visible()


def test_search_counts_and_highlights_matches(graph):
    before = colour(graph, 5, 0.3), colour(graph, 5, 0.7)
    graph.keyboard.press("/")
    box = graph.get_by_role("searchbox")
    expect(box).to_be_focused()
    box.fill("RANKING.py")
    expect(graph.locator(".found")).to_have_text("1 frame, 60 %")
    after = colour(graph, 5, 0.3), colour(graph, 5, 0.7)
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert "find=RANKING.py" in graph.url
    box.fill("nowhere")
    expect(graph.locator(".found")).to_have_text("no match")
    assert (colour(graph, 5, 0.3), colour(graph, 5, 0.7)) == before
    box.fill("ranking")
    box.press("Escape")
    expect(box).to_have_value("")
    expect(flame(graph)).to_be_focused()
    assert (colour(graph, 5, 0.3), colour(graph, 5, 0.7)) == before


def test_nested_matches_are_not_counted_twice(graph):
    graph.get_by_role("searchbox").fill("srv/shop")
    expect(graph.locator(".found")).to_have_text("3 frames, 100 %")


def test_enter_in_the_search_goes_to_the_next_match(graph):
    box = graph.get_by_role("searchbox")
    box.fill("text.py")
    box.press("Enter")
    expect(frame(graph).get_by_role("heading")).to_contain_text("tokenise")
    box.fill("shop")
    for name in ("search", "rank_results", "tokenise", "search"):
        box.press("Enter")
        expect(frame(graph).get_by_role("heading")).to_contain_text(name)


def test_keys_move_zoom_and_reset(graph):
    flame(graph).focus()
    for _ in range(5):
        graph.keyboard.press("ArrowDown")
    expect(announcement(graph)).to_have_text(
        "rank_results, /srv/shop/ranking.py:58, 120 ms, 60 %, own code, level 5"
    )
    graph.keyboard.press("ArrowRight")
    expect(announcement(graph)).to_contain_text("tokenise")
    expect(frame(graph).get_by_role("heading")).to_contain_text("tokenise")
    graph.keyboard.press("ArrowRight")  # no frame to the right
    expect(announcement(graph)).to_contain_text("tokenise")
    graph.keyboard.press("Enter")
    expect(graph.get_by_role("button", name="Reset zoom")).to_be_visible()
    graph.keyboard.press("ArrowLeft")  # stays inside the zoomed frame
    expect(announcement(graph)).to_contain_text("tokenise")
    graph.keyboard.press("ArrowUp")
    expect(announcement(graph)).to_contain_text("search")
    graph.keyboard.press("ArrowDown")
    expect(announcement(graph)).to_contain_text("rank_results")
    graph.keyboard.press("Enter")
    graph.keyboard.press("Escape")
    expect(graph.get_by_role("button", name="Reset zoom")).to_be_hidden()
    expect(flame(graph)).to_be_focused()


def test_accessible_name_of_the_graph_explains_its_keys(graph):
    expect(flame(graph)).to_have_accessible_name(
        "Flame graph of GET /search/{word}. Arrow keys move, Enter zooms, "
        "Escape goes back to the whole."
    )


def test_functions_are_sorted_by_self_time_and_select_their_frames(graph):
    table = graph.get_by_role("region", name="Functions")
    expect(table.locator("tbody .name")).to_have_text(["rank_results", "finditer", "search"])
    expect(table.locator("tbody tr").first.locator("td")).to_have_text(["120 ms", "120 ms", "60 %"])
    table.get_by_role("button", name="finditer").click()
    expect(frame(graph)).to_contain_text("re/__init__.py:223")
    table.get_by_role("button", name="Show all 7 functions").click()
    expect(table.locator("tbody tr")).to_have_count(7)
    graph.get_by_role("button", name="Fold libraries").click()
    table.get_by_role("button", name="main uvicorn/main.py").click()  # unfolds
    expect(frame(graph).get_by_role("heading")).to_have_text("main library")


def test_recursive_function_is_counted_once(shop, open_page):
    page = open_page(shop.url)
    found = page.evaluate(
        """async () => {
          const { fromProfile, functions } = await import("/page/flame_tree.js");
          const { CPU } = await import("/page/measures.js");
          const walk = depth => ({ name: "walk", file: "a.py", line: 1, own: true, self_ns: 1,
            total_ns: depth, children: depth > 1 ? [walk(depth - 1)] : [] });
          const root = fromProfile({ ...walk(9), self_ns: 0, children: [walk(9)] }, CPU);
          return functions(root, true).map(entry => [entry.name, entry.self, entry.total]);
        }"""
    )
    assert found == [["walk", 9, 9]]


def test_own_code_and_libraries_differ_in_more_than_colour(graph):
    edge = colour(graph, 4, 0.002)
    assert edge != colour(graph, 4, 0.5)  # own code has an edge on the left
    assert colour(graph, 3, 0.004) == colour(graph, 3, 0.5)  # library code has none


def test_pointer_over_a_frame_shows_a_tooltip(graph):
    box = flame(graph).bounding_box()
    graph.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 5.5 * ROW)
    tip = graph.locator(".tip")
    expect(tip).to_contain_text("rank_results")
    expect(tip).to_contain_text("120 ms, 60 %")
    graph.mouse.move(box["x"], box["y"] - 40)
    expect(tip).to_be_hidden()


def test_frames_that_are_too_small_are_not_all_drawn(server, open_page):
    stacks = [
        ([(f"f{depth}_{number if depth > 3 else 0}", "/srv/a.py", 1) for depth in range(10)], 1)
        for number in range(1500)
    ]
    profile_id = send_request(server.url, Span("GET /large", stacks=stacks))
    narrow = {"width": 760, "height": 800}
    page = open_page(server.url, f"#/request/{profile_id}", viewport=narrow)
    drawn = page.locator(".flame-canvas").evaluate(
        """canvas => {
          const context = canvas.getContext("2d");
          let drawn = 0;
          const original = context.fillRect;
          context.fillRect = (...box) => { drawn++; original.apply(context, box); };
          canvas.parentElement.parentElement.dispatchEvent(new Event("scroll"));
          delete context.fillRect;
          return drawn;
        }"""
    )
    # Six rows have 1,500 frames below half a pixel each; every other one is drawn.
    assert 6 * 300 < drawn < 6 * 1000
    height = page.locator(".flame-canvas").evaluate("canvas => canvas.clientHeight")
    assert height <= 800


def test_deep_recursion_scrolls_inside_the_graph(server, open_page):
    stack = [("walk", "/srv/a.py", 1)] * 900 + [("leaf", "/srv/a.py", 2)]
    profile_id = send_request(server.url, Span("GET /deep", stacks=[(stack, 5)]))
    page = open_page(server.url, f"#/request/{profile_id}?fold=0")
    page.get_by_role("searchbox").fill("leaf")
    page.get_by_role("searchbox").press("Enter")
    expect(announcement(page)).to_contain_text("leaf, /srv/a.py:2")
    scrolled, height = flame(page).evaluate("flame => [flame.scrollTop, flame.clientHeight]")
    assert scrolled > 800 * ROW
    assert height < 700
    assert colour(page, (901 * ROW - scrolled) / ROW, 0.5) != NOTHING

"""Folding of libraries above and below own code, and of recursive functions."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.sending import Span, send_request
from tests.browser.shop_stacks import LIBRARY, SEARCH, SERVE

ROW = 21  # pixels
DUMPS = ("dumps", f"{LIBRARY}/orjson/__init__.py", 22)
ENCODE = ("encode", f"{LIBRARY}/orjson/enc.py", 7)
CALLBACK = ("as_json", "/srv/shop/models.py", 9)
WALK = ("walk", "/srv/shop/tree.py", 6)

# Returns a tree as [name, total, self, children].
FOLD = """async ([tree, opened]) => {
  const { foldLibraries } = await import("/page/flame_fold.js");
  const { fromProfile } = await import("/page/flame_tree.js");
  const { CPU } = await import("/page/measures.js");
  const node = ([name, self_ns, ...children]) => {
    const own = name === name.toUpperCase();
    const nodes = children.map(node);
    return { name, own, self_ns, file: own ? "/srv/a.py" : `/x/site-packages/${name}/a.py`, line: 1,
      total_ns: nodes.reduce((sum, child) => sum + child.total_ns, self_ns), children: nodes };
  };
  const plain = frame => [frame.name, frame.total, frame.self, frame.children.map(plain)];
  const folds = frame => [frame.fold?.key, ...frame.children.flatMap(folds)].filter(Boolean);
  const root = fromProfile(node(tree), CPU);
  const closed = foldLibraries(root, new Set());
  if (!opened) return plain(closed);
  return plain(foldLibraries(root, new Set([folds(closed)[opened - 1]])));
}"""


@pytest.fixture
def fold(shop, open_page):
    """Return a function that folds a tree. Own code is in capitals; the nth fold can be open."""
    page = open_page(shop.url)
    return lambda tree, opened=0: page.evaluate(FOLD, [tree, opened])


def test_all_paths_through_frameworks_above_own_code_are_one_frame(fold):
    tree = ["", 0, ["a", 1, ["b", 2, ["MINE", 10]], ["d", 4, ["MINE", 40]]]]
    assert fold(tree) == ["", 57, 0, [["⋯ a, d, b", 57, 7, [["MINE", 50, 50, []]]]]]


def test_inside_of_a_library_call_is_one_frame_for_each_called_function(fold):
    tree = ["", 0, ["MINE", 1, ["dumps", 2, ["enc", 3, ["c", 4]]], ["loads", 5, ["dec", 6]]]]
    dumps, loads = ["⋯ dumps · dumps, enc, c", 9, 9, []], ["⋯ loads · loads, dec", 11, 11, []]
    assert fold(tree) == ["", 21, 0, [["MINE", 21, 1, [dumps, loads]]]]


def test_own_code_called_by_a_library_stays_visible(fold):
    tree = ["", 0, ["MINE", 1, ["sort", 2, ["c", 3, ["KEY", 4]]]]]
    below = [["⋯ sort · sort, c", 9, 5, [["KEY", 4, 4, []]]]]
    assert fold(tree) == ["", 10, 0, [["MINE", 10, 1, below]]]


def test_library_call_of_one_function_is_not_folded(fold):
    tree = ["", 0, ["MINE", 1, ["sort", 2, ["KEY", 4]]]]
    assert fold(tree) == ["", 7, 0, [["MINE", 7, 1, [["sort", 6, 2, [["KEY", 4, 4, []]]]]]]]


def test_recursive_function_is_one_frame(fold):
    tree = ["", 0, ["WALK", 1, ["WALK", 2, ["WALK", 3, ["LEAF", 4]], ["LEAF", 5]], ["b", 6]]]
    below = [["b", 6, 6, []], ["LEAF", 9, 9, []]]
    assert fold(tree) == ["", 21, 0, [["WALK", 21, 6, below]]]


@pytest.mark.parametrize(
    ("opened", "shown"),
    [
        (1, [["a", 17, 1, [["b", 16, 2, [["MINE", 14, 3, [["⋯ c · c, d", 11, 11, []]]]]]]]]),
        (2, [["⋯ a, b", 17, 3, [["MINE", 14, 3, [["c", 11, 4, [["d", 7, 7, []]]]]]]]]),
    ],
)
def test_folds_are_opened_one_by_one(fold, opened, shown):
    tree = ["", 0, ["a", 1, ["b", 2, ["MINE", 3, ["c", 4, ["d", 7]]]]]]
    assert fold(tree, opened) == ["", 17, 0, shown]


# On the page


@pytest.fixture
def page(server, open_page):
    """The page of a request with libraries above and below own code, and with recursion."""
    stacks = [
        ([*SERVE, SEARCH, DUMPS, ENCODE], 4),
        ([*SERVE, SEARCH, DUMPS, ENCODE, CALLBACK], 2),
        ([*SERVE, SEARCH, *[WALK] * 5], 3),
        ([*SERVE, SEARCH], 1),
    ]
    profile_id = send_request(server.url, Span("GET /search", stacks=stacks))
    return open_page(server.url, f"#/request/{profile_id}")


def click(page, row, part):
    box = page.get_by_role("application").bounding_box()
    page.mouse.click(box["x"] + part * box["width"], box["y"] + (row + 0.5) * ROW)


def heading(page):
    return page.get_by_role("region", name="Frame").get_by_role("heading")


def test_click_opens_a_fold_and_button_closes_it(page):
    click(page, 1, 0.3)
    expect(heading(page)).to_have_text("run library")
    assert "open=" in page.url
    page.get_by_role("button", name="Fold it again").click()
    expect(heading(page)).to_have_text("⋯ python, uvicorn, starlette folded")
    page.get_by_role("button", name="Open this fold").click()
    expect(heading(page)).to_have_text("run library")


def test_open_fold_is_kept_in_the_address(page):
    click(page, 1, 0.3)
    expect(heading(page)).to_have_text("run library")
    page.reload()
    page.get_by_role("application").press("ArrowDown")
    expect(heading(page)).to_have_text("run library")
    page.go_back()
    page.get_by_role("application").press("ArrowDown")
    expect(heading(page)).to_have_text("⋯ python, uvicorn, starlette folded")


def test_keys_open_a_fold(page):
    graph = page.get_by_role("application")
    for _ in range(3):
        graph.press("ArrowDown")
    expect(heading(page)).to_have_text("⋯ dumps · orjson folded")
    graph.press("Enter")
    expect(heading(page)).to_have_text("dumps library")


def test_fold_is_announced_once(page):
    graph = page.get_by_role("application")
    for _ in range(3):
        graph.press("ArrowDown")
    said = page.locator(".flame-frame [aria-live]")
    expect(said).to_have_text(
        "⋯ dumps · orjson, 2 functions of libraries, folded, 60 ms, 60 %, 40 ms self, level 3"
    )


def test_recursive_function_can_be_unfolded(page):
    click(page, 3, 0.75)
    expect(page.locator(".tip")).to_contain_text("walk")
    graph = page.get_by_role("application")
    expect(graph).to_be_visible()
    expect(heading(page)).to_have_text("walk own code")
    for _ in range(4):
        graph.press("ArrowDown")
    expect(page.locator(".flame-frame [aria-live]")).to_contain_text("level 7")


def test_self_time_of_own_code_includes_called_libraries(page):
    table = page.get_by_role("region", name="Functions")
    expect(table.locator("tbody .name")).to_have_text(["search", "walk", "as_json"])
    expect(table.locator("tbody tr").first.locator("td")).to_have_text(["50 ms", "100 ms", "50 %"])
    page.get_by_role("button", name="Fold libraries").click()
    expect(table.locator("tbody .name").first).to_have_text("encode")
    expect(table.locator("tbody tr", has_text="search").locator("td").first).to_have_text("10 ms")


def test_fold_libraries_closes_open_folds(page):
    click(page, 1, 0.3)
    fold = page.get_by_role("button", name="Fold libraries")
    fold.click()
    fold.click()
    page.get_by_role("application").press("ArrowDown")
    expect(heading(page)).to_have_text("⋯ python, uvicorn, starlette folded")

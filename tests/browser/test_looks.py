"""Appearance: laptop and phone, light and dark, keyboard only, reduced motion."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.canvas import colour
from tests.browser.sending import Span, send_request
from tests.browser.waiting import eventually, go

PHONE = {"width": 390, "height": 844}

ADDRESSES = {
    "list": "#/",
    "routes": "#/routes",
    "request": "#/request/{slow}",
    "trace": "#/request/{order}",
    "no samples": "#/request/{health}",
    "route": "#/route?service=shop&route=GET+%2Fsearch%2F%7Bword%7D",
    "difference": "#/difference?left={slow}&right={fast}",
    "choice": "#/difference?left={slow}",
}


def address(shop, name):
    return ADDRESSES[name].format(**vars(shop))


# The contrast of every text with its background, by the formula of WCAG 2.
CONTRASTS = """() => {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colour, below) => {
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = `rgb(${below.join()})`;
    probe.fillRect(0, 0, 1, 1);
    probe.fillStyle = colour;
    probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = colour => {
    const [r, g, b] = colour.map(each => each / 255)
      .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => element
    ? over(getComputedStyle(element).backgroundColor, behind(element.parentElement))
    : [255, 255, 255];
  const found = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest("noscript, option")) continue;
    const back = behind(element), front = over(getComputedStyle(element).color, back);
    const [low, high] = [light(back), light(front)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found[`${element.className || element.tagName}: ${text}`] = contrast;
  }
  return found;
}"""


def test_phone_does_not_scroll_sideways(shop, open_page):
    page = open_page(shop.url, viewport=PHONE, has_touch=True)
    for name in ADDRESSES:
        go(page, f"{shop.url}/{address(shop, name)}")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], name


def test_bars_on_a_phone_have_one_scale(shop, open_page):
    page = open_page(shop.url, viewport=PHONE)
    for name in ("list", "routes"):
        go(page, f"{shop.url}/{address(shop, name)}")
        edges = page.locator("td.share").evaluate_all(
            """cells => cells.map(cell => {
              const { left, right } = cell.getBoundingClientRect();
              return `${Math.round(left)} to ${Math.round(right)}`;
            })"""
        )
        assert len(edges) > 1
        assert len(set(edges)) == 1, edges


def test_phone_folds_the_filters(shop, open_page):
    page = open_page(shop.url, viewport=PHONE, has_touch=True)
    status, rows = page.get_by_label("Status"), page.locator("table.requests tbody tr")
    expect(page.get_by_placeholder("Route, URL or id")).to_be_visible()
    expect(status).to_be_hidden()
    fold = page.get_by_role("button", name="Filters")
    fold.tap()
    expect(fold).to_have_attribute("aria-expanded", "true")
    status.select_option("error")
    expect(fold).to_have_text("Filters (1)")
    expect(rows).to_have_count(1)
    fold.tap()
    expect(status).to_be_hidden()
    expect(rows).to_have_count(1)


def test_laptop_shows_the_filters(shop, open_page):
    page = open_page(shop.url)
    expect(page.get_by_label("Status")).to_be_visible()
    expect(page.get_by_role("button", name="Filters")).to_be_hidden()


def test_phone_explains_the_bars(shop, open_page):
    page = open_page(shop.url, viewport=PHONE)
    key = page.get_by_text("CPU time in it")
    expect(key).to_have_text("duration, 0 to 400 msCPU time in it")
    expect(key).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(key).to_be_hidden()


def test_long_names_fit_a_phone(server, open_page):
    long = "GET /" + "a" * 300
    stacks = [([("f" * 300, "/srv/" + "b" * 300, 1)], 5)]
    span = Span(long, service="s" * 200, stacks=stacks, attributes={"k" * 90: "v" * 900})
    profile_id = send_request(server.url, span)
    page = open_page(server.url, "#/", viewport=PHONE, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.goto(f"{server.url}/#/request/{profile_id}")
    page.get_by_text("Attributes and ids").tap()
    page.locator("button.function").tap()
    expect(page.locator(".place")).to_contain_text("bbbb")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_long_names_leave_room_for_others(server, open_page):
    long = "GET /" + "a" * 600
    root = Span(long, service="s" * 600, stacks=[])
    others = [Span(long, service="t" * 600, parent=root.id, stacks=[]) for _ in range(2)]
    profile_id = send_request(server.url, root, *others)
    for viewport in (PHONE, {"width": 1280, "height": 800}):
        page = open_page(server.url, "#/", viewport=viewport)
        for row in page.locator("table.requests tbody tr").all():
            assert row.bounding_box()["height"] < 200
        go(page, f"{server.url}/#/routes")
        for row in page.locator("table.routes tbody tr").all():
            assert row.bounding_box()["height"] < 200
        go(page, f"{server.url}/#/request/{profile_id}")
        for tab in page.locator(".tabs a").all():
            assert tab.bounding_box()["height"] < 200


def test_phone_shows_the_whole_placeholder_of_the_search(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.slow}", viewport=PHONE, has_touch=True)
    search = page.get_by_placeholder("Search functions and files")
    room, needed = search.evaluate("""input => {
      const style = getComputedStyle(input);
      const pen = document.createElement("canvas").getContext("2d");
      pen.font = style.font;
      return [
        input.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight),
        pen.measureText(input.placeholder).width,
      ];
    }""")
    assert needed <= room


def test_taps_in_the_flame_graph_on_a_phone(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.slow}", viewport=PHONE, has_touch=True)
    graph = page.get_by_role("application")
    graph.scroll_into_view_if_needed()
    graph.tap(position={"x": 40, "y": 3.5 * 21})
    frame = page.get_by_role("region", name="Frame")
    expect(frame).to_contain_text("/srv/shop/ranking.py:58")
    frame.get_by_role("button", name="Zoom here").tap()
    expect(page.get_by_role("button", name="Reset zoom")).to_be_visible()


def test_every_text_has_enough_contrast(shop, open_page):
    page = open_page(shop.url)
    for name in ADDRESSES:
        go(page, f"{shop.url}/{address(shop, name)}")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CONTRASTS) == {}, (name, scheme)


def test_dark_mode_includes_the_flame_graph(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.slow}")
    for scheme, paper in (("light", "rgb(244, 246, 248)"), ("dark", "rgb(14, 18, 23)")):
        page.emulate_media(color_scheme=scheme)
        eventually(lambda: sum(colour(page, 2, 0.05)[:3]) > 450, scheme == "light")
        body = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert body == paper


def test_keyboard_alone_goes_from_the_list_to_a_frame(shop, open_page):
    page = open_page(shop.url)
    page.reload()
    page.wait_for_selector("main[aria-busy=false]")
    press = page.keyboard.press
    press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    press("Enter")
    for _ in range(30):
        press("Tab")
        if page.evaluate("document.activeElement.matches('td.route a')"):
            break
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("GET /search/{word}")
    expect(page.locator("main")).to_be_focused()
    press("/")
    page.keyboard.type("rank")
    press("Enter")
    expect(page.get_by_role("region", name="Frame")).to_contain_text("/srv/shop/ranking.py:58")


def test_focus_is_visible(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.order}")
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            """() => {
              const element = document.activeElement;
              if (element === document.body) return null;
              const style = getComputedStyle(element);
              return [element.tagName, parseFloat(style.outlineWidth), style.outlineStyle];
            }"""
        )
        if outline is None:
            break
        tag, width, style = outline
        seen.add(tag)
        assert width >= 2, outline
        assert style != "none", outline
    assert {"A", "BUTTON", "INPUT", "LI", "DIV", "SUMMARY"} <= seen


def test_every_control_has_an_accessible_name(shop, open_page):
    page = open_page(shop.url)
    for name in ("list", "trace", "difference"):
        go(page, f"{shop.url}/{address(shop, name)}")
        controls = page.locator("a:visible, button:visible, input:visible, select:visible")
        for control in controls.all():
            expect(control).not_to_have_accessible_name("")


def test_short_trace_is_above_the_flame_graph(server, open_page):
    root = Span("GET /loop", stacks=[([("step", "/srv/shop/api.py", 1)], 9)])
    # Repeated spans are one row.
    children = [Span("SELECT", parent=root.id) for _ in range(9)]
    page = open_page(server.url, f"#/request/{send_request(server.url, root, *children)}")
    trace, graph = (panel.bounding_box() for panel in page.locator("section.panel").all())
    assert trace["width"] == graph["width"]
    assert trace["y"] + trace["height"] < graph["y"]


def test_long_trace_stays_beside_the_flame_graph(server, open_page):
    stack = [(f"step_{number}", "/srv/shop/api.py", number) for number in range(60)]
    root = Span("GET /deep", stacks=[(stack, 9)])
    children = [Span(f"SELECT {number}", parent=root.id) for number in range(6)]
    page = open_page(server.url, f"#/request/{send_request(server.url, root, *children)}")
    trace, graph = page.locator("section.panel").all()
    assert trace.bounding_box()["y"] == graph.bounding_box()["y"]
    page.get_by_text("Functions, by self time").scroll_into_view_if_needed()
    assert graph.bounding_box()["y"] < 0 < trace.bounding_box()["y"]


def test_zoom_is_animated_only_without_reduced_motion(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.slow}?fold=0")
    page.expected.append("getImageData")
    # Right of the widest frame of the sixth row nothing is drawn until the zoom.
    zoom = """key => {
      const graph = document.querySelector(".flame"), canvas = graph.querySelector("canvas");
      const press = key => graph.dispatchEvent(new KeyboardEvent("keydown", { key }));
      for (let row = 0; row < 5; row++) press("ArrowDown");
      press(key);
      const at = [Math.floor(0.97 * canvas.width), 5 * 21 + 3, 1, 1];
      return canvas.getContext("2d").getImageData(...at).data[3] > 0;
    }"""
    assert page.evaluate(zoom, "Enter") is True
    page.evaluate(zoom, "Escape")
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(zoom, "Enter") is False
    eventually(lambda: page.evaluate(zoom, "Shift"), expected=True)


def test_page_states_that_it_is_for_development(shop, open_page):
    page = open_page(shop.url)
    expect(page.get_by_role("banner")).to_contain_text("for development")
    expect(page.get_by_role("contentinfo")).to_contain_text("A development server")
    expect(page.get_by_role("contentinfo")).to_contain_text("5 requests, 6 spans")
    expect(page.get_by_role("contentinfo")).to_contain_text("kept for 1 day or 512 MB")

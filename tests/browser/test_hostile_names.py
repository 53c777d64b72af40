"""Hostile names are shown unchanged, and nothing in them runs."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.sending import Span, send_request

MARKUP = "<img src=x onerror=alert(1)><script>window.hacked = 1</script>"
LINK = "javascript:window.hacked=2//"
QUOTES = "\"'><svg onload=alert(3)>"
ODD = "\u202etxt.exe\u200f {{7*7}} ${window.hacked=4} %s %c &lt;b&gt;"


@pytest.fixture
def hostile(server):
    """A request with a hostile name in every place."""
    stacks = [([(MARKUP, LINK, 1), (LINK, MARKUP, 2), (QUOTES, f"/srv/{MARKUP}", 3)], 5)]
    root = Span(
        f"GET {MARKUP}",
        service=QUOTES,
        stacks=stacks,
        error=MARKUP,
        attributes={MARKUP: MARKUP, "url.full": LINK, "odd": ODD, "__proto__": "x"},
        events=[(MARKUP, 1, {QUOTES: LINK})],
    )
    child = Span(LINK, service=MARKUP, start=5, parent=root.id, kind=3, stacks=stacks)
    other = Span(f"GET {MARKUP}", service=QUOTES, stacks=stacks)
    return server.url, send_request(server.url, root, child), send_request(server.url, other)


def check_nothing_ran(page):
    assert page.evaluate("window.hacked") is None
    assert page.locator("main").locator("img, script, svg, iframe, object, style").count() == 0
    assert page.locator("[style*=expression], [onerror], [onload], [onclick]").count() == 0
    for target in page.locator("a").evaluate_all("all => all.map(one => one.href)"):
        assert target.startswith(page.url.partition("#")[0])


def test_in_the_list(hostile, open_page):
    url, *_ = hostile
    page = open_page(url)
    expect(page.locator("td.route a").last).to_have_text(f"GET {MARKUP}")
    expect(page.locator("td.service").last).to_have_text(QUOTES)
    expect(page.locator("select[name=service] option")).to_contain_text(["All services", QUOTES])
    check_nothing_ran(page)
    page.locator("select[name=service]").select_option(QUOTES)
    expect(page.locator("table.requests tbody tr")).to_have_count(2)
    page.goto(f"{url}/#/routes")
    expect(page.get_by_role("link", name=LINK, exact=True)).to_be_visible()
    check_nothing_ran(page)


def test_in_a_request(hostile, open_page):
    url, profile_id, _ = hostile
    page = open_page(url, f"#/request/{profile_id}")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"GET {MARKUP}")
    details = page.get_by_role("region", name="Span", exact=True)
    expect(details).to_contain_text(f"✕ Failed: {MARKUP}")
    page.get_by_text("Attributes and ids").click()
    expect(details.locator("dd").get_by_text(LINK, exact=True).first).to_be_visible()
    expect(details.locator("dt").get_by_text(MARKUP, exact=True)).to_be_visible()
    expect(details.locator("dt").get_by_text("__proto__", exact=True)).to_be_visible()
    expect(details.locator("dd").get_by_text(ODD, exact=True)).to_be_visible()
    page.get_by_role("treeitem").nth(1).click()
    expect(details.get_by_role("heading").first).to_contain_text(LINK)
    check_nothing_ran(page)


def test_right_to_left_text_does_not_reorder_its_surroundings(server, open_page):
    name = "\u202eevil"
    profile_id = send_request(server.url, Span("GET /x", service=name, stacks=[]))
    page = open_page(server.url, f"#/request/{profile_id}")
    service, time = page.locator(".lead .service"), page.locator(".lead time")
    expect(service).to_have_text(name)
    assert service.bounding_box()["x"] < time.bounding_box()["x"]


def test_in_a_flame_graph(hostile, open_page):
    url, profile_id, _ = hostile
    page = open_page(url, f"#/request/{profile_id}?fold=0")
    table = page.get_by_role("region", name="Functions")
    expect(table.locator(".name")).to_have_text([QUOTES])
    table.locator("button.function").click()
    frame = page.get_by_role("region", name="Frame")
    expect(frame.get_by_role("heading")).to_contain_text(QUOTES)
    expect(frame.locator(".place code")).to_have_text(f"/srv/{MARKUP}:3")
    box = page.get_by_role("application").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 30)
    expect(page.locator(".tip")).to_contain_text("<img src=x")
    page.get_by_role("searchbox").fill("<img")
    expect(page.locator(".found")).to_have_text("3 frames, 100 %")
    check_nothing_ran(page)


def test_in_urls_statements_and_folds(server, open_page):
    library = f"/x/site-packages/{QUOTES}/{MARKUP}.py"
    stack = [("f", "/srv/a.py", 1), (MARKUP, library, 1), (LINK, library, 2), (ODD, library, 3)]
    root = Span("GET /", stacks=[(stack, 5)], attributes={"url.path": f"/{MARKUP}"})
    query = {"db.query.text": MARKUP}
    queries = [Span(MARKUP, parent=root.id, kind=3, attributes=query) for _ in range(6)]
    profile_id = send_request(server.url, root, *queries)
    page = open_page(server.url)
    expect(page.locator(".target")).to_have_text(f"/{MARKUP}")
    page.get_by_role("searchbox").fill(MARKUP)
    expect(page.locator("table.requests tbody tr")).to_have_count(1)
    check_nothing_ran(page)
    page.goto(f"{server.url}/#/request/{profile_id}")
    page.get_by_role("treeitem").nth(1).click()
    expect(page.locator(".statement")).to_have_text(MARKUP)
    graph = page.get_by_role("application")
    graph.press("ArrowDown")
    graph.press("ArrowDown")
    expect(page.get_by_role("region", name="Frame").get_by_role("heading")).to_contain_text(MARKUP)
    check_nothing_ran(page)
    page.get_by_role("button", name="Open this fold").click()
    page.get_by_role("button", name="Callers and callees").click()
    expect(page.get_by_role("application")).to_have_count(2)
    check_nothing_ran(page)


def test_in_a_route_and_a_difference(hostile, open_page):
    url, profile_id, other = hostile
    page = open_page(url, "#/routes")
    page.get_by_role("link", name=f"GET {MARKUP}", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"GET {MARKUP}")
    check_nothing_ran(page)
    page.goto(f"{url}/#/difference?left={profile_id}&right={other}")
    expect(page.locator(".side .big").first).to_have_text("50 ms")
    check_nothing_ran(page)


def test_in_an_address(hostile, open_page):
    url, *_ = hostile
    page = open_page(url)
    page.expected.append("404 (Not Found)")
    for address in (
        f"#/?service={MARKUP}&route={MARKUP}",
        f"#/route?service={QUOTES}&route={LINK}",
        f"#/{MARKUP}",
        f"#/request/{LINK}",
        f"#/difference?left={LINK}",
    ):
        page.goto(f"{url}/{address}")
        expect(page.locator("main .message")).to_be_visible()
        check_nothing_ran(page)
        page.goto(f"{url}/#/")
        expect(page.locator("table.requests")).to_be_visible()


def test_links_to_other_sites_are_refused(shop, open_page):
    page = open_page(shop.url)
    for target in (LINK, LINK.upper(), "//elsewhere/", "https://elsewhere/", " #/", ""):
        refused = page.evaluate(
            """async (href) => {
              const { h } = await import("/page/dom.js");
              try { h("a", { href }); } catch (error) { return error.message; }
            }""",
            target,
        )
        assert refused == f"not a link of this page: {target}"


def test_content_security_policy_blocks_inline_scripts(shop, open_page):
    page = open_page(shop.url)
    page.expected += ["Content Security Policy", "TrustedScript"]
    ran = page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.append("window.hacked = 5");
          document.body.append(script);
          return window.hacked ?? null;
        }"""
    )
    assert ran is None

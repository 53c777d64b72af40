"""The source of the selected function: lines with their times, and a link to an editor."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import expect

from pyroscope_otel.tools.serve import LocalServer
from tests.browser.sending import Span, send_request

TEXT = "def search():\n    rank()\n    <b>hostile</b>\n\n\ndef rank():\n    pass\n"


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "app #1.py"
    file.write_text(TEXT)
    os.utime(file, ns=(1, 1))
    return str(file)


@pytest.fixture
def page(app, open_page):
    """The page of a request: 50 ms in line 3 of search, 20 ms in a function called in line 2."""
    with LocalServer(port=0, otlp_port=None) as server:
        stacks = [([("search", app, 3)], 5), ([("search", app, 2), ("rank", app, 7)], 2)]
        profile_id = send_request(server.url, Span("GET /search", stacks=stacks))
        page = open_page(server.url, f"#/request/{profile_id}")
        page.evaluate("localStorage.clear()")
        choose(page, "search")
        yield page
        page.goto("about:blank")


def choose(page, function):
    page.locator("button.function", has_text=function).click()


def line(page, number):
    return page.locator(".lines tr").filter(has=page.get_by_role("rowheader", name=number))


def test_lines_have_their_times(page):
    cells = line(page, "3").locator("td")
    expect(cells.nth(0)).to_have_text("50 ms")
    expect(cells.last).to_have_text("    <b>hostile</b>")
    expect(line(page, "2").locator("td").first).to_have_text("20 ms")
    expect(line(page, "1").locator("td").first).to_have_text("")
    expect(page.locator(".lines .hottest th")).to_have_text("3")
    title = "20 ms, of which 0 ms on the line itself"
    assert line(page, "2").get_attribute("title") == title


def test_another_selected_function_shows_its_lines(page):
    choose(page, "rank")
    expect(page.locator(".lines .hottest th")).to_have_text("7")
    page.get_by_role("application").press("Home")
    expect(page.locator(".lines")).to_have_count(0)


def test_link_opens_the_chosen_editor(page, app):
    link = page.get_by_role("link", name="Open in editor")
    quoted = app.replace("app #1.py", "app%20%231.py")
    expect(link).to_have_attribute("href", f"vscode://file{quoted}:3")
    page.get_by_role("combobox", name="Editor").select_option("PyCharm")
    expect(link).to_have_attribute("href", f"pycharm://open?file={quoted}&line=3")
    page.reload()
    choose(page, "search")
    expect(link).to_have_attribute("href", f"pycharm://open?file={quoted}&line=3")


@pytest.mark.parametrize(
    "address",
    ["javascript:alert('{file}')", "https://x.org/{file}", "{file}", "foo://no", "data:,{file}"],
)
def test_unsafe_address_of_an_editor_is_refused(page, address):
    link = page.get_by_role("link", name="Open in editor")
    before = link.get_attribute("href")
    page.get_by_role("combobox", name="Editor").select_option("")
    field = page.get_by_role("textbox", name="Address with {file} and {line}")
    field.fill(address)
    field.press("Tab")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(link).to_have_attribute("href", before)
    field.fill("myeditor:{file}+{line}")
    field.press("Tab")
    expect(field).to_have_attribute("aria-invalid", "false")
    assert link.get_attribute("href").startswith("myeditor:/")


def test_missing_file_shows_only_the_times(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.slow}")
    page.get_by_role("button", name="rank_results").click()
    source = page.locator(".source")
    expect(source).to_contain_text("there is no such file on this machine")
    expect(page.locator(".lines th")).to_have_text(["58"])
    expect(page.locator(".lines td").first).to_have_text("120 ms")
    expect(page.get_by_role("link", name="Open in editor")).to_have_count(0)

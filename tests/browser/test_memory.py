"""Memory: in the list, and on the pages of requests, routes and differences."""

from __future__ import annotations

import gzip

import pytest
from playwright.sync_api import expect

from pyroscope_otel.pprof.messages import PprofProfile
from tests.browser.sending import Span, send_memory, send_request
from tests.browser.shop_stacks import SEARCH, SERVE, search_stacks

MIB = 1024 * 1024
LOAD = ("load", "/srv/shop/models.py", 5)
ROUTE = "GET /search/{word}"


@pytest.fixture
def hungry(server):
    """Two requests: the first allocated 3 MiB in 30 objects, the second 1 MiB in 10."""
    ids = []
    for size, ago in ((3, 9), (1, 5)):
        stacks = search_stacks(rank=4, tokenise=2)
        ids.append(send_request(server.url, Span(ROUTE, stacks=stacks), ago=ago))
        send_memory(
            server.url,
            [
                ([*SERVE, SEARCH], 2 * size, size * MIB // 4),
                ([*SERVE, SEARCH, LOAD], 8 * size, size * MIB * 3 // 4),
            ],
            span_id=ids[-1],
        )
    return ids


def measures(page):
    return page.get_by_role("group", name="What is measured")


def functions(page):
    return page.get_by_role("region", name="Functions").locator("tbody tr")


@pytest.mark.usefixtures("hungry")
def test_list_has_a_column_for_allocated_memory(server, open_page):
    page = open_page(server.url)
    expect(page.locator("td.memory")).to_have_text(["1.0 MiB", "3.0 MiB"])
    expect(page.get_by_role("columnheader", name="Allocated")).to_be_visible()


def test_list_has_no_memory_column_without_memory_profiles(shop, open_page):
    page = open_page(shop.url)
    expect(page.get_by_role("columnheader", name="Allocated")).to_be_hidden()


def test_request_has_cpu_and_memory(server, hungry, open_page):
    page = open_page(server.url, f"#/request/{hungry[0]}?fold=0")
    expect(functions(page).first).to_contain_text("rank_results")
    measures(page).get_by_role("button", name="Memory").click()
    expect(functions(page).first).to_contain_text("load")
    expect(functions(page).locator("td").first).to_have_text("2.3 MiB")
    expect(page.locator(".legend")).to_contain_text("width: bytes allocated")
    assert "type=alloc_space" in page.url
    measures(page).get_by_role("button", name="objects").click()
    expect(functions(page).locator("td").first).to_have_text("24")
    page.go_back()
    expect(functions(page).locator("td").first).to_have_text("2.3 MiB")
    page.go_back()
    expect(functions(page).first).to_contain_text("rank_results")


def test_memory_can_be_opened_by_address(server, hungry, open_page):
    page = open_page(server.url, f"#/request/{hungry[1]}?fold=0&type=alloc_objects")
    expect(functions(page).locator("td").first).to_have_text("8")
    pressed = measures(page).locator("[aria-pressed=true]")
    expect(pressed).to_have_text(["Memory", "objects"])


@pytest.mark.usefixtures("hungry")
def test_route_has_memory(server, open_page):
    address = "#/route?service=shop&route=GET+%2Fsearch%2F%7Bword%7D&fold=0&type=alloc_space"
    page = open_page(server.url, address)
    expect(functions(page).locator("td").first).to_have_text("3.0 MiB")


def test_difference_has_memory(server, hungry, open_page):
    page = open_page(server.url, f"#/difference?left={hungry[0]}&right={hungry[1]}&fold=0")
    expect(page.locator(".side .big").nth(0)).to_have_text("80 ms")
    measures(page).get_by_role("button", name="Memory").click()
    expect(page.locator(".side .big")).to_have_text(["3.0 MiB", "1.0 MiB", "+2.0 MiB"])
    expect(page.locator(".side.result")).to_contain_text("difference in bytes allocated")
    expect(page.locator(".side.result")).to_contain_text("200 % more than B")


def test_page_without_memory_profiles_shows_how_to_enable_them(shop, open_page):
    page = open_page(shop.url, f"#/request/{shop.slow}?type=alloc_space")
    expect(page.locator("[data-finding=no-memory]")).to_contain_text("PYROSCOPE_MEM_ENABLED=true")


@pytest.mark.usefixtures("hungry")
def test_request_without_memory_samples(server, open_page):
    other = send_request(server.url, Span("GET /small", stacks=[]))
    page = open_page(server.url, f"#/request/{other}?type=alloc_space")
    expect(page.locator("[data-finding=no-allocations]")).to_contain_text("512 KiB")


def test_memory_can_be_downloaded_as_pprof(server, hungry, open_page):
    page = open_page(server.url, f"#/request/{hungry[0]}")
    with page.expect_download() as download:
        page.get_by_text("Save", exact=True).click()
        page.get_by_role("link", name="Memory as pprof").click()
    assert download.value.suggested_filename == f"{hungry[0]}-memory.pprof"
    profile = PprofProfile.FromString(gzip.decompress(download.value.path().read_bytes()))
    assert sum(sample.value[-1] for sample in profile.sample) == 3 * MIB


def test_route_with_memory_profiling_does_not_show_how_to_enable_it(server, open_page):
    send_request(server.url, Span("GET /small", stacks=search_stacks(rank=1, tokenise=1)))
    other = send_request(server.url, Span(ROUTE, stacks=search_stacks(rank=1, tokenise=1)))
    address = "#/route?service=shop&route=GET+%2Fsmall&type=alloc_space"
    page = open_page(server.url, address)
    expect(page.locator("[data-finding=no-memory]")).to_contain_text("--memory")
    send_memory(server.url, [([*SERVE, SEARCH], 2, MIB)], span_id=other)
    page = open_page(server.url, address)
    expect(page.locator("[data-finding=no-allocations]")).to_be_visible()


def test_large_numbers_of_objects_are_rounded(server, open_page):
    profile_id = send_request(server.url, Span(ROUTE, stacks=search_stacks(rank=1, tokenise=1)))
    send_memory(server.url, [([*SERVE, SEARCH], 13_094_500, 400 * MIB)], span_id=profile_id)
    page = open_page(server.url, f"#/request/{profile_id}?type=alloc_objects")
    expect(functions(page).locator("td").first).to_have_text("13.1 M")

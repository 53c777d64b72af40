"""The page explains CPU time that does not fit the duration of a request."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.sending import Span, nanoseconds, send_request, send_samples

WORK = [("work", "/srv/shop/work.py", 4)]
SECONDS = 1000.0


def finding(page, name):
    return page.locator(f"aside[data-finding={name}]")


def numbers(page):
    terms = page.locator(".numbers dt").all_inner_texts()
    return dict(zip(terms, page.locator(".numbers dd").all_inner_texts(), strict=True))


def test_page_explains_how_cpu_time_is_measured(server, open_page):
    counted = send_request(server.url, Span("GET /a", stacks=[(WORK, 7)]))
    page = open_page(server.url, f"#/request/{counted}")
    assert numbers(page) == {"duration": "100 ms", "CPU sampled": "70 ms", "sampled": "70 %"}
    expect(page.locator(".about")).to_contain_text("PySpy")
    read = send_request(server.url, Span("GET /b", service="b", stacks=[(WORK, 7)], clock=True))
    page = open_page(server.url, f"#/request/{read}")
    assert numbers(page) == {"duration": "100 ms", "CPU time": "70 ms", "on CPU": "70 %"}
    expect(page.locator(".about")).to_contain_text("CPU clock")


def test_list_explains_how_cpu_time_is_measured(server, open_page):
    send_request(server.url, Span("GET /a", stacks=[(WORK, 7)]))
    page = open_page(server.url)
    about = page.locator(".about")
    expect(about).to_contain_text("sampler PySpy")
    expect(about).not_to_contain_text("Stack")
    send_request(server.url, Span("GET /b", service="b", stacks=[(WORK, 7)], clock=True))
    expect(about).to_contain_text("sampler Stack")
    expect(about).to_contain_text("sampler PySpy")


@pytest.mark.parametrize(("clock", "sampler"), [(True, "Stack"), (False, "PySpy")])
def test_routes_and_differences_explain_how_cpu_time_is_measured(server, open_page, clock, sampler):
    spans = [Span("GET /a", stacks=[(WORK, number)], clock=clock) for number in (3, 4)]
    left, right = [send_request(server.url, span) for span in spans]
    for address in (
        f"#/difference?left={left}&right={right}",
        f"#/difference?left={left}&right=route",
        "#/route?service=shop&route=GET+%2Fa",
    ):
        page = open_page(server.url, address)
        expect(page.locator(".panel > div > .about")).to_contain_text(f"sampler {sampler})")


def test_more_cpu_time_than_duration_is_explained(server, open_page):
    span = Span("GET /busy", milliseconds=100, stacks=[(WORK, 40)])
    page = open_page(server.url, f"#/request/{send_request(server.url, span)}")
    title = "400 ms of CPU time in a root span of 100 ms"
    expect(finding(page, "over").get_by_role("heading")).to_have_text(title)
    expect(finding(page, "over")).to_contain_text("on a busy machine it shows more")
    expect(finding(page, "over")).to_contain_text("may have kept running")


def test_with_a_clock_a_busy_machine_is_not_given_as_the_reason(server, open_page):
    span = Span("GET /busy", milliseconds=100, stacks=[(WORK, 40)], clock=True)
    page = open_page(server.url, f"#/request/{send_request(server.url, span)}")
    expect(finding(page, "over")).to_contain_text("several threads")
    expect(finding(page, "over")).not_to_contain_text("busy machine")


def test_request_that_continues_after_its_root_span_shows_how_long(server, open_page):
    span = Span("POST /mail", milliseconds=20, stacks=[(WORK, 40)], clock=True)
    profile_id = send_request(server.url, span, ago=30)
    send_samples(server.url, [(WORK, 40)], span_id=profile_id, clock=True, began=nanoseconds(25))
    page = open_page(server.url, f"#/request/{profile_id}")
    # Five seconds, plus the time between the two messages.
    assert re.fullmatch(r"≥ [5-9]\.\d\d s", numbers(page)["went on for"])
    later = re.compile(r"for at least \d\.\d\d s")
    expect(finding(page, "over")).to_contain_text(later)


def held(root, milliseconds):
    """Return the span that says that a request was let go so much later than it began."""
    return Span(
        "held",
        start=root.milliseconds,
        milliseconds=milliseconds - root.milliseconds,
        parent=root.id,
        attributes={"pyroscope_otel.held": root.id},
    )


def test_request_that_was_held_after_its_root_span_shows_how_long(server, open_page):
    root = Span("POST /mail", milliseconds=20, stacks=[(WORK, 40)], clock=True)
    profile_id = send_request(server.url, root, held(root, 2 * SECONDS), ago=30)
    send_samples(server.url, [(WORK, 10)], span_id=profile_id, clock=True, began=nanoseconds(1))
    page = open_page(server.url, f"#/request/{profile_id}")
    assert numbers(page) == {
        "duration": "20.0 ms",
        "held for": "2.00 s",
        "CPU time": "500 ms",
        "on CPU": "25 %",
    }
    expect(finding(page, "over")).to_have_count(0)
    expect(finding(page, "waited").locator("summary")).to_have_text("75 % of the time it waited")


def test_more_cpu_time_than_a_request_was_held_is_explained(server, open_page):
    root = Span("POST /mail", milliseconds=20, stacks=[(WORK, 40)], clock=True)
    profile_id = send_request(server.url, root, held(root, 100))
    page = open_page(server.url, f"#/request/{profile_id}")
    title = "400 ms of CPU time in the 100 ms for which it was held"
    expect(finding(page, "over").get_by_role("heading")).to_have_text(title)
    expect(finding(page, "over")).not_to_contain_text("kept running")


def test_list_shows_how_long_a_request_was_held(server, open_page):
    root = Span("POST /mail", milliseconds=20, stacks=[(WORK, 40)], clock=True)
    send_request(server.url, root, held(root, 2 * SECONDS))
    send_request(server.url, Span("GET /plain", stacks=[(WORK, 4)]))
    page = open_page(server.url)
    expect(page.locator("td.duration")).to_have_text(["100 ms", "20.0 msheld 2.00 s"])
    expect(page.locator(".timebar").last).to_have_attribute(
        "aria-label", "20 % on CPU while it was held"
    )
    expect(page.locator(".timebar.over")).to_have_count(0)


def test_trace_shows_how_long_its_local_roots_were_held(server, open_page):
    root = Span("POST /mail", milliseconds=250, stacks=[(WORK, 40)], clock=True)
    child = Span("SELECT", milliseconds=100, parent=root.id)
    profile_id = send_request(server.url, root, child, held(root, SECONDS))
    page = open_page(server.url, f"#/request/{profile_id}")
    rows = page.get_by_role("treeitem")
    expect(rows).to_have_count(2)
    expect(rows.first).to_have_accessible_name(
        "POST /mail, shop, after 0 ms, took 250 ms, held for 1.00 s, 400 ms CPU"
    )
    expect(page.locator(".scale .ticks > span").last).to_have_text("1.00 s")
    expect(page.get_by_role("region", name="Span", exact=True)).to_contain_text("held for1.00 s")
    widths = page.locator(".span-bar, .span-bar > span").evaluate_all(
        "all => all.map(each => each.style.inlineSize.replace(/\\.\\d+/, ''))"
    )
    assert widths == ["max(2px, 100%)", "25%", "40%", "max(2px, 10%)"]


def test_bar_marks_more_cpu_time_than_its_length(server, open_page):
    send_request(server.url, Span("GET /busy", milliseconds=100, stacks=[(WORK, 40)]))
    send_request(server.url, Span("GET /calm", milliseconds=100, stacks=[(WORK, 9)]))
    page = open_page(server.url)
    bars = page.locator(".timebar")
    expect(page.locator(".timebar.over")).to_have_count(1)
    labels = bars.evaluate_all("all => all.map(bar => bar.getAttribute('aria-label'))")
    why = "400 % sampled: more than its root span took. Its page explains why"
    assert sorted(labels) == [why, "90 % sampled"]


def test_time_without_samples_and_spans_is_reported(server, open_page):
    span = Span("GET /zip", milliseconds=500, stacks=[(WORK, 3)])
    page = open_page(server.url, f"#/request/{send_request(server.url, span)}")
    title = "470 ms of it were neither sampled nor in a call with a span"
    expect(finding(page, "unseen").locator("summary")).to_have_text(title)
    finding(page, "unseen").locator("summary").click()
    expect(finding(page, "unseen").get_by_text("Of 500 ms, 30 ms were sampled")).to_be_visible()
    expect(finding(page, "unseen")).to_contain_text("released the GIL")


def test_time_in_spans_of_calls_counts_as_waiting(server, open_page):
    root = Span("GET /calls", milliseconds=500, stacks=[(WORK, 3)])
    calls = [
        Span("SELECT", start=start, milliseconds=300, parent=root.id, kind=3)
        for start in (20, 100)  # 380 ms together
    ]
    page = open_page(server.url, f"#/request/{send_request(server.url, root, *calls)}")
    expect(page.get_by_role("treeitem")).to_have_count(3)
    expect(page.locator("aside[data-finding]")).to_have_count(0)


def test_with_a_clock_the_rest_is_waiting(server, open_page):
    span = Span("GET /slow", milliseconds=2 * SECONDS, stacks=[(WORK, 50)], clock=True)
    page = open_page(server.url, f"#/request/{send_request(server.url, span)}")
    title = "75 % of the time it waited"
    expect(finding(page, "waited").locator("summary")).to_have_text(title)
    expect(finding(page, "waited")).not_to_contain_text("GIL")


def test_with_a_clock_the_gil_is_not_given_as_the_reason(server, open_page):
    send_samples(server.url, [(WORK, 1)], clock=True)
    span = Span("GET /idle", milliseconds=500, stacks=[])
    page = open_page(server.url, f"#/request/{send_request(server.url, span, ago=60)}")
    expect(page.locator("[data-finding=no-samples] li")).to_have_count(1)

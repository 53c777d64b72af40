"""Waits for addresses, and for values that are no elements of the page.

Playwright's `wait_for_function` evaluates a string in the page, which the content security
policy forbids.
"""

from __future__ import annotations

import time

PATIENCE = 15.0  # seconds


def eventually(value, expected):
    """Wait until a function returns the expected value."""
    deadline = time.monotonic() + PATIENCE
    while (found := value()) != expected:
        assert time.monotonic() < deadline, f"{found!r} never became {expected!r}"
        time.sleep(0.02)


def go(page, url):
    """Go to an address, without a reload if it is on the same server."""
    page.goto(url)
    shown = page.locator("main[aria-busy=false]")
    address = page.evaluate("location.hash")
    eventually(lambda: shown.get_attribute("data-address"), address)
    # A flame graph is drawn once it has a size, which may be after the page is ready.
    are_drawn = """() => [...document.querySelectorAll(".flame-canvas")].every(
      canvas => canvas.offsetParent === null || canvas.style.inlineSize)"""
    eventually(lambda: page.evaluate(are_drawn), expected=True)

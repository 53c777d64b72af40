"""Waits for addresses, and for what the page does not show as an element.

Playwright's own `wait_for_function` evaluates a string in the page, which the
content security policy forbids.
"""

from __future__ import annotations

import time

PATIENCE = 15.0  # seconds


def eventually(value, expected):
    """Ask for a value until it is the expected one."""
    deadline = time.monotonic() + PATIENCE
    while (found := value()) != expected:
        assert time.monotonic() < deadline, f"{found!r} never became {expected!r}"
        time.sleep(0.02)


def go(page, url):
    """Go to an address; on the server that the page is of, nothing is loaded anew."""
    page.goto(url)
    shown = page.locator("main[aria-busy=false]")
    address = page.evaluate("location.hash")
    eventually(lambda: shown.get_attribute("data-address"), address)

"""Makes the pictures of the README from the demo, in light and dark.

    pip install '.[local]' playwright
    python docs/pictures/make.py

It needs Chromium on the PATH, and takes half a minute.
"""  # noqa: INP001  a script

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SIZE = {"width": 1200, "height": 720}


def main() -> None:
    """Take the pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("There is no chromium on the PATH; on Debian: apt-get install chromium")
    # Chromium refuses to run as root with its sandbox.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with demo() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport=SIZE,
                color_scheme=scheme,
                device_scale_factor=1.5,
                locale="en-GB",
                reduced_motion="reduce",
            )
            page.goto(address)
            page.locator("main[aria-busy=false]").wait_for()
            page.get_by_text("connected", exact=True).wait_for()
            page.screenshot(path=HERE / f"request-{scheme}.png")
            page.close()
        browser.close()


@contextmanager
def demo() -> Iterator[str]:
    """Run the demo; give the address of one of its two interleaved requests."""
    command = [sys.executable, "-m", "pyroscope_otel", "demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  ours
        output = process.stdout or sys.exit("The demo says nothing.")
        try:
            for line in output:
                found = re.search(r"http://\S+/#/request/\S+", line)
                if found:
                    yield found[0]
                    break
            else:
                sys.exit("The demo ended before it had an address.")
        finally:
            process.terminate()
            output.read()


if __name__ == "__main__":
    main()

"""The cause of what an application lacks is told, and not what follows from it."""

from __future__ import annotations

import pytest

from .applications import GLOBAL, MIDDLEWARE, PLAIN, PROVIDER
from .judging import codes


def test_the_sdk_is_switched_off_in_the_code(check):
    off = "import os\nos.environ['OTEL_SDK_DISABLED'] = 'true'"
    assert codes(check(off, PROVIDER, GLOBAL, PLAIN, MIDDLEWARE).findings) == ["sdk-disabled!"]


@pytest.mark.parametrize("off", ["argument enabled", "environment variable PYROSCOPE_ENABLED"])
def test_the_package_is_switched_off(check, monkeypatch, off):
    middleware = MIDDLEWARE
    if off.startswith("argument"):
        middleware = MIDDLEWARE.replace('"shop"', '"shop", enabled=False')
    else:
        monkeypatch.setenv("PYROSCOPE_ENABLED", "false")
    checked = check(PLAIN, middleware)
    assert checked.findings == []
    assert checked.arguments["enabled"] is False
    assert checked.sources["enabled"] == off

"""Reads settings, and errors about them."""

from __future__ import annotations

import pytest

from pyroscope_otel.setup.settings import SettingsError, read_settings

FRAMEWORK = "Django setting PYROSCOPE['{}']"
ADDRESS = "server_address must be a URL that begins with http:// or https:// and names a host; "


def read(arguments=None, *, environ=None, **others):
    """Read settings from arguments and from this environment alone."""
    return read_settings(arguments or {}, environ=environ or {}, **others)


def refusal(arguments=None, **others):
    """Return the message of the error that these settings raise."""
    with pytest.raises(SettingsError) as caught:
        read(arguments, **others)
    return str(caught.value)

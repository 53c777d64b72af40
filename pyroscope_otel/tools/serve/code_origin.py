"""Decides whether a file belongs to the application or to a library."""

from __future__ import annotations

import re
import sysconfig
from functools import lru_cache

__all__ = ("is_own",)

_LIBRARY = re.compile(
    r"^<"  # <frozen importlib._bootstrap>, <string>
    r"|(?:^|[/\\])(?:site|dist)-packages[/\\]"
    r"|[/\\]lib(?:64)?[/\\]python\d+(?:\.\d+)?t?[/\\]"
    # A console script, which has no dot in its name: bin/uvicorn.
    r"|[/\\](?:bin|Scripts)[/\\][^/\\.]+(?:\.exe|-script\.pyw?)?$"
    # This package in a checkout.
    r"|[/\\]pyroscope_otel(?:_django|_flask)?[/\\]",
    re.IGNORECASE,
)

_DEMO = re.compile(r"[/\\]pyroscope_otel[/\\]tools[/\\]demo[/\\]shop\.py$")
"""The demo's application, wherever it is installed."""

# The library folders of this process. The pattern covers the usual places in any Python; this
# covers a Python with its library elsewhere.
_PREFIXES = tuple(
    {
        path.rstrip("/\\") + sep
        for path in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
        for sep in "/\\"
    }
)


@lru_cache(maxsize=10_000)
def is_own(file: str) -> bool:
    """Return whether a file is the application's own code, judging by its path."""
    if _DEMO.search(file):
        return True
    return bool(file) and not _LIBRARY.search(file) and not file.startswith(_PREFIXES)

"""Whose code a file is: the application's own, or a library's."""

from __future__ import annotations

import re
import sysconfig
from functools import lru_cache

__all__ = ("is_own",)

_LIBRARY = re.compile(
    r"^<"  # <frozen importlib._bootstrap>, <string>
    r"|(?:^|[/\\])(?:site|dist)-packages[/\\]"
    r"|[/\\]lib(?:64)?[/\\]python\d+(?:\.\d+)?t?[/\\]"
    # A console script, whose name has no dot: bin/uvicorn.
    r"|[/\\](?:bin|Scripts)[/\\][^/\\.]+(?:\.exe|-script\.pyw?)?$"
    # This package in a checkout of it.
    r"|[/\\]pyroscope_otel(?:_django|_flask)?[/\\]",
    re.IGNORECASE,
)

_DEMO = re.compile(r"[/\\]pyroscope_otel[/\\]tools[/\\]demo[/\\]shop\.py$")
"""The demo's application, wherever it is installed."""

# Of this process. The application's may be another Python, which the pattern is
# for; this is for one that keeps its library elsewhere.
_PREFIXES = tuple(
    {
        path.rstrip("/\\") + sep
        for path in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
        for sep in "/\\"
    }
)


@lru_cache(maxsize=10_000)
def is_own(file: str) -> bool:
    """Return whether a file is the application's own code, as far as its path tells."""
    if _DEMO.search(file):
        return True
    return bool(file) and not _LIBRARY.search(file) and not file.startswith(_PREFIXES)

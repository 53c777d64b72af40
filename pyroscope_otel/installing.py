"""The command that installs what an extra of this package brings."""

from __future__ import annotations

import importlib.metadata
import re


def pip_install(extra: str) -> str:
    """Return the `pip install` command for what an extra needs.

    It names the packages rather than `pyroscope-otel[extra]`: a package index may have
    another version of this package than the one that is running, or none.

    Args:
        extra: The extra's name, such as "django".
    """
    wanted = re.compile(rf"\bextra\s*==\s*['\"]{re.escape(extra)}['\"]")
    try:
        needed = importlib.metadata.requires("pyroscope-otel") or ()
    except importlib.metadata.PackageNotFoundError:
        return f"pip install '.[{extra}]'"  # Imported from a checkout, and not installed.
    packages = [one.partition(";")[0].strip() for one in needed if wanted.search(one)]
    return " ".join(["pip install", *(f"'{package}'" for package in packages)])

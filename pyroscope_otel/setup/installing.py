"""Says what to install for an extra of this package."""

from __future__ import annotations

import importlib.metadata
import re


def pip_install(extra: str) -> str:
    """Return the `pip install` command for an extra's packages.

    It names the packages instead of `pyroscope-otel[extra]`: a package index may have no
    version of this package, or another one than the running one.

    Args:
        extra: The extra's name, such as "django".
    """
    wanted = re.compile(rf"\bextra\s*==\s*['\"]{re.escape(extra)}['\"]")
    try:
        needed = importlib.metadata.requires("pyroscope-otel") or ()
    except importlib.metadata.PackageNotFoundError:
        return f"pip install '.[{extra}]'"  # Imported from a checkout without installation.
    packages = [one.partition(";")[0].strip() for one in needed if wanted.search(one)]
    return " ".join(["pip install", *(f"'{package}'" for package in packages)])


def missing_instrumentation(kind: str, error: ImportError) -> ImportError:
    """Return an error that says how to install a missing instrumentation.

    Args:
        kind: The name of the extra: "asgi" or "wsgi".
        error: The failed import.
    """
    return ImportError(
        f"pyroscope_otel.{kind}.PyroscopeMiddleware needs opentelemetry-instrumentation-{kind} "
        f"to make a root span for each request, as this application is not instrumented yet. "
        f"Install it with: {pip_install(kind)}",
        name=error.name,
    )

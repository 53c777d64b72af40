"""Checks the installed packages for versions that do not work together."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import platform
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from pyroscope_otel.setup.findings.finding import Finding, fine, note, problem
from pyroscope_otel.setup.installing import pip_install

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "pyroscope-otel"
_AGENT = "pyroscope-io"
_LINK_PACKAGES = ("opentelemetry", "pyroscope")
"""The name prefixes of the packages whose requirements are checked."""
_IMPORT_PATH = "pyroscope/otel/__init__.py"
# Without a version, pip would install the last 1.x release.
_REINSTALL = f"pip install --force-reinstall --no-deps '{OURS}>=2.0.dev0', or from your checkout."

# Frameworks with an adapter that always needs the instrumentation. The extra that installs
# it has the name of the framework.
_INSTRUMENTED = ("django", "flask")
_SHOWN = (
    OURS,
    "pyroscope-io",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-distro",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-exporter-otlp-proto-grpc",
    "opentelemetry-instrumentation-asgi",
    "opentelemetry-instrumentation-django",
    "opentelemetry-instrumentation-fastapi",
    "opentelemetry-instrumentation-flask",
    "opentelemetry-instrumentation-starlette",
    "opentelemetry-instrumentation-wsgi",
    "django",
    "fastapi",
    "flask",
    "litestar",
    "quart",
    "starlette",
    "gevent",
    "gunicorn",
    "hypercorn",
    "uvicorn",
    "uvloop",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the relevant installed packages, by name."""
    installed = {"python": f"{platform.python_implementation()} {platform.python_version()}"}
    for name in _SHOWN:
        version = _version(name)
        if version is not None:
            installed[name] = version
    return installed


def check_versions() -> list[Finding]:
    """Report known problems among the installed packages."""
    findings = [
        *_check_interpreter(),
        *_check_agent(),
        *_check_import_path(),
        *_check_requirements(),
    ]
    if not findings:
        findings.append(fine("versions-work", "The installed packages are known to work together."))
    return [*findings, *_check_instrumentations()]


def _check_interpreter() -> Iterator[Finding]:
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        yield problem(
            "python-free-threaded",
            "This is a free-threaded build of Python, which pyroscope-io does not support.",
            "Use the build with the GIL.",
        )
    if sys.platform == "win32":
        yield problem(
            "python-on-windows",
            "pyroscope-io does not run on Windows.",
            "Use Linux, macOS, or the Windows Subsystem for Linux.",
        )


def _check_agent() -> Iterator[Finding]:
    version = _version(_AGENT)
    if version is None:
        yield problem(
            "pyroscope-io-missing",
            "The package pyroscope-io is not installed, though something is importable as "
            "`pyroscope`.",
            "pip install 'pyroscope-io>=1.2', and look for what else provides `pyroscope`.",
            str(getattr(sys.modules.get("pyroscope"), "__file__", "")),
        )
        return
    if [int(part) for part in version.split(".") if part.isdecimal()] < [1, 2]:
        yield problem(
            "pyroscope-io-too-old",
            f"pyroscope-io {version} is too old: before 1.2 it does not say whether an agent runs.",
            "pip install --upgrade 'pyroscope-io>=1.2'",
        )


def _check_import_path() -> Iterator[Finding]:
    """Check that `pyroscope.otel` is this package's. Version 1 of `pyroscope-otel` had its own."""
    ours = list(importlib.metadata.distributions(name=OURS))
    if len(ours) > 1:
        yield problem(
            "pyroscope-otel-twice",
            f"{OURS} is installed {len(ours)} times; which one is used depends on the search path.",
            f"pip uninstall {OURS} until none is left, then install it again.",
            ", ".join(f"{one.version} in {one.locate_file('')}" for one in ours),
        )
    others = sorted(
        f"{one.metadata['Name']} {one.version}"
        for one in importlib.metadata.distributions()
        # Optimization: looking for the text first makes this ten times as fast as `files`.
        if _IMPORT_PATH in (one.read_text("RECORD") or "")
        and one.metadata["Name"] != OURS
        and any(str(file) == _IMPORT_PATH for file in one.files or ())
    )
    if others:
        yield problem(
            "import-path-claimed",
            f"Another package has its own `pyroscope.otel`: {', '.join(others)}.",
            f"Uninstall it, then: {_REINSTALL}",
        )
        return
    try:
        spec = importlib.util.find_spec("pyroscope.otel")
    except ModuleNotFoundError:  # `pyroscope` is not the agent's package.
        spec = None
    if spec is None or spec.origin is None or not _is_ours(Path(spec.origin)):
        yield problem(
            "import-path-broken",
            "`from pyroscope.otel import PyroscopeSpanProcessor` does not import this package's "
            "class: the file is missing, or from another version.",
            _REINSTALL,
            "" if spec is None else str(spec.origin),
        )


def _check_requirements() -> Iterator[Finding]:
    """Compare the requirements of OpenTelemetry's packages and ours with what is installed."""
    # The first distribution with a name is the one that is imported.
    installed = {
        str(one.metadata["Name"]): one for one in [*importlib.metadata.distributions()][::-1]
    }
    unmet = [
        f"{name} {one.version} requires {requirement}"
        for name, one in sorted(installed.items())
        if name.lower().startswith(_LINK_PACKAGES)
        for requirement in map(_unmet, one.requires or ())
        # `_check_agent` reports more about the agent.
        if requirement and not (name == OURS and requirement.startswith(_AGENT))
    ]
    if unmet:
        yield problem(
            "requirements-broken",
            "The installed packages do not meet their requirements.",
            "Install the packages together, in one command, so that pip chooses versions that "
            "fit: OpenTelemetry releases them together. `pip check` lists the same.",
            "\n".join(unmet),
        )


def _unmet(requirement: str) -> str:
    """Return an unmet requirement and what is installed, or an empty string if it is met."""
    # Requirements that cannot be parsed are left to pip. So are all of them if `packaging`,
    # which OpenTelemetry's instrumentations require, is missing.
    with contextlib.suppress(ImportError, ValueError):
        from packaging.requirements import Requirement

        wanted = Requirement(requirement)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            return ""
        version = _version(wanted.name)
        if version is None:
            return f"{wanted.name}{wanted.specifier}, which is not installed"
        if not wanted.specifier.contains(version, prereleases=True):
            return f"{wanted.name}{wanted.specifier}, but {version} is installed"
    return ""


def _is_ours(module: Path) -> bool:
    try:
        return "from pyroscope_otel" in module.read_text()
    except OSError:
        return False


def _check_instrumentations() -> Iterator[Finding]:
    for framework in _INSTRUMENTED:
        installed = _version(framework)
        if installed and not _version(f"opentelemetry-instrumentation-{framework}"):
            yield note(
                "instrumentation-missing",
                f"{framework} {installed} is installed, its OpenTelemetry instrumentation is not.",
                f"If the application uses it: {pip_install(framework)}",
            )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

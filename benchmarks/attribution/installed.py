"""Installs packages in other versions than the environment's, in separate folders."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RELEASED = "pyroscope-otel==1.1.0"
_CACHE = Path(__file__).parents[2] / ".cache"


class InstallError(Exception):
    """A package could not be installed. The message includes the installer's output."""


def released_module() -> Path:
    """Return the file of the released package's module, installed if necessary.

    Raises:
        InstallError: The package could not be installed.
    """
    return installed(RELEASED) / "pyroscope" / "otel" / "__init__.py"


def installed(*requirements: str) -> Path:
    """Return a folder with these packages, installed if necessary.

    Their dependencies come from the environment.

    Raises:
        InstallError: The packages could not be installed.
    """
    tag = sys.implementation.cache_tag  # compiled modules fit only one Python version
    name = "-".join([*requirements, tag]).translate(str.maketrans("=~<>*,", "------"))
    folder = _CACHE / name
    if not folder.exists():
        _CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as temporary:
            _install(requirements, temporary)
            shutil.copytree(temporary, folder)
    return folder


def _install(requirements: tuple[str, ...], target: str) -> None:
    if importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "install"]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", sys.executable]
    else:
        raise InstallError(f"neither pip nor uv is available to install {' '.join(requirements)}")
    command += ["--quiet", "--no-deps", "--target", target, *requirements]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise InstallError(f"{' '.join(requirements)} could not be installed:\n{done.stderr}")

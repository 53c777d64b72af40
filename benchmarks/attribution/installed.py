"""Packages that a benchmark has in a folder of their own: other versions than the environment's."""

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
    """A package could not be installed. The message has what the installer said."""


def released_module() -> Path:
    """Return the file of the released package's module; install it first where it is not yet.

    Raises:
        InstallError: It could not be installed.
    """
    return installed(RELEASED) / "pyroscope" / "otel" / "__init__.py"


def installed(*requirements: str) -> Path:
    """Return a folder with these packages; install them first where that was not done before.

    They come without what they depend on, which is the environment's.

    Raises:
        InstallError: They could not be installed.
    """
    tag = sys.implementation.cache_tag  # as what is compiled fits one Python
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
        raise InstallError(f"neither pip nor uv is there to install {' '.join(requirements)}")
    command += ["--quiet", "--no-deps", "--target", target, *requirements]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise InstallError(f"{' '.join(requirements)} could not be installed:\n{done.stderr}")

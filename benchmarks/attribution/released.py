"""The released package 1.1.0, in a folder of its own."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENT = "pyroscope-otel==1.1.0"
_CACHE = Path(__file__).parents[2] / ".cache"


def released_module() -> Path:
    """Return the file of its module; install it first where that was not done before.

    Raises:
        RuntimeError: It could not be installed.
    """
    folder = _CACHE / REQUIREMENT.replace("==", "-")
    if not folder.exists():
        _CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as temporary:
            _install(temporary)
            shutil.copytree(temporary, folder)
    return folder / "pyroscope" / "otel" / "__init__.py"


def _install(target: str) -> None:
    if importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "install"]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", sys.executable]
    else:
        raise RuntimeError(f"neither pip nor uv is there to install {REQUIREMENT}")
    # Its dependencies are ours.
    command += ["--quiet", "--no-deps", "--target", target, REQUIREMENT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{REQUIREMENT} could not be installed:\n{done.stderr}")

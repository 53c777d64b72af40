"""How a Python under `run` is set up, in any virtual environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyroscope_otel
from tests.tools.run.run_process import finished

STARTUP = Path(pyroscope_otel.__file__).parent / "tools" / "run" / "startup"


def new_environment(folder):
    """Return the Python of a new, empty virtual environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def other_python(tmp_path_factory):
    return new_environment(tmp_path_factory.mktemp("other"))


def test_missing_package_is_reported_once(tmp_path, other_python):
    words = f"{other_python} -c 'print(1)'; {other_python} -c 'print(2)'"
    done = finished(tmp_path, "sh", "-c", words, check=0)
    assert done.stdout == "1\n2\n"
    missing = (
        f"pyroscope-otel: No profiles from {other_python}: pyroscope-otel is not installed. "
        f"Needed: {other_python} -m pip install --upgrade 'pyroscope-otel[otlp]'\n"
    )
    assert done.stderr.count(missing) == 1
    assert done.stderr.endswith("pyroscope-otel: No requests: see the messages above.\n")


def test_other_environment_does_not_get_the_pytest_plugin(tmp_path, other_python):
    code = (
        "import os, subprocess, sys\n"
        "print(os.environ['PYTEST_PLUGINS'])\n"
        "code = 'import os; print(os.environ[\"PYTEST_PLUGINS\"])'\n"
        f"subprocess.run([{str(other_python)!r}, '-c', code], check=True)\n"
    )
    (tmp_path / "job.py").write_text(code)
    done = finished(tmp_path, "python", "-u", "job.py", check=0, PYTEST_PLUGINS="theirs")
    ours, others = done.stdout.splitlines()
    assert ours == "theirs,pyroscope_otel.tools.run.inside.pytest_plugin"
    assert others == "theirs"


def test_package_that_fails_to_load_is_reported(tmp_path):
    python = new_environment(tmp_path / "other")
    (packages,) = (tmp_path / "other").glob("lib/python*/site-packages")
    (packages / "pyroscope_otel").mkdir()
    (packages / "pyroscope_otel" / "__init__.py").write_text("import pyroscope_that_is_missing\n")
    done = finished(tmp_path, python, "-c", "1", check=0)
    reason = "pyroscope-otel fails there (No module named 'pyroscope_that_is_missing')"
    assert f"No profiles from {python}: {reason}. Needed: " in done.stderr


NO_EXPORTER = """
import sys

class Hidden:
    def find_spec(name, path=None, target=None):
        if name.startswith("opentelemetry.exporter"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hidden)
"""


def test_missing_exporter_is_reported_once(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NO_EXPORTER)
    words = ("sh", "-c", "python -c 'print(1)'; python -c 'print(2)'")
    done = finished(tmp_path, *words, check=0, PYTHONPATH=str(tmp_path))
    assert done.stdout == "1\n2\n"
    needed = "-m pip install opentelemetry-exporter-otlp-proto-http\n"
    assert done.stderr.count(needed) == 1
    others = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = finished(tmp_path, *words, check=0, PYTHONPATH=str(tmp_path), **others)
    assert needed not in done.stderr


def test_sitecustomize_after_ours_runs(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("import sys\nsys.from_theirs = 1\n")
    code = (
        "import os, sitecustomize, sys\n"
        "print(sys.from_theirs, sitecustomize.__file__, os.environ['PYTHONPATH'])\n"
    )
    done = finished(tmp_path, "python", "-c", code, check=0, PYTHONPATH=str(theirs))
    file = theirs / "sitecustomize.py"
    assert done.stdout == f"1 {file} {STARTUP}:{theirs}\n"
    assert "-c" in done.stderr.partition("The slowest")[2]


def test_failing_sitecustomize_after_ours_is_ignored(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('theirs')\n")
    done = finished(tmp_path, "python", "-c", "print(1)", check=0, PYTHONPATH=str(tmp_path))
    assert done.stdout == "1\n"
    assert "1 request. The slowest:" in done.stderr


def test_python_that_ignores_pythonpath(tmp_path):
    done = finished(tmp_path, "python", "-I", "-c", "print(1)", check=0)
    assert done.stdout == "1\n"
    assert done.stderr.endswith("(python -I, -E or -S).\n")


def test_sitecustomize_does_nothing_without_run(tmp_path):
    shutil.copy(STARTUP / "sitecustomize.py", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "import sys; print('pyroscope_otel' in sys.modules)"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


def test_unused_frameworks_are_not_imported(tmp_path):
    code = (
        "import sys; print(*[one for one in ('django', 'flask', 'celery') if one in sys.modules])"
    )
    assert finished(tmp_path, "python", "-c", code, check=0).stdout == "\n"

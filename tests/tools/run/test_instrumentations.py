"""Which instrumentations are applied, and when; which missing ones are reported."""

from __future__ import annotations

import importlib.util
import sys
from textwrap import dedent

import pytest

from tests.tools.run.run_process import finished


def distribution(folder, name, requires=""):
    """Install an instrumentation in a folder: metadata, and a module that prints its use."""
    module = f"fake_{name.replace('-', '_')}"
    info = folder / f"opentelemetry_instrumentation_{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: opentelemetry-instrumentation-{name}\nVersion: 1.0\n"
        + (f'Requires-Dist: {requires}; extra == "instruments"\n' if requires else "")
    )
    (info / "entry_points.txt").write_text(
        f"[opentelemetry_instrumentor]\n{name} = {module}:Instrumentor\n"
    )
    (folder / f"{module}.py").write_text(
        dedent(f"""
        class Instrumentor:
            is_instrumented_by_opentelemetry = False

            def instrument(self, **options):
                print("applied {name}", options, flush=True)
        """)
    )


def library(folder, name):
    (folder / f"{name}.py").write_text(f"print('imports {name}')\n")


def run_here(folder, code, **more):
    return finished(folder, "python", "-c", code, check=0, PYTHONPATH=str(folder), **more)


APPLIED = "{'skip_dep_check': True}\n"


def test_instrumentation_is_applied_when_its_library_is_imported(tmp_path):
    distribution(tmp_path, "redis")
    library(tmp_path, "redis")
    done = run_here(tmp_path, "print('begins'); import redis; print('goes on'); import redis")
    assert done.stdout == f"begins\nimports redis\napplied redis {APPLIED}goes on\n"


def test_unknown_instrumentation_is_applied_at_once(tmp_path):
    distribution(tmp_path, "homemade")
    assert run_here(tmp_path, "print('begins')").stdout == f"applied homemade {APPLIED}begins\n"


def test_instrumentation_for_another_release_is_reported_and_not_applied(tmp_path):
    distribution(tmp_path, "homemade", requires="pytest<1")
    done = run_here(tmp_path, "print('begins')")
    assert done.stdout == "begins\n"
    assert 'only instruments "pytest<1' in done.stderr


def test_instrumentation_without_its_library_is_not_applied_or_reported(tmp_path):
    distribution(tmp_path, "homemade", requires="no-such-library>1")
    done = run_here(tmp_path, "print('begins')")
    assert done.stdout == "begins\n"
    assert "no-such-library" not in done.stderr


@pytest.mark.parametrize("disabled", ["flask, homemade", "*"])
def test_disabled_instrumentation_is_not_applied(tmp_path, disabled):
    distribution(tmp_path, "homemade")
    done = run_here(tmp_path, "1", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled)
    assert done.stdout == ""


def test_failing_instrumentation_stops_no_other_and_not_the_program(tmp_path):
    distribution(tmp_path, "failing")
    (tmp_path / "fake_failing.py").write_text("raise RuntimeError('broken')\n")
    distribution(tmp_path, "homemade")
    done = run_here(tmp_path, "print('begins')")
    assert done.stdout == f"applied homemade {APPLIED}begins\n"
    assert "apply OpenTelemetry's instrumentation failing" in done.stderr


def test_missing_instrumentations_of_libraries_are_reported_in_one_line_at_the_end(tmp_path):
    for name in ("redis", "asyncpg"):
        library(tmp_path, name)
    done = run_here(tmp_path, "import redis, asyncpg")
    assert done.stderr.endswith(
        "pyroscope-otel: To see more: pip install "
        "opentelemetry-instrumentation-asyncpg opentelemetry-instrumentation-redis\n"
    )


def test_missing_instrumentation_of_a_framework_is_reported_at_once(tmp_path):
    library(tmp_path, "falcon")
    done = run_here(tmp_path, "import falcon; import sys; sys.stderr.write('goes on\\n')")
    before = done.stderr.partition("goes on\n")[0]
    assert before.endswith("-m pip install opentelemetry-instrumentation-falcon\n")
    assert "falcon is in use, but its requests get no root spans" in before


def test_missing_instrumentation_of_an_unused_library_is_not_reported(tmp_path):
    assert importlib.util.find_spec("requests") is not None  # the exporter needs it
    done = run_here(tmp_path, "from opentelemetry import trace")
    assert "pip install" not in done.stderr


def test_starlette_if_fastapi_cannot_be_imported(tmp_path):
    (tmp_path / "fastapi.py").write_text("raise ImportError('broken')\n")
    code = "from starlette.applications import Starlette; print(Starlette.__module__)"
    assert run_here(tmp_path, code).stdout == "opentelemetry.instrumentation.starlette\n"


def test_fastapi_if_starlette_is_imported_first(tmp_path):
    code = (
        "from starlette.applications import Starlette\n"
        "from fastapi import FastAPI\n"
        "print(*[one.__module__ for one in (Starlette, FastAPI, *FastAPI.__mro__[1:3])])\n"
    )
    assert run_here(tmp_path, code).stdout.split() == [
        "opentelemetry.instrumentation.starlette",
        "opentelemetry.instrumentation.fastapi",
        "fastapi.applications",
        "starlette.applications",
    ]


def test_library_sees_its_real_loader(tmp_path):
    distribution(tmp_path, "redis")
    (tmp_path / "redis.py").write_text("loader = __loader__\n")
    code = "import redis; print(type(redis.loader).__name__, 'exec_module' in vars(redis.loader))"
    done = run_here(tmp_path, code)
    assert done.stdout.endswith("SourceFileLoader False\n")


def test_error_for_a_missing_module_is_unchanged(tmp_path):
    assert "pika" not in sys.modules
    code = "try: import pika\nexcept ModuleNotFoundError as error: print(error)"
    assert run_here(tmp_path, code).stdout == "No module named 'pika'\n"

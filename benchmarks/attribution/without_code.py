"""Sets up an application without code: `opentelemetry-instrument` and environment variables.

Spans go to the same files as with any other set-up. So the benchmark's exporter needs an entry
point, by which the distribution finds it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.attribution.set_up import MEMORY_SAMPLE_BYTES

if TYPE_CHECKING:
    from benchmarks.attribution.cases import Case

COMMAND = (str(Path(sys.executable).parent / "opentelemetry-instrument"),)

_EXPORTER = "attribution_json_lines"
_METADATA = "Metadata-Version: 2.1\nName: attribution-benchmark\nVersion: 0\n"
_ENTRY_POINTS = f"""\
[opentelemetry_traces_exporter]
{_EXPORTER} = benchmarks.attribution.spans:JsonLinesExporter
"""
_INSTRUMENTATIONS = {"celery", "django", "fastapi", "flask", "starlette"}


def offer_exporter(folder: Path) -> None:
    """Write the exporter's entry point to a folder, which must be on Python's path."""
    metadata = folder / "attribution_benchmark-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(_METADATA)
    (metadata / "entry_points.txt").write_text(_ENTRY_POINTS)


def environment(
    case: Case, server_address: str, upload_interval: int, sampler: str
) -> dict[str, str]:
    """Return the environment variables that trace and profile the application of a case."""
    variables = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_TRACES_EXPORTER": _EXPORTER,
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        # Milliseconds. Celery's processes exit without exporting their remaining spans.
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(_INSTRUMENTATIONS - {case.zero_code}),
        "PYROSCOPE_APPLICATION_NAME": "shop",
        "PYROSCOPE_SERVER_ADDRESS": server_address,
        "PYROSCOPE_UPLOAD_INTERVAL": f"{upload_interval}s",
        "PYROSCOPE_CPU_IMPLEMENTATION": sampler,
    }
    if case.zero_code == "django":
        variables["DJANGO_SETTINGS_MODULE"] = "benchmarks.attribution.django_shop.settings"
    if case.measures == "alloc_space":
        variables["PYROSCOPE_MEM_ENABLED"] = "true"
        variables["PYROSCOPE_MEM_HEAP_SAMPLE_SIZE"] = f"{MEMORY_SAMPLE_BYTES}"
    return variables

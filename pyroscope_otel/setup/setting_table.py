"""The table of settings, used by the code, the errors and the documentation.

Names match `pyroscope.configure`. Environment variables match other Pyroscope agents (Java,
.NET, Node.js) where one has the setting. Otherwise they are named after the setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyroscope

from pyroscope_otel.setup import setting_kinds as kinds


@dataclass(frozen=True)
class Setting:
    """A row of the table.

    Attributes:
        name: The argument's name.
        kind: The type of its value.
        default: The default value.
        doc: What it does, in one line of Markdown.
        environment: Its environment variables, in order of precedence.
        ours: Whether it is missing in `pyroscope.configure`.
        default_doc: The default in words, if the value is not clear enough.
    """

    name: str
    kind: kinds.Kind
    default: object
    doc: str
    environment: tuple[str, ...] = ()
    ours: bool = False
    default_doc: str = ""


# A process that never calls `configure` goes by these as well.
MAX_SPAN_NAMES: Final = 500
UPLOAD_BUFFER: Final = 32 * 2**20

_LINE_NO = getattr(pyroscope, "LineNo", None)

TABLE: tuple[Setting, ...] = (
    Setting(
        "application_name",
        kinds.NAME,
        default="unknown_service",
        doc=(
            "The name of the service, the label `service_name` of its profiles. "
            "Must equal the traces' `service.name` for Grafana's link to find anything."
        ),
        environment=("PYROSCOPE_APPLICATION_NAME",),
        default_doc="the OpenTelemetry resource's `service.name`",
    ),
    Setting(
        "server_address",
        kinds.ADDRESS,
        default="http://localhost:4040",
        doc="The Pyroscope server's URL.",
        environment=("PYROSCOPE_SERVER_ADDRESS",),
    ),
    Setting(
        "basic_auth_username",
        kinds.HEADER_VALUE,
        default="",
        doc="The user for basic authentication.",
        environment=("PYROSCOPE_BASIC_AUTH_USER",),
    ),
    Setting(
        "basic_auth_password",
        kinds.HIDDEN,
        default="",
        doc="The password for basic authentication. Never shown.",
        environment=("PYROSCOPE_BASIC_AUTH_PASSWORD",),
    ),
    Setting(
        "auth_token",
        kinds.HIDDEN,
        default="",
        doc="A token, sent as `Authorization: Bearer ...`. Never shown.",
        environment=("PYROSCOPE_AUTH_TOKEN",),
        ours=True,
    ),
    Setting(
        "tenant_id",
        kinds.HEADER_VALUE,
        default="",
        doc="The tenant on a server with several, sent as `X-Scope-OrgID`.",
        environment=("PYROSCOPE_TENANT_ID",),
    ),
    Setting(
        "http_headers",
        kinds.HEADERS,
        default={},
        doc="Additional headers for requests to the server. Their values are never shown.",
        environment=("PYROSCOPE_HTTP_HEADERS",),
    ),
    Setting(
        "tags",
        kinds.TEXTS,
        default={},
        doc=(
            "Labels of all profiles of this process. The OpenTelemetry resource's "
            "`service.namespace` is added as `service_namespace`."
        ),
        environment=("PYROSCOPE_LABELS",),
    ),
    Setting(
        "sample_rate",
        kinds.RATE,
        default=100,
        doc="Samples per second. The environment variable is the time between two samples.",
        environment=("PYROSCOPE_PROFILING_INTERVAL",),
    ),
    Setting(
        "upload_interval",
        kinds.SECONDS,
        default=10,
        doc="Seconds between two uploads. The environment variable includes the unit: `10s`.",
        environment=("PYROSCOPE_UPLOAD_INTERVAL",),
    ),
    Setting(
        "oncpu",
        kinds.FLAG,
        default=True,
        doc="Sample only threads that use the CPU.",
        environment=("PYROSCOPE_ONCPU",),
    ),
    Setting(
        "gil_only",
        kinds.FLAG,
        default=True,
        doc="Sample only threads that hold the GIL. `False` includes code that releases it.",
        environment=("PYROSCOPE_GIL_ONLY",),
    ),
    Setting(
        "cpu_enabled",
        kinds.FLAG,
        default=True,
        doc="Take CPU profiles.",
        environment=("PYROSCOPE_CPU_ENABLED",),
    ),
    Setting(
        "cpu_implementation",
        kinds.SAMPLER,
        default="auto",
        doc=(
            "The sampler: `stack`, `pyspy`, or `auto`. `auto` is `stack` where that is exact and "
            "can start (Linux, CPython 3.12 and later), else `pyspy`. "
            "Also accepts a `pyroscope.ProfilerImplementation`."
        ),
        environment=("PYROSCOPE_CPU_IMPLEMENTATION",),
    ),
    Setting(
        "line_no",
        kinds.member(_LINE_NO, "LineNo"),
        default=getattr(_LINE_NO, "LastInstruction", None),
        doc="Which line of a function a sample names.",
        default_doc="`pyroscope.LineNo.LastInstruction`",
    ),
    Setting(
        "mem_enabled",
        kinds.FLAG,
        default=False,
        doc="Take memory profiles as well. A request's allocations carry its labels.",
        environment=("PYROSCOPE_MEM_ENABLED",),
    ),
    Setting(
        "mem_max_nframe",
        kinds.whole("a whole number of frames, 1 to 65535", 1, 65_535),
        default=128,
        doc="The maximum number of frames per stack in memory profiles.",
        environment=("PYROSCOPE_MEM_MAX_NFRAME",),
    ),
    Setting(
        "mem_heap_sample_size",
        kinds.whole("a whole number of bytes, 1 or more", 1),
        default=512 * 1024,
        doc="Average number of bytes allocated between two memory samples.",
        environment=("PYROSCOPE_MEM_HEAP_SAMPLE_SIZE",),
    ),
    Setting(
        "mem_enable_mem_domain",
        kinds.FLAG,
        default=True,
        doc="Memory profiles include Python's `mem` allocation domain.",
        environment=("PYROSCOPE_MEM_ENABLE_MEM_DOMAIN",),
    ),
    Setting(
        "report_pid",
        kinds.FLAG,
        default=False,
        doc="Samples carry the process id.",
        environment=("PYROSCOPE_REPORT_PID",),
    ),
    Setting(
        "report_thread_id",
        kinds.FLAG,
        default=False,
        doc="Samples carry the thread's id.",
        environment=("PYROSCOPE_REPORT_THREAD_ID",),
    ),
    Setting(
        "report_thread_name",
        kinds.FLAG,
        default=False,
        doc="Samples carry the thread's name.",
        environment=("PYROSCOPE_REPORT_THREAD_NAME",),
    ),
    Setting(
        "enable_logging",
        kinds.FLAG,
        default=False,
        doc="The agent logs to stderr, from the level of Python's logger `pyroscope`.",
        environment=("PYROSCOPE_ENABLE_LOGGING",),
    ),
    Setting(
        "enabled",
        kinds.FLAG,
        default=True,
        doc="If `False`, nothing is installed.",
        environment=("PYROSCOPE_ENABLED", "PYROSCOPE_PROFILING_ENABLED"),
        ours=True,
    ),
    Setting(
        "span_labels",
        kinds.SPAN_LABEL_NAMES,
        default=("span_id", "span_name"),
        doc=(
            "The labels that samples carry: `span_id`, `span_name` and `trace_id`. Servers before "
            "June 2026 make each `trace_id` a series."
        ),
        environment=("PYROSCOPE_SPAN_LABELS",),
        ours=True,
    ),
    Setting(
        "attribution",
        kinds.choice("stack", "thread"),
        default="stack",
        doc=(
            "What identifies a sample's request: its own `stack`, or the labels of its `thread`, "
            "which the agent reads a moment too late and sends directly to the server."
        ),
        environment=("PYROSCOPE_ATTRIBUTION",),
        ours=True,
    ),
    Setting(
        "max_span_names",
        kinds.whole("a whole number of names, 1 or more", 1),
        default=MAX_SPAN_NAMES,
        doc=(
            "The maximum number of `span_name` values per process. Further names share one value: "
            "each value is a series on the server."
        ),
        environment=("PYROSCOPE_MAX_SPAN_NAMES",),
        ours=True,
    ),
    Setting(
        "upload_buffer",
        kinds.whole("a whole number of bytes, 65536 or more", 65_536),
        default=UPLOAD_BUFFER,
        doc="Bytes of profiles to keep while the server does not accept them.",
        environment=("PYROSCOPE_UPLOAD_BUFFER",),
        ours=True,
    ),
    Setting(
        "start",
        kinds.choice("lazy", "now"),
        default="lazy",
        doc=(
            "When the agent starts: `lazy`, with the first request in each process, or `now`. Do "
            "not use `now` in a process that forks its workers. A forked child is always `lazy`."
        ),
        environment=("PYROSCOPE_START",),
        ours=True,
    ),
    Setting(
        "tracer_provider",
        kinds.TRACER_PROVIDER,
        default=None,
        doc="The OpenTelemetry tracer provider.",
        ours=True,
        default_doc="the global one, or a new one if there is none",
    ),
)

BY_NAME = {setting.name: setting for setting in TABLE}


def settings_table_markdown() -> str:
    """Return the table of settings as Markdown, for the documentation."""
    lines = ["| Setting | Environment variable | Default | What it does |", "|-|-|-|-|"]
    for row in TABLE:
        variables = ", ".join(f"`{name}`" for name in row.environment)
        default = row.default_doc or f"`{row.default!r}`"
        lines.append(f"| `{row.name}` | {variables} | {default} | {row.doc} |")
    return "\n".join(lines) + "\n"

"""The table of settings: what the code, the errors and the documentation go by.

Names are those of `pyroscope.configure`. Environment variables are called as in
the other Pyroscope agents (Java, .NET, Node.js) where one of those has the
setting, and after the setting where none has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyroscope

from pyroscope_otel import setting_kinds as kinds


@dataclass(frozen=True)
class Setting:
    """A row of the table.

    Attributes:
        name: Its name as an argument.
        kind: What its value may be.
        default: Its value where nothing gives it one.
        doc: What it does, in a line of Markdown.
        environment: The environment variables that give it, first one first.
        ours: Whether it is not an argument of `pyroscope.configure`.
        default_doc: The default in words, where the value says too little.
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
        doc="More headers for the requests to the server. Their values are never shown.",
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
        doc="Samples per second. The environment variable has the time between two samples.",
        environment=("PYROSCOPE_PROFILING_INTERVAL",),
    ),
    Setting(
        "upload_interval",
        kinds.SECONDS,
        default=10,
        doc="Seconds between two uploads. The environment variable has the unit, as in `10s`.",
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
        doc="Sample only threads that hold the GIL. With `False`, work that releases it is seen.",
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
            "The sampler: `stack`, `pyspy`, or `auto`: `stack` where it has threads take their "
            "own stack and can start (Linux, CPython 3.12 and later), else `pyspy`. "
            "A `pyroscope.ProfilerImplementation` as well."
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
        doc="Take memory profiles as well. What a request allocated carries its labels.",
        environment=("PYROSCOPE_MEM_ENABLED",),
    ),
    Setting(
        "mem_max_nframe",
        kinds.whole("a whole number of frames, 1 to 65535", 1, 65_535),
        default=128,
        doc="Frames of a stack that memory profiles keep.",
        environment=("PYROSCOPE_MEM_MAX_NFRAME",),
    ),
    Setting(
        "mem_heap_sample_size",
        kinds.whole("a whole number of bytes, 1 or more", 1),
        default=512 * 1024,
        doc="Bytes allocated between two memory samples, on average.",
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
        doc="With `False`, nothing is installed.",
        environment=("PYROSCOPE_ENABLED", "PYROSCOPE_PROFILING_ENABLED"),
        ours=True,
    ),
    Setting(
        "span_labels",
        kinds.SPAN_LABEL_NAMES,
        default=("span_id", "span_name"),
        doc=(
            "The labels that samples carry: of `span_id`, `span_name`, `trace_id`. Servers before "
            "June 2026 make a series of each `trace_id`."
        ),
        environment=("PYROSCOPE_SPAN_LABELS",),
        ours=True,
    ),
    Setting(
        "attribution",
        kinds.choice("stack", "thread"),
        default="stack",
        doc=(
            "What names a sample's request: its own `stack`, or the labels of its `thread`, which "
            "the agent reads a moment too late, and sends to the server itself."
        ),
        environment=("PYROSCOPE_ATTRIBUTION",),
        ours=True,
    ),
    Setting(
        "max_span_names",
        kinds.whole("a whole number of names, 1 or more", 1),
        default=MAX_SPAN_NAMES,
        doc=(
            "How many values the label `span_name` takes in a process. What is above goes under "
            "one that says so: each is a series on the server."
        ),
        environment=("PYROSCOPE_MAX_SPAN_NAMES",),
        ours=True,
    ),
    Setting(
        "upload_buffer",
        kinds.whole("a whole number of bytes, 65536 or more", 65_536),
        default=UPLOAD_BUFFER,
        doc="Bytes of profiles that are kept while the server does not take them.",
        environment=("PYROSCOPE_UPLOAD_BUFFER",),
        ours=True,
    ),
    Setting(
        "start",
        kinds.choice("lazy", "now"),
        default="lazy",
        doc=(
            "When the agent starts: `lazy`, with the first request in each process, or `now`, "
            "which is not for a process that forks its workers. A forked child is always `lazy`."
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
        default_doc="the global one; if there is none, it is made",
    ),
)

BY_NAME = {setting.name: setting for setting in TABLE}


def settings_table_markdown() -> str:
    """Return the table of settings for the documentation, in Markdown."""
    lines = ["| Setting | Environment variable | Default | What it does |", "|-|-|-|-|"]
    for row in TABLE:
        variables = ", ".join(f"`{name}`" for name in row.environment)
        default = row.default_doc or f"`{row.default!r}`"
        lines.append(f"| `{row.name}` | {variables} | {default} | {row.doc} |")
    return "\n".join(lines) + "\n"

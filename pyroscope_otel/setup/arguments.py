"""The settings as typed keyword arguments, for type checkers and editors.

The docstring of `pyroscope_otel.configure` describes each setting, and the table of settings
lists the allowed values. Values are checked against the table, not against these types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Arguments(TypedDict, total=False):
    """The arguments of `configure` and the adapters. None counts as not given."""

    application_name: str | None
    server_address: str | None
    basic_auth_username: str | None
    basic_auth_password: str | None
    auth_token: str | None
    tenant_id: str | None
    http_headers: Mapping[str, str] | None
    tags: Mapping[str, str] | None
    sample_rate: int | None
    upload_interval: int | None
    oncpu: bool | None
    gil_only: bool | None
    cpu_enabled: bool | None
    cpu_implementation: str | Any | None
    line_no: Any | None
    mem_enabled: bool | None
    mem_max_nframe: int | None
    mem_heap_sample_size: int | None
    mem_enable_mem_domain: bool | None
    report_pid: bool | None
    report_thread_id: bool | None
    report_thread_name: bool | None
    enable_logging: bool | None
    enabled: bool | None
    span_labels: Sequence[str] | None
    attribution: str | None
    max_span_names: int | None
    upload_buffer: int | None
    start: str | None
    tracer_provider: Any | None

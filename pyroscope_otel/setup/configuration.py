"""`configure` and `shutdown`: the work that all adapters share."""

from __future__ import annotations

import logging
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroscope_otel.link import failure
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.relay.ending import ENDING, seconds_until
from pyroscope_otel.setup import agent, tracing
from pyroscope_otel.setup.findings.finding import Level
from pyroscope_otel.setup.findings.names import judge_names
from pyroscope_otel.setup.findings.profiling import judge_visibility
from pyroscope_otel.setup.findings.spans import judge_spans
from pyroscope_otel.setup.settings import SettingsError, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import SpanProcessor
    from typing_extensions import Unpack

    from pyroscope_otel.setup.arguments import Arguments
    from pyroscope_otel.setup.settings import Settings

logger = logging.getLogger("pyroscope_otel")


class _Installed(NamedTuple):
    settings: Settings
    provider: Any
    processor: SpanProcessor | None
    """None if the application registered its own, or if the provider makes no spans."""
    arguments: Mapping[str, object]
    read: Callable[..., Settings]
    """Reads the settings again, with another provider's resource."""
    replaceable: bool
    """Whether a later call may use other settings. Settings that it omits keep the values of
    these arguments."""


class _Process:
    """The configuration of this process."""

    def __init__(self) -> None:
        self.installed: _Installed | None = None
        self.renew_lock()

    def renew_lock(self) -> None:
        self.lock = threading.Lock()


_process = _Process()
# In a forked child, the thread that held the lock does not exist.
os.register_at_fork(after_in_child=_process.renew_lock)


def configure(**settings: Unpack[Arguments]) -> None:
    """Link this application's traces with its profiles.

    Reads and checks the settings, registers a `PyroscopeSpanProcessor` with the tracer
    provider, and starts the Pyroscope agent with the first request. An application without a
    tracer provider gets one.

    All arguments are optional. If an argument is missing or None, its value comes from its
    environment variable (``PYROSCOPE_...``, see the table of settings), then from the
    OpenTelemetry resource, then from the default. You can call this function again as long as
    no value changes. Names, units and defaults match `pyroscope.configure`, except those marked
    "ours".

    Args:
        application_name: The name of the service. Default: the OpenTelemetry resource's
            ``service.name``, which it should equal.
        server_address: The Pyroscope server's URL, with ``http://`` or ``https://``.
        basic_auth_username: The user for basic authentication.
        basic_auth_password: The password for basic authentication.
        auth_token: A token, sent as ``Authorization: Bearer`` (ours).
        tenant_id: The tenant, sent as ``X-Scope-OrgID``.
        http_headers: Additional headers for requests to the server.
        tags: Labels of all profiles of this process.
        sample_rate: Samples per second, 1 or more.
        upload_interval: Whole seconds between two uploads, 1 or more.
        oncpu: Sample only threads that use the CPU.
        gil_only: Sample only threads that hold the GIL.
        cpu_enabled: Take CPU profiles.
        cpu_implementation: The sampler: ``"auto"``, ``"stack"``, ``"pyspy"``, or a
            `pyroscope.ProfilerImplementation`.
        line_no: A `pyroscope.LineNo`.
        mem_enabled: Take memory profiles as well.
        mem_max_nframe: The maximum number of frames per stack in memory profiles.
        mem_heap_sample_size: Average number of bytes allocated between two memory samples.
        mem_enable_mem_domain: Memory profiles include the ``mem`` domain.
        report_pid: Samples carry the process id.
        report_thread_id: Samples carry the thread's id.
        report_thread_name: Samples carry the thread's name.
        enable_logging: The agent logs to stderr.
        enabled: If False, nothing is installed (ours).
        span_labels: The labels that samples carry: ``span_id``, ``span_name`` and ``trace_id``
            (ours).
        attribution: What identifies a sample's request: its ``"stack"``, or the labels of its
            ``"thread"``, which the agent reads a moment too late (ours).
        max_span_names: The maximum number of ``span_name`` values per process (ours).
        upload_buffer: Bytes of profiles to keep while the server is unavailable (ours).
        start: When the agent starts: ``"lazy"``, with the first request in each process, or
            ``"now"``. Do not use ``"now"`` in a process that forks its workers (ours).
        tracer_provider: The tracer provider, instead of the global one (ours).

    Raises:
        SettingsError: If a name is unknown, a value is not allowed, two settings contradict
            each other, or a setting differs from an earlier call.
    """
    apply(settings)


def apply(  # noqa: PLR0913  adapters differ in these keywords
    arguments: Mapping[str, object],
    framework: Mapping[str, object] | None = None,
    framework_name: str = "framework setting {}",
    *,
    replaceable: bool = False,
    with_agent: bool = True,
    holds_requests: bool = False,
) -> Settings | None:
    """Configure this process. `configure` and all adapters call this.

    Args:
        arguments: See `read_settings`.
        framework: See `read_settings`.
        framework_name: See `read_settings`.
        replaceable: Whether a later call with other settings replaces this one. The
            application's own call replaces a set-up without code.
        with_agent: Whether the agent may start, as the setting `start` says.
        holds_requests: Whether the caller runs each request through its mark.

    Returns:
        The settings in force, or None if `enabled` is False.

    Raises:
        SettingsError: See `configure`.
    """
    with _process.lock:
        installed = _process.installed
        if installed is not None and installed.replaceable:
            arguments = _with_earlier_arguments(arguments, framework or {}, installed.arguments)
        given = arguments.get("tracer_provider") or (framework or {}).get("tracer_provider")
        if installed is None or (installed.replaceable and given is not None):
            provider = tracing.provider_in_use(given)
        else:
            provider = installed.provider
        read = partial(read_settings, arguments, framework=framework, framework_name=framework_name)
        settings = read(resource=tracing.resource_attributes(provider))
        if installed is not None:
            differences = _differences(installed, settings)
            if not differences:
                _process.installed = installed._replace(
                    replaceable=installed.replaceable and replaceable
                )
                if with_agent:
                    agent.arm(installed.settings, holds_requests=holds_requests)
                return installed.settings
            if not installed.replaceable:
                raise SettingsError(
                    "pyroscope_otel is already configured, with other settings: "
                    f"{'; '.join(differences)}. Call pyroscope_otel.shutdown() first"
                )
            _uninstall()
            agent.stop()
        if not settings.enabled:
            return None
        _process.installed = _install(settings, arguments, read, replaceable=replaceable)
        if with_agent:
            agent.arm(settings, holds_requests=holds_requests)
    return settings


def shutdown(timeout: float | None = None) -> bool:
    """Upload the remaining samples, stop the agent and undo `configure`.

    You can call `configure` again afterwards, with other settings. An agent or span processor
    that the application set up itself stays. If the tracer provider was made here, its spans
    are exported.

    Args:
        timeout: Seconds to wait for the upload. Default: the time left of the 5 s that all
            shutdown steps of a process share (this call, the end of a lifespan, the exit). If
            the server takes longer, the upload continues in the background, and is lost if the
            process ends first.

    Returns:
        Whether the agent has stopped.
    """
    with ENDING.step(timeout) as deadline:
        lock = _process.lock
        # With a timeout: a signal handler may call this on the thread that holds the lock.
        if not lock.acquire(timeout=seconds_until(deadline)):
            return False
        try:
            _uninstall()
        finally:
            lock.release()
        return _flush_until(deadline)


def flush(timeout: float | None = None) -> None:
    """Upload the remaining samples at the end of a lifespan, which may be the last chance.

    Stops the agent, which starts again when needed. If the tracer provider was made here, its
    spans are exported. Other providers are left to their owner.

    Args:
        timeout: Seconds to wait, as in `shutdown`.
    """
    with ENDING.step(timeout) as deadline:
        _flush_until(deadline)


def _flush_until(deadline: float) -> bool:
    """Upload profiles and spans in parallel. Return whether the agent has stopped."""
    exporting = None
    try:
        exporting = tracing.start_to_flush()
    except Exception:
        # No thread can be started any more.
        failure.report("export the last spans")
    has_stopped = agent.stop(seconds_until(deadline))
    if exporting is not None:
        exporting.join(seconds_until(deadline))
    return has_stopped


def _uninstall() -> None:
    installed, _process.installed = _process.installed, None
    agent.disarm()
    if installed is not None and installed.processor is not None:
        tracing.unregister_processor(installed.provider, installed.processor)


def _with_earlier_arguments(
    arguments: Mapping[str, object], framework: Mapping[str, object], before: Mapping[str, object]
) -> Mapping[str, object]:
    kept = {
        name: value
        for name, value in before.items()
        if arguments.get(name) is None and framework.get(name) is None
    }
    return {**arguments, **kept}


def _install(
    settings: Settings,
    arguments: Mapping[str, object],
    read: Callable[..., Settings],
    *,
    replaceable: bool,
) -> _Installed:
    provider = tracing.tracer_provider_for(settings, _take_over)
    processor = tracing.register_processor(
        provider, lambda: PyroscopeSpanProcessor(span_labels=settings.span_labels)
    )
    _warn_where_the_link_breaks(settings, provider)
    return _Installed(settings, provider, processor, arguments, read, replaceable)


def _take_over() -> None:
    """Switch to the provider that the application has set in place of ours."""
    with _process.lock:
        installed = _process.installed
        provider = tracing.provider_in_use()
        if installed is None or provider is installed.provider:
            return
        is_armed = agent.AGENT.is_armed
        _uninstall()
        settings = installed.read(resource=tracing.resource_attributes(provider))
        _process.installed = _install(
            settings, installed.arguments, installed.read, replaceable=installed.replaceable
        )
        if is_armed:
            agent.arm(settings, holds_requests=agent.AGENT.holds_requests)


def _differences(installed: _Installed, wanted: Settings) -> list[str]:
    """Return the settings that this call changes. Omitted settings do not count."""
    current = installed.settings
    differences = []
    for name in sorted(wanted.given):
        before = installed.provider if name == "tracer_provider" else getattr(current, name)
        if before != getattr(wanted, name):
            differences.append(
                f"{name}: {current.shown(name)} ({current.sources[name]}) → "
                f"{wanted.shown(name)} ({wanted.sources[name]})"
            )
    return differences


def _warn_where_the_link_breaks(settings: Settings, provider: Any) -> None:
    """Log each problem that keeps Grafana from finding a trace's profile."""
    resource = tracing.resource_attributes(provider)
    spans = judge_spans(provider, os.environ)
    names = judge_names(settings.application_name, settings.tags, resource)
    # Without spans there are no names to match.
    for finding in (*(spans or names), *judge_visibility(settings)):
        if finding.level is not Level.FINE:
            logger.warning("%s", finding.line)

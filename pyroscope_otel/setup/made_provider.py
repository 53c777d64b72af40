"""The tracer provider made for an application that has none yet.

The application's own provider replaces it. OpenTelemetry's global provider can be set only
once, and the application may set its own later: gunicorn's documented recipe does so in
`post_fork`, after `--preload` has built the application and our middleware. So this provider
becomes the global one without using up that one time. Instrumentations keep its tracers, and
these switch to the application's provider as soon as it is set.
"""

from __future__ import annotations

import atexit
import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from pyroscope_otel.following.hook import Patch
from pyroscope_otel.link import failure
from pyroscope_otel.relay import agent_start
from pyroscope_otel.relay.ending import ENDING, seconds_until
from pyroscope_otel.setup.findings.exporting import span_processors

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.resources import Resource


class MadeProvider(TracerProvider):
    """A provider whose tracers switch to the application's provider once that is set.

    At process exit, its spans are exported within the time that all shutdown steps share.

    Args:
        resource: The provider's resource.
    """

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource=resource, shutdown_on_exit=False)
        atexit.register(self._end)

    def _end(self) -> None:
        with ENDING.step() as deadline:
            try:
                # First, because the relay sends on its own threads while we wait here.
                agent_start.hand_over()
                for processor in span_processors(self):
                    _shut_down(processor, deadline)
            except Exception:
                failure.report("export the last spans")

    def get_tracer(self, *arguments: Any, **named: Any) -> trace.Tracer:
        """Return a tracer that switches to the application's provider once that is set."""
        return _Tracer(self, super().get_tracer(*arguments, **named), arguments, named)


class _Tracer(trace.ProxyTracer):
    """Looks up the provider for each span, like OpenTelemetry's proxy tracer."""

    def __init__(
        self,
        provider: trace.TracerProvider,
        tracer: trace.Tracer,
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> None:
        self._provider = provider
        self._current = tracer
        self._arguments = arguments
        self._named = named

    @property
    def _tracer(self) -> trace.Tracer:
        provider = trace.get_tracer_provider()
        if provider is not self._provider:
            self._current = provider.get_tracer(*self._arguments, **self._named)
            self._provider = provider
        return self._current


def _shut_down(processor: Any, deadline: float) -> None:
    """Shut down a span processor, within the deadline if it is the SDK's batch processor.

    There is no public way to pass a deadline, and older SDK releases have no way at all. A
    separate thread is no alternative: from Python 3.12 on, none can start at exit.
    """
    batches = getattr(processor, "_batch_processor", None)
    shutdown = getattr(batches, "shutdown", None)
    if shutdown is None or "timeout_millis" not in inspect.signature(shutdown).parameters:
        processor.shutdown()
    else:
        shutdown(timeout_millis=int(1000 * seconds_until(deadline)))


def make_global(provider: MadeProvider, on_replaced: Callable[[], object]) -> None:
    """Make a provider the global one until the application sets another.

    Args:
        provider: The provider.
        on_replaced: Called when the application has set its own.
    """
    # No public function sets it without making it final. If a later release lacks these private
    # names, it becomes final.
    once = getattr(trace, "_TRACER_PROVIDER_SET_ONCE", None)
    lock = getattr(once, "_lock", None)
    if lock is None or not hasattr(trace, "_TRACER_PROVIDER"):
        trace.set_tracer_provider(provider)
        return
    with lock:
        if trace._TRACER_PROVIDER is not None:  # noqa: SLF001  as above
            return
        trace._TRACER_PROVIDER = provider  # noqa: SLF001  as above

    def wrap(set_tracer_provider: Any) -> Any:
        @wraps(set_tracer_provider)
        def set_and_report(*arguments: Any, **named: Any) -> None:
            set_tracer_provider(*arguments, **named)
            patch.remove()
            try:
                on_replaced()
            except Exception:
                failure.report("switch to the application's tracer provider")

        return set_and_report

    patch = Patch(trace, "set_tracer_provider", wrap)

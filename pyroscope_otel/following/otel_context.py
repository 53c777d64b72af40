"""Follows OpenTelemetry's own switch points.

A span becomes current through `attach`, stops being current through `detach`, and changes its
name through `update_name`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.context import contextvars_context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.sdk.trace import Span

from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link import failure
from pyroscope_otel.link.attribution import CURRENT, SPAN_KEY, adopt, owner_of_span
from pyroscope_otel.link.state import STATE
from pyroscope_otel.link.switch import current_context, follow_current, is_settled
from pyroscope_otel.link.thread_labels import last, note_event

if TYPE_CHECKING:
    from collections.abc import Callable


class ContextSwitches(Hook):
    """Wraps the methods of OpenTelemetry's runtime context.

    Other modules may have imported `opentelemetry.context.attach` and `detach` by name, but
    both call this object, whatever its class.
    """

    module = "opentelemetry.context"

    def _install(self) -> None:
        runtime_context = otel_context._RUNTIME_CONTEXT  # noqa: SLF001  see the docstring
        self._patch(runtime_context, "attach", self._wrap_attach)
        self._patch(runtime_context, "detach", self._wrap_detach)

    def _wrap_attach(self, original: Callable[[otel_context.Context], Any]) -> Any:
        hook = self
        put = CURRENT.set if _is_stock_method(original) else original

        def attach(context: otel_context.Context) -> Any:
            if not hook.active:
                return original(context)
            span: Any = None
            try:
                # Optimization: a span with an owner needs no other check.
                span = context.get(SPAN_KEY)
                if span is not None:
                    span._pyroscope_owner  # noqa: B018, SLF001  our own attribute
            except Exception:
                _adopt(context)
            token = put(context)
            # Optimization: `note_event`, inlined.
            last.event = []
            if not is_settled(span):
                follow_current()
            return token

        return attach

    def _wrap_detach(self, original: Callable[[Any], None]) -> Any:
        hook = self
        reset = CURRENT.reset if _is_stock_method(original) else original

        def detach(token: Any) -> None:
            try:
                reset(token)
            finally:
                # Also if the token belongs to another context and is refused. The context is
                # then unchanged, and its owner may be anyone.
                if hook.active:
                    last.event = []
                    context = current_context(None)
                    if not is_settled(None if context is None else context.get(SPAN_KEY)):
                        follow_current()

        return detach


def _is_stock_method(method: Any) -> bool:
    """Return whether this is an unmodified method of OpenTelemetry's.

    Optimization: it only sets or resets the context variable. Doing that directly saves an
    eighth of the cost of following a child span.
    """
    function = getattr(method, "__func__", None)
    kind = ContextVarsRuntimeContext
    # Another tool may have replaced the method of the class: its code is from elsewhere.
    code = getattr(function, "__code__", None)
    return (
        function in (kind.attach, kind.detach)
        and code is not None
        and code.co_filename == contextvars_context.__file__
    )


def _adopt(context: otel_context.Context) -> None:
    try:
        adopt(context)
    except Exception:
        failure.report("put a foreign span into its profile")


class Renames(Hook):
    """Wraps `update_name` of the SDK's spans.

    Frameworks rename the root span once they know its route. A sample gets its root's last
    name, even if the root is gone at upload.
    """

    module = "opentelemetry.sdk.trace"

    def _install(self) -> None:
        self._patch(Span, "update_name", self._wrap_update_name)

    def _wrap_update_name(self, original: Callable[[Span, str], None]) -> Any:
        hook = self

        @functools.wraps(original)
        def update_name(self: Span, name: str) -> None:
            original(self, name)
            if not hook.active:
                return
            try:
                owner = owner_of_span(self)
                if owner is not None and owner.profile is not None:
                    owner.profile.rename(self)
            except Exception:
                failure.report("follow the new name of a span")
            if STATE.labels_only:
                note_event()
                follow_current()

        return update_name

"""Follows OpenTelemetry's own switch points.

A span becomes current, or stops being so, through `attach` and `detach`; its
name changes through `update_name`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import Span

from pyroscope_otel import failure
from pyroscope_otel.attribution import SPAN_KEY, adopt, owner_of_span
from pyroscope_otel.following.hook import Hook
from pyroscope_otel.following.switch import STATE, follow_current, is_said
from pyroscope_otel.thread_labels import last, something_happened

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroscope_otel.attribution import Owner


class ContextSwitches(Hook):
    """Wraps the methods of OpenTelemetry's runtime context.

    `opentelemetry.context.attach` and `detach` may have been imported by name
    anywhere. Both go through this object, whatever its class.
    """

    module = "opentelemetry.context"

    def _install(self) -> None:
        runtime_context = otel_context._RUNTIME_CONTEXT  # noqa: SLF001  see the docstring
        self._patch(runtime_context, "attach", self._wrap_attach)
        self._patch(runtime_context, "detach", self._wrap_detach)

    def _wrap_attach(self, original: Callable[[otel_context.Context], Any]) -> Any:
        def attach(context: otel_context.Context) -> Any:
            if not self.active:
                return original(context)
            owner: Owner | None = None
            try:
                # Optimization: no more than this is asked of a span of ours.
                span: Any = context.get(SPAN_KEY)
                if span is not None:
                    owner = span._pyroscope_owner  # noqa: SLF001  our own attribute
            except Exception:
                _adopt(context)
            token = original(context)
            # Optimization: `something_happened` without its call.
            last.event = []
            if owner is not None and is_said(owner, span):
                return token
            follow_current()
            return token

        return attach

    def _wrap_detach(self, original: Callable[[Any], None]) -> Any:
        def detach(token: Any) -> None:
            try:
                original(token)
            finally:
                # Also where the token was of another context and is refused:
                # the context is then what it was, whoever's it is.
                if self.active:
                    last.event = []
                    follow_current()

        return detach


def _adopt(context: otel_context.Context) -> None:
    try:
        adopt(context)
    except Exception:
        failure.report("put a foreign span into its profile")


class Renames(Hook):
    """Wraps `update_name` of the SDK's spans.

    Frameworks name the root after its route once they have found it. A sample has the
    last name of its root, also where the root is gone when it is uploaded.
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
                something_happened()
                follow_current()

        return update_name

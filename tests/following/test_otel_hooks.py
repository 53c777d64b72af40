"""Installing and removing the hooks into OpenTelemetry."""

from __future__ import annotations

import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import Span

from pyroscope_otel import following
from pyroscope_otel.following.otel_context import ContextSwitches, Renames
from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE

pytestmark = pytest.mark.usefixtures("nothing_stays_attached")


@pytest.mark.usefixtures("removed")
@pytest.mark.parametrize("hook_class", [ContextSwitches, Renames])
def test_hook_is_removed_completely(hook_class):
    """Scenario 51: every attribute is the same object as before."""

    def attributes():
        context = otel_context._RUNTIME_CONTEXT
        return dict(vars(context)), context.attach.__func__, dict(vars(Span))

    before = attributes()
    hook = hook_class()
    hook.install()
    installed = vars(otel_context._RUNTIME_CONTEXT), dict(vars(Span))
    assert installed != (before[0], before[2])
    hook.install()
    hook.remove()
    assert attributes() == before
    hook.remove()
    assert attributes() == before


@pytest.mark.usefixtures("removed")
def test_removed_hooks_follow_nothing(tracer, now):
    """The processor of the fixture `tracer` has installed them all."""
    following.remove()
    with tracer.start_as_current_span("root") as root:
        assert root.attributes[PROFILE_ID_ATTRIBUTE]
        assert now() is None
        root.update_name("renamed")
        assert now() is None


@pytest.mark.usefixtures("removed")
def test_tool_that_patched_attach_over_ours(tracer, now):
    """Scenario 51: removed out of order, ours stays and does nothing."""

    def theirs(context):
        calls.append(context)
        return ours(context)

    calls = []
    following.install()
    runtime_context = otel_context._RUNTIME_CONTEXT
    ours = runtime_context.attach
    runtime_context.attach = theirs
    try:
        following.remove()
        assert runtime_context.attach is theirs
        with tracer.start_as_current_span("root"):
            assert now() is None
        assert calls
        # Installed again, ours wraps theirs.
        following.install()
        with tracer.start_as_current_span("root"):
            assert now() == "root"
        assert now() is None
        following.remove()
        assert runtime_context.attach is theirs
    finally:
        del runtime_context.attach


@pytest.mark.usefixtures("removed")
def test_tool_that_patched_detach_over_ours(tracer, now):
    """Scenario 51: once removed, ours does nothing when the tool calls it."""

    def theirs(token):
        calls.append(token)
        ours(token)

    calls = []
    following.install()
    runtime_context = otel_context._RUNTIME_CONTEXT
    ours = runtime_context.detach
    runtime_context.detach = theirs
    try:
        with tracer.start_as_current_span("root"):
            token = otel_context.attach(otel_context.Context())
            assert now() is None
            following.remove()
            otel_context.detach(token)
            assert calls == [token]
            # The root span is current again, and no hook follows.
            assert now() is None
            following.install()
            with tracer.start_as_current_span("child"):
                assert now() == "root"
        assert now() is None
        following.remove()
        assert runtime_context.detach is theirs
    finally:
        del runtime_context.detach

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
def test_taken_out_without_a_trace(hook_class):
    """Scenario 51: what was there is there again, the very same."""

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
def test_nothing_is_followed_once_it_is_taken_out(tracer, now):
    """The tracer fixture's processor has put everything in; it comes out again."""
    following.remove()
    with tracer.start_as_current_span("root") as root:
        assert root.attributes[PROFILE_ID_ATTRIBUTE]
        assert now() is None
        root.update_name("renamed")
        assert now() is None


@pytest.mark.usefixtures("removed")
def test_another_tool_has_patched_over_ours(tracer, now):
    """Scenario 51: taken out of order, it stays, and ours does nothing."""

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
        # Put in once more, ours goes around theirs.
        following.install()
        with tracer.start_as_current_span("root"):
            assert now() == "root"
        assert now() is None
        following.remove()
        assert runtime_context.attach is theirs
    finally:
        del runtime_context.attach


@pytest.mark.usefixtures("removed")
def test_another_tool_has_patched_over_our_detach(tracer, now):
    """Scenario 51: what it calls does nothing once ours is taken out."""

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
            # The root is current again, and nobody follows.
            assert now() is None
            following.install()
            with tracer.start_as_current_span("child"):
                assert now() == "root"
        assert now() is None
        following.remove()
        assert runtime_context.detach is theirs
    finally:
        del runtime_context.detach

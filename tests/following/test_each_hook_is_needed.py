"""Each hook is needed: without it, or without one of its patches, a miniature comes out wrong."""

from __future__ import annotations

import contextvars

import pytest

from pyroscope_otel import following
from pyroscope_otel.link import thread_labels
from tests.following import (
    edge_miniatures,
    loop_miniatures,
    task_miniatures,
    twisted_miniatures,
    worker_miniatures,
)
from tests.following.installed import patch_of

MINIATURES = [
    *worker_miniatures.MINIATURES,
    *loop_miniatures.MINIATURES,
    *edge_miniatures.MINIATURES,
    *task_miniatures.MINIATURES,
    *twisted_miniatures.MINIATURES,
]

each_miniature = pytest.mark.parametrize(
    ("hook", "name", "miniature"),
    [
        pytest.param(*each, id=f"{number}-{each[0]}-{each[1]}")
        for number, each in enumerate(MINIATURES)
    ],
)


@pytest.fixture(autouse=True)
def _all_hooks_back():
    yield
    following.remove()
    following.install()


@pytest.fixture
def outcome(tracer, now, attribution):
    """Return a function that runs a miniature and removes the labels it leaves."""

    def outcome(miniature):
        if attribution == "thread" and miniature in edge_miniatures.ABOUT_MARKS:
            pytest.skip("it is about marks")
        # Signals need the main thread, so the labels are removed by hand.
        right = contextvars.Context().run(miniature, tracer, now)
        thread_labels.carry(thread_labels.this_thread(), None)
        return right

    return outcome


@each_miniature
def test_miniature_is_right_with_its_hook(hook, name, miniature, outcome):
    assert following.named(hook).active
    assert outcome(miniature)
    if name is not None:
        patch_of(following.named(hook), name)


@each_miniature
def test_miniature_is_wrong_without_its_hook(hook, name, miniature, outcome):
    """Without the hook, or without one of its patches."""
    if name is None:
        following.remove(hook)
    else:
        patch_of(following.named(hook), name).remove()
    assert not outcome(miniature)


def test_every_replaced_attribute_has_a_miniature():
    """Also in a hook that is added later."""
    with_one = {
        patch_of(following.named(hook), name) for hook, name, _ in MINIATURES if name is not None
    }
    assert with_one == {patch for hook in following.HOOKS for patch in hook._patches}
    active = {hook.name for hook in following.HOOKS if hook.active}
    assert active == {hook for hook, _, _ in MINIATURES}

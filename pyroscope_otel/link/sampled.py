"""Predicts which profile a sample of the calling code would belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroscope_otel.link.attribution import current_owner
from pyroscope_otel.link.marks import LABEL, MARKS, nearest_mark, number_of_sample
from pyroscope_otel.link.state import STATE
from pyroscope_otel.link.thread_labels import conditions, last, this_thread

if TYPE_CHECKING:
    from pyroscope_otel.link.profile import Profile


def profile_of_a_sample() -> Profile | None:
    """Return the profile that a sample of the calling code would belong to, or None.

    This applies the rule of uploads (`number_of_sample`) rather than that of `attribution`.
    Where nothing follows the code, neither the stack nor the label names its request.
    """
    thread = this_thread()
    labels = thread.labels
    # An agent that was stopped or started since does not have these labels.
    carried = () if labels is None or thread.reset is not last.reset else labels.on
    if STATE.labels_only:
        owner = current_owner()
        profile = None if owner is None else owner.profile
        is_carried = profile is not None and ("span_id", profile.id) in carried
        return profile if is_carried else None
    mark = nearest_mark()
    values = [value for key, value in carried if key == LABEL]
    return MARKS.profile_of(number_of_sample(0 if mark is None else mark.number, values))


def is_followed_here() -> bool:
    """Return whether samples of a request on the running thread can name the request.

    Its mark is on the stack wherever it runs. Direct mode has only span labels, and some
    threads may not carry them.
    """
    return not STATE.labels_only or all(condition() for condition in conditions)

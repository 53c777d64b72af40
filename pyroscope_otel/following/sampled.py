"""What a sample that is taken here and now would be attributed to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroscope_otel.attribution import current_owner
from pyroscope_otel.following.switch import STATE
from pyroscope_otel.marks import LABEL, MARKS, nearest_mark, number_of_sample
from pyroscope_otel.thread_labels import this_thread

if TYPE_CHECKING:
    from pyroscope_otel.profile import Profile


def profile_of_a_sample() -> Profile | None:
    """Return the profile that a sample of the calling code would be of, or None.

    By the rule that uploads go by, and not by what ought to be: where nothing follows the
    code, the stack and the thread's label say nothing of its request.
    """
    if STATE.labels_only:
        owner = current_owner()
        return None if owner is None else owner.profile
    mark = nearest_mark()
    labels = this_thread().labels
    values = [] if labels is None else [value for key, value in labels.on if key == LABEL]
    return MARKS.profile_of(number_of_sample(0 if mark is None else mark.number, values))

"""What profile a span is in."""

from __future__ import annotations

from pyroscope_otel.link.attribution import owner_of_span


def profile_of_span(span):
    """Return the profile that a span is in, open or not."""
    owner = owner_of_span(span)
    return None if owner is None else owner.profile

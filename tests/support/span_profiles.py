"""Which profile a span or a job is in."""

from __future__ import annotations

from pyroscope_otel.link.attribution import (
    Guest,
    current_owner,
    current_span_ref,
    owner_of_span,
)


def profile_of_span(span):
    """Return the profile that a span is in, open or not."""
    owner = owner_of_span(span)
    return None if owner is None else owner.profile


def guest_of_the_running_code():
    """Return the guest that a job submitted now would have."""
    return Guest(current_owner(), current_span_ref())

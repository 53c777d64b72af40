"""When a push is sent again, and the log line for an answer."""

import time
from email.utils import formatdate

import pytest

from pyroscope_otel.relay.post import Answer
from pyroscope_otel.relay.retrying import (
    is_temporary,
    pause_seconds,
    refusal,
    retry_after_seconds,
)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_temporary_failure_is_retried(status):
    assert is_temporary(status)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 413, 415, 422])
def test_permanent_failure_is_not_retried(status):
    assert not is_temporary(status)


@pytest.mark.parametrize(("failures", "longest"), [(1, 2), (2, 4), (4, 16), (5, 30), (10**6, 30)])
def test_pauses_grow_up_to_a_limit(failures, longest):
    pauses = [pause_seconds(failures) for _ in range(1000)]
    assert 1 <= min(pauses) <= max(pauses) <= longest
    # Full jitter spreads 1,000 pauses over nearly the whole range.
    assert min(pauses) < 1 + (longest - 1) / 10
    assert max(pauses) > longest - (longest - 1) / 10


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("3600", 300),
        ("9" * 5000, 300),
        ("-7", 0),
        ("7.5", 0),
        ("\u0667", 0),
        ("soon", 0),
        ("", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after_seconds(value) == seconds


def test_retry_after_as_a_date():
    assert 50 < retry_after_seconds(formatdate(time.time() + 60, usegmt=True)) <= 60


def refused(status, text="", location=None):
    return refusal(Answer(status, text, None, location))


def test_refusal_names_the_answer_and_the_remedy():
    assert refused(401, "no such user") == (
        "401 (no such user). Check basic_auth_username and basic_auth_password, or auth_token"
    )


def test_answer_of_the_server_cannot_break_the_log():
    said = refused(400, "a\r\nERROR forged\x1b[31m\t b" + "x" * 1000)
    assert said.startswith("400 (a ERROR forged [31m bxxx")
    assert len(said) < 400
    assert said.isprintable()


def test_redirect_names_its_target():
    said = refused(308, location="https://user:secret@other.example:8443/push?token=secret")
    assert said == (
        "308. Redirects are not followed: set server_address to the final address. "
        "It points to https://other.example"
    )


@pytest.mark.parametrize("location", [None, "", "/elsewhere", "//[", "http://["])
def test_redirect_without_a_target(location):
    assert refused(302, location=location) == (
        "302. Redirects are not followed: set server_address to the final address"
    )

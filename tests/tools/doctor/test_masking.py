"""Secrets are masked in every form."""

from __future__ import annotations

import base64

import pytest

from pyroscope_otel.tools.doctor.masking import Mask, secrets_of, secrets_of_environment

USER_AND_PASSWORD = base64.b64encode(b"me:p/w-long").decode()


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [
        ({"auth_token": "t0ken"}, "Bearer t0ken was refused", "Bearer *** was refused"),
        (
            {"basic_auth_username": "me", "basic_auth_password": "p/w-long"},
            f"Basic {USER_AND_PASSWORD} p/w-long me",
            "Basic *** *** me",
        ),
        (
            {"http_headers": {"Authorization": "Bearer abcdef"}},
            "token abcdef, header Bearer abcdef",
            "token ***, header ***",
        ),
        (
            {"server_address": "http://me:p%2Fw-long@host?key=k3yk3y"},
            f"p%2Fw-long p/w-long {USER_AND_PASSWORD} key=k3yk3y",
            "*** *** *** ***",
        ),
        # Refused values are also secret.
        ({"auth_token": 12345, "http_headers": "X: abc"}, "12345", "***"),
        # A short secret is masked only as a whole word.
        ({"auth_token": "a"}, "a man, 'a'", "*** man, '***'"),
        ({"auth_token": "abcd-x", "tenant_id": "abcd"}, "abcd abcd-x", "abcd ***"),
        # A secret that is part of another.
        *[
            ({"auth_token": one, "basic_auth_password": other}, "long long-er", "*** ***")
            for one, other in [("long", "long-er"), ("long-er", "long")]
        ],
        ({}, "nothing to hide", "nothing to hide"),
        ({"server_address": "http://[broken"}, "http://[broken", "http://[broken"),
    ],
)
def test_settings(settings, text, expected):
    assert Mask(secrets_of(settings))(text) == expected


@pytest.mark.parametrize(
    ("environ", "text", "expected"),
    [
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20YWJjZA==,x-key=k3yk3y"},
            "Basic YWJjZA== YWJjZA== Basic%20YWJjZA== k3yk3y",
            "*** *** *** ***",
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=s3cr3t"}, "s3cr3t", "***"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:pw0rd@host/?k=v"}, "pw0rd k=v", "*** ***"),
        ({"PYROSCOPE_SERVER_ADDRESS": "u:x@nonsense"}, "u:x@nonsense", "u:x@nonsense"),
        (
            {"PYROSCOPE_AUTH_TOKEN": " t0ken ", "PYROSCOPE_HTTP_HEADERS": '{"X": "v4lue",}'},
            "t0ken v4lue",
            "*** ***",
        ),
        ({"PYROSCOPE_BASIC_AUTH_PASSWORD": "pw0rd"}, "pw0rd", "***"),
    ],
)
def test_environment_even_with_refused_settings(environ, text, expected):
    assert Mask(secrets_of_environment(environ))(text) == expected

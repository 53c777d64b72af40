"""Names of services in traces and profiles."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.resources import Resource

from pyroscope_otel.setup.findings.finding import Level
from pyroscope_otel.setup.findings.names import (
    Names,
    is_unknown,
    judge_names,
    service_names,
    service_namespaces,
)


@pytest.mark.parametrize(
    ("tags", "resource", "names"),
    [
        ({}, {"service.name": "shop"}, Names("shop", "shop")),
        ({}, {"service.name": "store"}, Names("shop", "store")),
        ({"service_name": "store"}, {"service.name": "store"}, Names("store", "store")),
        ({"service_name": "store"}, {"service.name": "shop"}, Names("store", "shop")),
        ({}, {}, Names("shop", "shop")),
    ],
    ids=["the same", "another", "the tag wins", "the tag's is another", "no name of traces"],
)
def test_service_names(tags, resource, names):
    assert service_names("shop", tags, resource) == names


@pytest.mark.parametrize(
    ("tags", "resource", "names", "differ"),
    [
        ({}, {}, Names(None, None), False),
        ({"service_namespace": "eu"}, {}, Names("eu", "eu"), False),
        ({}, {"service.namespace": "eu"}, Names(None, "eu"), True),
        ({"service_namespace": "us"}, {"service.namespace": "eu"}, Names("us", "eu"), True),
    ],
    ids=["none", "of profiles only", "of traces only", "another"],
)
def test_service_namespaces(tags, resource, names, differ):
    assert service_namespaces(tags, resource) == names
    assert names.differ is differ


def test_service_without_a_name_has_the_name_from_opentelemetry(monkeypatch):
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    assert is_unknown(Resource.create().attributes["service.name"])
    assert not is_unknown("shop")
    assert not is_unknown(None)


@pytest.mark.parametrize(
    ("name", "tags", "resource", "expected"),
    [
        ("shop", {}, {"service.name": "shop"}, ["names-match"]),
        ("shop", {}, {"service.name": "till"}, ["names-differ!"]),
        ("x", {"service_name": "shop"}, {"service.name": "shop"}, ["names-match"]),
        ("shop", {"service_name": "x"}, {"service.name": "shop"}, ["names-differ!"]),
        (
            "unknown_service:python",
            {},
            {"service.name": "unknown_service:python"},
            ["service-has-no-name!"],
        ),
        ("shop", {}, {"service.name": "shop", "service.namespace": "eu"}, ["namespaces-differ!"]),
        (
            "shop",
            {"service_namespace": "eu"},
            {"service.name": "shop", "service.namespace": "eu"},
            ["names-match"],
        ),
        # Grafana asks for no namespace if the resource has none.
        ("shop", {"service_namespace": "eu"}, {"service.name": "shop"}, ["names-match"]),
        (
            "a",
            {"service_namespace": "us"},
            {"service.name": "b", "service.namespace": "eu"},
            ["names-differ!", "namespaces-differ!"],
        ),
    ],
)
def test_findings_about_names(name, tags, resource, expected):
    assert [
        one.code + "!" * (one.level is Level.PROBLEM) for one in judge_names(name, tags, resource)
    ] == expected

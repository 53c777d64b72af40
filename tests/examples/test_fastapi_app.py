"""The FastAPI example, started with its documented command."""

from __future__ import annotations

import json

import pytest

from tests.examples.started import started

FILE = "example_apps/fastapi_app.py"


@pytest.fixture(scope="module")
def example():
    with started(FILE) as example:
        yield example


@pytest.mark.parametrize(
    ("method", "path", "name", "function"),
    [
        ("GET", "/search/tea", "GET /search/{word}", "rank_results"),
        ("GET", "/invoice/7", "GET /invoice/{number}", "render_invoice"),
        ("POST", "/thumbnail/teapot", "POST /thumbnail/{name}", "resize_image"),
    ],
)
def test_work_of_each_endpoint_is_in_the_profile_of_its_request(
    example, method, path, name, function
):
    assert json.loads(example.request(path, method))
    link = example.link(name)
    assert function in link.functions
    assert link.span.resource["service.name"] == link.profile_labels["service_name"] == "shop"

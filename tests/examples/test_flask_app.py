"""The Flask example, started as its docstring says."""

from __future__ import annotations

import pytest
from started import started

FILE = "example_apps/flask_app.py"


@pytest.fixture(scope="module")
def example():
    with started(FILE) as example:
        yield example


@pytest.mark.parametrize(
    ("method", "path", "name", "function"),
    [
        ("GET", "/invoice/7", "GET /invoice/<int:number>", "total"),
        ("POST", "/thumbnail/teapot", "POST /thumbnail/<name>", "resize_image"),
        ("GET", "/prices", "GET /prices", "find_price"),
    ],
)
def test_each_views_work_is_in_its_requests_profile(example, method, path, name, function):
    assert example.request(path, method)
    link = example.link(name)
    assert function in link.functions
    assert link.span.resource["service.name"] == link.profile_labels["service_name"] == "shop"


def test_the_last_samples_are_uploaded_when_it_stops():
    with started(FILE, environment={"PYROSCOPE_UPLOAD_INTERVAL": "3600s"}) as example:
        example.get("/invoice/7")
        assert example.profiles == []
    assert "total" in example.find_link("GET /invoice/<int:number>").functions

"""The Flask example, and the application of docs/flask.md, started as documented."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.examples.started import ROOT, started

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
def test_work_of_each_view_is_in_the_profile_of_its_request(example, method, path, name, function):
    assert example.request(path, method)
    link = example.link(name)
    assert function in link.functions
    assert link.span.resource["service.name"] == link.profile_labels["service_name"] == "flask-shop"


def test_last_samples_are_uploaded_at_the_stop():
    with started(FILE, environment={"PYROSCOPE_UPLOAD_INTERVAL": "3600s"}) as example:
        # On a busy machine the sampler may miss a short request.
        for _ in range(5):
            example.get("/invoice/7")
        assert example.profiles == []
    assert "total" in example.find_link("GET /invoice/<int:number>").functions


def test_documented_application(tmp_path):
    page = (ROOT / "docs" / "flask.md").read_text()
    (code,) = re.findall(r"```python\n(# shop\.py\n.*?)```", page, re.DOTALL)
    (tmp_path / "shop.py").write_text(code)
    (command,) = re.findall(r"^gunicorn .*$", page, re.MULTILINE)
    (path,) = re.findall(r"^curl localhost:8000(/.*)$", page, re.MULTILINE)
    (name,) = re.findall(r"^\| Flask \| `([^`]+)` \|$", page, re.MULTILINE)
    with started(None, command=shlex.split(command), folder=tmp_path) as example:
        assert example.get(path) == b"199999990000000"
        link = example.link(name)
    assert "sum_up" in link.functions
    assert link.span.resource["service.name"] == "shop"

"""The Django example, started with its documented command: `runserver` with its reloader."""

from __future__ import annotations

import json
import socket

import pytest

from tests.examples.started import started

MANAGE = "example_apps/django_project/manage.py"


@pytest.fixture
def address():
    """A free address to listen on: `runserver` takes no port 0."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def test_sync_async_and_streaming_views_have_profiles(address):
    with started(MANAGE, address) as example:
        answer = json.loads(example.get("/invoice/7/"))
        invoice = example.link("GET invoice/<int:number>/")
        example.get("/search/tea/")
        search = example.link("GET search/<word>/")
        lines = example.get("/prices/").decode().splitlines()
        prices = example.link("GET prices/")
    assert answer["profile"] == invoice.span.profile_id
    assert "total" in invoice.functions
    assert "rank_results" in search.functions
    assert [line.partition(":")[0] for line in lines] == ["tea", "cups", "kettle", "lemon"]
    assert "find_price" in prices.functions
    for link in (invoice, search, prices):
        assert link.span.resource["service.name"] == "django-shop"
        assert link.profile_labels["service_name"] == "django-shop"


def test_last_samples_are_uploaded_at_the_stop(address):
    with started(MANAGE, address, environment={"PYROSCOPE_UPLOAD_INTERVAL": "3600s"}) as example:
        # On a busy machine the sampler may miss a short request.
        for _ in range(5):
            example.get("/invoice/7/")
        assert example.profiles == []
    assert "total" in example.find_link("GET invoice/<int:number>/").functions


def test_under_gunicorn():
    command = "gunicorn --chdir example_apps/django_project shop.wsgi"
    with started(MANAGE, command=command.split()) as example:
        # The first request starts the agent. On a busy machine it may end before the first
        # sample.
        for number in (7, 8, 9):
            example.get(f"/invoice/{number}/")
        link = example.link("GET invoice/<int:number>/")
    assert "total" in link.functions


def test_uvicorn_uploads_the_last_samples_at_sigterm():
    """SIGTERM runs no exit handlers: the end of the lifespan uploads them."""
    command = "uvicorn --app-dir example_apps/django_project shop.asgi:application"
    patience = {"PYROSCOPE_UPLOAD_INTERVAL": "3600s"}
    with started(MANAGE, command=command.split(), environment=patience) as example:
        # On a busy machine the sampler may miss a short request.
        for _ in range(5):
            example.get("/search/tea/")
        assert example.profiles == []
        example._process.terminate()
        example._process.wait(timeout=30)
    assert "rank_results" in example.find_link("GET search/<word>/").functions

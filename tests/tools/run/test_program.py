"""Which programs are scripts."""

from __future__ import annotations

import pytest

from pyroscope_otel.tools.run.inside.program import program_of


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python job.py --fast", "job.py"),
        ("python -u -W error -X utf8 jobs/nightly.py", "nightly.py"),
        ("python -m shop.jobs", "shop.jobs"),
        ("python -mshop", "shop"),
        ("python -m shop.__main__", "shop"),
        ("python -c pass", "-c"),
        ("/venv/bin/python /venv/bin/shop-admin import", "shop-admin"),
        ("python manage.py import_orders", "manage.py"),
    ],
)
def test_script(command, name):
    program = program_of(command.split())
    assert program.name == name
    assert program.is_script


@pytest.mark.parametrize(
    "command",
    [
        "",
        "python",
        "uwsgi --http :8000 --module shop:app",
        "python -i",
        "python -",
        "/venv/bin/python /venv/bin/uvicorn shop:app",
        "python -m uvicorn shop:app",
        "python -m flask run",
        "python manage.py runserver",
        "/venv/bin/python /venv/bin/gunicorn shop:app",
        "/venv/bin/python /venv/bin/celery -A shop worker",
        "python -m pytest",
    ],
)
def test_not_a_script(command):
    assert not program_of(command.split()).is_script


@pytest.mark.parametrize("command", ["python -m pytest", "python /venv/bin/py.test -x"])
def test_pytest(command):
    assert program_of(command.split()).is_pytest


@pytest.mark.parametrize(
    "command", ["python -m celery -A shop worker", "python /venv/bin/rq worker"]
)
def test_worker_with_held_tasks(command):
    program = program_of(command.split())
    assert not program.is_script
    assert not program.has_spans_by_hand


@pytest.mark.parametrize(
    "command", ["python -m dramatiq shop", "python /venv/bin/huey_consumer.py shop.huey"]
)
def test_worker_with_spans_by_hand(command):
    program = program_of(command.split())
    assert not program.is_script
    assert program.has_spans_by_hand


def test_server_has_no_spans_by_hand():
    assert not program_of(["python", "-m", "uvicorn", "shop:app"]).has_spans_by_hand

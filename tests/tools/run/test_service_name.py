"""The service name of a command."""

from __future__ import annotations

import pytest

from pyroscope_otel.tools.run.service_name import service_name


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("uvicorn shop:app", "shop"),
        ("uvicorn --host 127.0.0.1 shop.web.main:app --reload", "shop"),
        ("uvicorn main:app", "project-folder"),
        ("gunicorn -w 4 -b localhost:8000 shop:make_app()", "shop"),
        ("/venv/bin/gunicorn shop:app", "shop"),
        ("flask --app shop run", "shop"),
        ("flask --app=shop:create run", "shop"),
        ("flask --app src/shop.py run", "shop"),
        ("celery -A shop.tasks worker", "shop"),
        ("python job.py", "job"),
        ("python3.12 -X dev jobs/nightly.py --fast", "nightly"),
        ("python -m shop.jobs", "shop"),
        ("python manage.py runserver", "project-folder"),
        ("python -m flask --app shop run", "shop"),
        ("pytest -x tests", "pytest"),
        ("pytest -p no:cacheprovider -W error:old tests", "pytest"),
        ("./serve", "project-folder"),
        ("make", "make"),
    ],
)
def test_service_name_comes_from_the_command(command, name):
    assert service_name(command.split(), "/home/me/project-folder") == name

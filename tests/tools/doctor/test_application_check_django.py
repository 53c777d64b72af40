"""A Django project, given by directory, by settings module, or as `module:app`."""

from __future__ import annotations

import textwrap

import pytest

from pyroscope_otel.setup.findings.finding import Level
from pyroscope_otel.tools.doctor.application_check import check_application
from tests.tools.doctor.judging import codes, the_finding

SETTINGS = """
    SECRET_KEY = "none"
    ALLOWED_HOSTS = [".shop.example"]
    ROOT_URLCONF = "site_urls"
    INSTALLED_APPS = ["pyroscope_otel_django"]
    MIDDLEWARE = ["pyroscope_otel_django.middleware.PyroscopeMiddleware"]
    PYROSCOPE = {"APPLICATION_NAME": "shop", "TENANT_ID": "team"}
"""
FILES = {
    "manage.py": """
        import os
        os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_settings')
    """,
    "site_settings.py": SETTINGS,
    "site_urls.py": """
        from django.http import HttpResponse
        from django.urls import path
        urlpatterns = [path("cart", lambda request: HttpResponse(request.get_host()))]
    """,
    "site_asgi.py": """
        import os
        os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_settings')
        from django.core.asgi import get_asgi_application
        application = get_asgi_application()
    """,
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return the directory of a project, inside the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_text(textwrap.dedent(content))
    monkeypatch.chdir(tmp_path)
    return folder


def assert_correct(checked):
    assert the_finding("app-one-local-root", checked.findings).summary == (
        "GET /cart was answered with 200 and has one local root span, 'GET cart'."
    )
    found = set(codes(checked.findings))
    assert {"app-one-local-root", "names-match", "traces-no-exporter!"} <= found
    assert checked.arguments["tenant_id"] == "team"
    assert checked.sources["tenant_id"] == "Django setting PYROSCOPE['TENANT_ID']"


@pytest.mark.usefixtures("project")
def test_by_the_directory_of_manage_py():
    assert_correct(check_application("project", "/cart"))


def test_by_the_settings_module(project, monkeypatch):
    monkeypatch.chdir(project)
    assert_correct(check_application("site_settings", "/cart"))


def test_by_the_asgi_application(project, monkeypatch):
    monkeypatch.chdir(project)
    assert_correct(check_application("site_asgi:application", "/cart"))


def test_with_asgi_application_in_the_settings(project):
    with (project / "site_settings.py").open("a") as settings:
        settings.write('ASGI_APPLICATION = "site_asgi.application"\n')
    assert_correct(check_application("project", "/cart"))


def test_manage_py_without_a_settings_module(project):
    (project / "manage.py").write_text("")
    (finding,) = check_application("project", "/").findings
    assert codes([finding]) == ["app-not-loaded!"]
    assert finding.summary == (
        "project cannot be loaded: project/manage.py names no settings module, and "
        "DJANGO_SETTINGS_MODULE is not set"
    )


def test_messages_of_manage_py_check_are_findings(project):
    without = SETTINGS.replace('"pyroscope_otel_django.middleware.PyroscopeMiddleware"', "")
    (project / "site_settings.py").write_text(textwrap.dedent(without))
    findings = check_application("project", "/cart").findings
    (check,) = [one for one in findings if one.code == "django-check"]
    assert check.summary.startswith("manage.py check says (pyroscope_otel_django.W001): ")
    assert check.level is Level.PROBLEM

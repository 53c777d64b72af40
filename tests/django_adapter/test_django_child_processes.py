"""Processes that a management command starts are set up like the command.

The project is in files, because a new interpreter of `multiprocessing` imports them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = """
SECRET_KEY = "none"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["pyroscope_otel_django", "shop"]
MIDDLEWARE = ["pyroscope_otel_django.middleware.PyroscopeMiddleware"]
PYROSCOPE = {"APPLICATION_NAME": "shop", "SERVER_ADDRESS": "http://127.0.0.1:9"}
ROOT_URLCONF = "shop.urls"
SILENCED_SYSTEM_CHECKS = ["pyroscope_otel_django.W003"]
"""

URLS = """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse(request.pyroscope_profile_id))]
"""

STATE = """
import os
import sys

def say(what):
    with open(os.environ["SAID"], "a") as said:
        said.write(what + "\\n")

def request(_=None):
    "Serve a request; report the process and whether an agent runs in it."
    import django
    django.setup()
    from django.test import Client
    from pyroscope_otel.link import thread_labels
    profile_id = Client().get("/").content.decode()
    running = "agent" if thread_labels.agent_is_running() else "none"
    say(f"{os.getpid()} {running} {len(profile_id)}")

def job(_=None):
    "Do traced work outside of a request."
    import django
    django.setup()
    from opentelemetry import trace
    from pyroscope_otel.link import thread_labels
    with trace.get_tracer("shop").start_as_current_span("job"):
        say("agent" if thread_labels.agent_is_running() else "none")

if __name__ == "__main__":
    request()
"""

TESTS = """
from django.test import SimpleTestCase
from shop.state import request

class FirstTest(SimpleTestCase):
    def test_request(self):
        request()

class SecondTest(SimpleTestCase):
    def test_request(self):
        request()
"""

COMMAND = """
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

from django.core.management.base import BaseCommand
from shop.state import job, request

class Command(BaseCommand):
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("way")
        parser.add_argument("--job", action="store_true")

    def handle(self, *_, way, **options):
        if way == "subprocess":
            subprocess.run([sys.executable, "-m", "shop.state"], check=True)
        elif way == "below a test":
            subprocess.run([sys.executable, "manage.py", "work", "subprocess"], check=True)
        else:
            with ProcessPoolExecutor(1, multiprocessing.get_context(way)) as pool:
                list(pool.map(job if options["job"] else request, [1]))
"""

MANAGE = """
import multiprocessing
import os
import sys

if __name__ == "__main__":
    multiprocessing.set_start_method(os.environ["START_METHOD"])
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""


@pytest.fixture
def manage(tmp_path):
    """Return a function that runs a command and returns what its processes reported."""
    files = {
        "manage.py": MANAGE,
        "shop/__init__.py": "",
        "shop/settings.py": SETTINGS,
        "shop/urls.py": URLS,
        "shop/state.py": STATE,
        "shop/tests.py": TESTS,
        "shop/management/__init__.py": "",
        "shop/management/commands/__init__.py": "",
        "shop/management/commands/work.py": COMMAND,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    said = tmp_path / "said"

    def manage(*arguments, start_method="fork", **environ):
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYROSCOPE_", "OTEL_", "DJANGO_"))
        }
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "manage.py", *arguments],
            cwd=tmp_path,
            env={
                **inherited,
                "PYTHONPATH": str(Path.cwd()),
                "SAID": str(said),
                "START_METHOD": start_method,
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=55,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return [line.split() for line in said.read_text().splitlines()]

    return manage


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_parallel_tests_have_ids_and_no_agent(manage, start_method):
    said = manage("test", "--parallel", "2", start_method=start_method)
    assert [facts for _, *facts in said] == [["none", "16"]] * 2


@pytest.mark.parametrize("start_method", ["fork", "spawn", "forkserver"])
def test_workers_of_a_test_have_no_agent(manage, start_method):
    """Also if the test itself runs in a child process."""
    (_, *facts) = manage("work", start_method, _PYROSCOPE_OTEL_DJANGO_COMMAND="1:test")[0]
    assert facts == ["none", "16"]


@pytest.mark.parametrize("start_method", ["fork", "spawn", "forkserver"])
def test_workers_of_a_command_are_not_set_up(manage, start_method):
    assert manage("work", start_method, "--job") == [["none"]]


@pytest.mark.parametrize("way", ["subprocess", "below a test"])
def test_process_started_by_a_test_has_no_agent(manage, way):
    (said,) = manage("work", way, _PYROSCOPE_OTEL_DJANGO_COMMAND="1:test")
    assert said[1:] == ["none", "16"]


def test_server_started_by_another_command_has_an_agent(manage):
    """Such as a supervisor that is a management command."""
    (said,) = manage("work", "subprocess")
    assert said[1:] == ["agent", "16"]

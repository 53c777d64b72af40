"""The command as a whole, and its documentation."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from pyroscope_otel.setup.findings.finding import Level
from pyroscope_otel.tools.cli import main
from pyroscope_otel.tools.doctor.application_check import ApplicationCheck
from pyroscope_otel.tools.doctor.examination import Examination, examine
from pyroscope_otel.tools.doctor.masking import Mask
from pyroscope_otel.tools.doctor.report import as_json, as_text
from tests.support.machine import clean_environment, unused_port
from tests.tools.doctor.judging import the_finding
from tests.tools.doctor.pyroscope_server import serving

COMMAND = Path(sys.executable).with_name("pyroscope-otel")


def doctor(*arguments, cwd=None, **environment):
    return subprocess.run(
        [COMMAND, "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def documented(pytestconfig):
    return (pytestconfig.rootpath / "docs" / "doctor.md").read_text()


def test_correct_set_up(local_server):
    done = doctor(
        "--json",
        "--server",
        local_server.url,
        OTEL_EXPORTER_OTLP_ENDPOINT=local_server.otlp_url,
        OTEL_SERVICE_NAME="shop",
    )
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert [finding["code"] for finding in report["findings"]] == [
        "versions-work",
        "settings-allowed",
        "names-match",
        "server-accepts-push",
        "trace-id-separated",
        "end-to-end",
        "traces-accepted",
    ]
    assert report["settings"]["server_address"] == {
        "value": repr(local_server.url),
        "source": "--server",
    }
    assert report["versions"]["pyroscope-io"]


def test_application_with_its_own_settings(local_server, tmp_path):
    (tmp_path / "shop.py").write_text(f"""
from fastapi import FastAPI
from pyroscope_otel.asgi import PyroscopeMiddleware
app = FastAPI()
app.add_middleware(
    PyroscopeMiddleware, application_name="shop", server_address={local_server.url!r}
)
""")
    done = doctor(
        "shop:app", cwd=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=local_server.url, NO_COLOR="1"
    )
    assert done.returncode == 0, done.stdout
    assert f"server_address    '{local_server.url}'  (argument server_address)" in done.stdout
    for code in ("app", "app-one-local-root", "server-accepts-push", "end-to-end"):
        assert f"[{code}]" in " ".join(done.stdout.split())
    assert done.stdout.endswith("\nNo problem found.\n")
    assert done.stderr == ""  # Progress is for terminals only.


def test_secrets_are_masked_even_if_a_server_repeats_them(monkeypatch):
    def echo(_method, path, headers, _body):
        return 401, f"{path}: what is {headers.get('Authorization')}?"

    monkeypatch.setenv("PYROSCOPE_AUTH_TOKEN", "t0ken-of-mine")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret-of-mine")
    with serving(echo) as address:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        found = examine(app=None, path="/", server=address, read_from=None, progress=len)
    for write in (as_text, as_json):
        # Without the mask the secrets are there.
        assert "of-mine" in write(found, lambda text: text)
        report = write(found, Mask(found.secrets))
        assert "traces-credentials-refused" in report
        assert "push.v1.PusherService/Push: what is Bearer ***?" in " ".join(report.split())
        assert "of-mine" not in report


class Run(NamedTuple):
    """A run of `doctor --json --server` on a terminal, with an unreachable server."""

    server: str
    status: int
    out: str
    err: str
    found: Examination


@pytest.fixture(scope="module")
def without_server():
    found = []

    def examined(**given):
        found.append(examine(**given))
        return found[-1]

    out, err = io.StringIO(), io.StringIO()
    err.isatty = lambda: True
    with pytest.MonkeyPatch.context() as patch, unused_port() as port:
        clean_environment(patch)
        patch.setattr("pyroscope_otel.tools.doctor.examine", examined)
        server = f"http://127.0.0.1:{port}"
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(["doctor", "--json", "--server", server])
    return Run(server, status, out.getvalue(), err.getvalue(), *found)


def test_exit_status_is_1_with_problems(without_server):
    assert without_server.status == 1
    report = as_text(without_server.found, Mask([]))
    assert "PROBLEM  The Pyroscope server at" in report
    assert report.endswith("\n1 problem found.\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_also_end_the_processes_of_the_command(tmp_path, number):
    (tmp_path / "shop.py").write_text("""
import os, pathlib, time
pathlib.Path("new").write_text(str(os.getpid()))
pathlib.Path("new").rename("pid")
time.sleep(60)
""")
    with subprocess.Popen(
        [COMMAND, "doctor", "shop:app"], cwd=tmp_path, stdout=subprocess.DEVNULL
    ) as command:
        wait_until((tmp_path / "pid").exists)
        loading = int((tmp_path / "pid").read_text())
        command.send_signal(number)
        assert command.wait(30) == 130  # as after Ctrl-C
    with pytest.raises(ProcessLookupError):
        os.kill(loading, 0)


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_misspelt_variable_beside_an_application_is_reported(monkeypatch):
    arguments = {"enabled": False, "application_name": "shop"}
    application = ApplicationCheck([], arguments, dict.fromkeys(arguments, "argument"))
    # Loading an application has its own tests.
    monkeypatch.setattr(
        "pyroscope_otel.tools.doctor.examination.check_application", lambda *_: application
    )
    monkeypatch.setenv("PYROSCOPE_SAMPLE_RAET", "10")
    # The application ignores this variable, so it is not in force.
    monkeypatch.setenv("PYROSCOPE_TENANT_ID", "team")
    found = examine(app="shop:app", path="/", server=None, read_from=None, progress=len)
    assert "PYROSCOPE_SAMPLE_RAET" in the_finding("settings-near-miss", found.findings).summary
    assert found.settings["tenant_id"]["source"] == "default"


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({"PYROSCOPE_ENABLED": "false"}, "settings-disabled"),
        ({"PYROSCOPE_UPLOAD_INTERVAL": "0.5s"}, "settings-refused"),
    ],
)
def test_settings_that_end_the_examination(monkeypatch, capsys, environment, code):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["doctor", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [one["code"] for one in findings] == ["versions-work", code]


def test_span_labels_without_span_id(address, monkeypatch, capsys):
    monkeypatch.setenv("PYROSCOPE_SPAN_LABELS", "span_name")
    assert main(["doctor", "--json", "--server", address]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [one["code"] for one in findings] == [
        "versions-work",
        "settings-no-span-id",
        "server-accepts-push",
        "trace-id-separated",
    ]


def test_sdk_is_switched_off(address, monkeypatch, capsys):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert main(["doctor", "--json", "--server", address]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [one["code"] for one in findings] == [
        "versions-work",
        "sdk-disabled",
        "settings-allowed",
        "server-accepts-push",
        "trace-id-separated",
    ]


def test_progress_goes_to_the_terminal_and_not_to_the_report(without_server):
    assert json.loads(without_server.out)["ok"] is False
    assert without_server.err.splitlines() == [
        "Checking the installed packages ...",
        f"Pushing a profile to {without_server.server} and reading it back ...",
        "Using CPU time in a span and reading its profile back ...",
    ]


def test_json_has_the_documented_form(documented, without_server):
    (example,) = re.findall(r"```json\n(.*?)```", documented, re.DOTALL)
    assert_same_form(json.loads(example), json.loads(without_server.out))


def assert_same_form(example, real):
    """Compare names and types; if the names are data, compare only the values' form."""
    assert type(example) is type(real)
    if isinstance(example, list):
        for one in real:
            assert_same_form(example[0], one)
    elif isinstance(example, dict):
        if set(example) != set(real):
            # The example has only some of the settings and versions.
            assert set(example) < set(real)
            assert {"application_name", "python"} & set(example)
        for name in example:
            assert_same_form(example[name], real[name])


def test_documentation_has_every_finding(documented, pytestconfig):
    package = pytestconfig.rootpath / "pyroscope_otel"
    sources = [
        *(package / "tools" / "doctor").glob("*.py"),
        *(package / "setup" / "findings").glob("*.py"),
    ]
    made = re.compile(r'\b(?:fine|note|problem|make)\)?\(\s*"([a-z-]+)"')
    codes = {code for source in sources for code in made.findall(source.read_text())}
    rows = re.findall(r"^\| `([a-z][a-z-]*)` \|", documented, re.MULTILINE)
    assert sorted(rows) == sorted(codes)
    assert {level.value for level in Level} <= set(re.findall(r"`(\w+)`", documented))


def test_documentation_has_every_option(documented, capsys):
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options <= set(re.findall(r"--[a-z-]+", documented))

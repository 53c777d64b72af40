"""What is installed: each combination that does not work, put on the search path."""

from __future__ import annotations

import sys
import types

import pyroscope
import pytest

from pyroscope_otel.tools.doctor.versions_check import check_versions, versions
from tests.tools.doctor.judging import codes, the


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution's metadata in front of all others."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, version, files=(), requires=()):
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            + "".join(f"Requires-Dist: {one}\n" for one in requires)
        )
        for file in files:  # From CPython 3.12 on, those that are missing are passed over.
            (tmp_path / file).parent.mkdir(parents=True)
            (tmp_path / file).touch()
        (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))

    return install


def test_what_the_tests_run_in_works():
    assert codes(check_versions()) == ["versions-work"]
    installed = versions()
    assert installed["python"].split()[1] == ".".join(map(str, sys.version_info[:3]))
    assert {"pyroscope-otel", "pyroscope-io", "opentelemetry-sdk", "flask"} <= set(installed)


def test_two_installations_of_this_package(install):
    install("pyroscope-otel", "1.1.0")
    finding = the("pyroscope-otel-twice", check_versions())
    assert "is installed 2 times" in finding.summary
    assert "1.1.0 in " in finding.detail


def test_another_package_that_brings_the_same_import_path(install):
    install("pyroscope-otel-fork", "0.4.0", ["pyroscope/otel/__init__.py"])
    finding = the("import-path-claimed", check_versions())
    assert "pyroscope-otel-fork 0.4.0" in finding.summary


@pytest.mark.parametrize("there", ["another version's file", "nothing"])
def test_an_import_path_that_does_not_lead_here(there, tmp_path, monkeypatch):
    if there != "nothing":
        (tmp_path / "otel").mkdir()
        (tmp_path / "otel" / "__init__.py").write_text("class PyroscopeSpanProcessor: pass\n")
    monkeypatch.setattr(pyroscope, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "pyroscope.otel", raising=False)
    finding = the("import-path-broken", check_versions())
    assert finding.detail == ("" if there == "nothing" else str(tmp_path / "otel/__init__.py"))
    # pip would take the newest release without it: that is the other version.
    assert "'pyroscope-otel>=2" in finding.remedy


def test_a_module_of_somebodys_own_in_the_place_of_the_agent(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroscope", types.ModuleType("pyroscope"))
    monkeypatch.delitem(sys.modules, "pyroscope.otel", raising=False)
    assert the("import-path-broken", check_versions()).detail == ""


@pytest.mark.parametrize("version", ["0.8.11", "1.1.0", "1", "dev"])
def test_an_agent_that_is_too_old(install, version):
    install("pyroscope-io", version)
    assert codes(check_versions()) == ["pyroscope-io-too-old!"]


@pytest.mark.parametrize("version", ["1.2.0", "1.10", "2"])
def test_an_agent_that_is_new_enough(install, version):
    install("pyroscope-io", version)
    assert codes(check_versions()) == ["versions-work"]


def test_an_agent_that_is_not_a_package(monkeypatch):
    # As with a file `pyroscope.py` of somebody's in front of all else: there is
    # a module, and no package of this name.
    monkeypatch.setattr(
        "pyroscope_otel.tools.doctor.versions_check._AGENT", "pyroscope-io-of-nobody"
    )
    assert codes(check_versions()) == ["pyroscope-io-missing!"]


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        (
            "opentelemetry-api~=1.2",
            "requires opentelemetry-api~=1.2, but 0.9 is installed",
        ),
        ("nix>=3", "requires nix>=3, which is not installed"),
    ],
)
def test_a_requirement_that_is_not_met(install, requirement, said):
    install("opentelemetry-api", "0.9")
    install("opentelemetry-exporter-x", "1.0", requires=[requirement])
    finding = the("requirements-broken", check_versions())
    assert f"opentelemetry-exporter-x 1.0 {said}" in finding.detail
    assert "versions-work" not in codes(check_versions())


@pytest.mark.parametrize(
    "requirement",
    ["nix; extra == 'more'", "nix; python_version < '3'", "pytest", "!!", "pyroscope-io>=1.2"],
)
def test_a_requirement_that_asks_for_nothing_more(install, requirement):
    install("opentelemetry-exporter-x", "1.0", requires=[requirement])
    assert codes(check_versions()) == ["versions-work"]


def test_requirements_of_others_are_their_own_affair(install):
    install("shop", "1.0", requires=["nix>=3"])
    assert codes(check_versions()) == ["versions-work"]


def test_a_framework_without_its_instrumentation(monkeypatch):
    monkeypatch.setattr("pyroscope_otel.tools.doctor.versions_check._INSTRUMENTED", ("pytest",))
    assert codes(check_versions()) == ["versions-work", "instrumentation-missing"]


def test_a_build_without_the_gil(monkeypatch):
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: int(name == "Py_GIL_DISABLED"))
    assert codes(check_versions()) == ["python-free-threaded!"]


def test_windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert codes(check_versions()) == ["python-on-windows!"]

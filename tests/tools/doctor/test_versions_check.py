"""The check of installed versions: each broken combination, put on the search path."""

from __future__ import annotations

import sys
import types

import pyroscope
import pytest

from pyroscope_otel.tools.doctor.versions_check import check_versions, versions
from tests.tools.doctor.judging import codes, the_finding


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that puts a distribution's metadata first on the search path."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, version, files=(), requires=()):
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            + "".join(f"Requires-Dist: {one}\n" for one in requires)
        )
        for file in files:  # CPython 3.12 and later skip missing files.
            (tmp_path / file).parent.mkdir(parents=True)
            (tmp_path / file).touch()
        (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))

    return install


def test_environment_of_the_tests_works():
    assert codes(check_versions()) == ["versions-work"]
    installed = versions()
    assert installed["python"].split()[1] == ".".join(map(str, sys.version_info[:3]))
    assert {"pyroscope-otel", "pyroscope-io", "opentelemetry-sdk", "flask"} <= set(installed)


def test_package_is_installed_twice(install):
    install("pyroscope-otel", "1.1.0")
    finding = the_finding("pyroscope-otel-twice", check_versions())
    assert "is installed 2 times" in finding.summary
    assert "1.1.0 in " in finding.detail


def test_another_package_with_the_same_import_path(install):
    install("pyroscope-otel-fork", "0.4.0", ["pyroscope/otel/__init__.py"])
    finding = the_finding("import-path-claimed", check_versions())
    assert "pyroscope-otel-fork 0.4.0" in finding.summary


@pytest.mark.parametrize("there", ["another version's file", "nothing"])
def test_import_path_leads_elsewhere(there, tmp_path, monkeypatch):
    if there != "nothing":
        (tmp_path / "otel").mkdir()
        (tmp_path / "otel" / "__init__.py").write_text("class PyroscopeSpanProcessor: pass\n")
    monkeypatch.setattr(pyroscope, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "pyroscope.otel", raising=False)
    finding = the_finding("import-path-broken", check_versions())
    assert finding.detail == ("" if there == "nothing" else str(tmp_path / "otel/__init__.py"))
    # Without the bound, pip would install the other version, as the newest release.
    assert "'pyroscope-otel>=2" in finding.remedy


def test_module_of_the_application_hides_the_agent(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroscope", types.ModuleType("pyroscope"))
    monkeypatch.delitem(sys.modules, "pyroscope.otel", raising=False)
    assert the_finding("import-path-broken", check_versions()).detail == ""


@pytest.mark.parametrize("version", ["0.8.11", "1.1.0", "1", "dev"])
def test_agent_is_too_old(install, version):
    install("pyroscope-io", version)
    assert codes(check_versions()) == ["pyroscope-io-too-old!"]


@pytest.mark.parametrize("version", ["1.2.0", "1.10", "2"])
def test_agent_is_new_enough(install, version):
    install("pyroscope-io", version)
    assert codes(check_versions()) == ["versions-work"]


def test_agent_is_not_installed(monkeypatch):
    # As with an application's own `pyroscope.py`: the module exists, the package does not.
    monkeypatch.setattr("pyroscope_otel.tools.doctor.versions_check._AGENT", "pyroscope-io-missing")
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
def test_unmet_requirement(install, requirement, said):
    install("opentelemetry-api", "0.9")
    install("opentelemetry-exporter-x", "1.0", requires=[requirement])
    finding = the_finding("requirements-broken", check_versions())
    assert f"opentelemetry-exporter-x 1.0 {said}" in finding.detail
    assert "versions-work" not in codes(check_versions())


@pytest.mark.parametrize(
    "requirement",
    ["nix; extra == 'more'", "nix; python_version < '3'", "pytest", "!!", "pyroscope-io>=1.2"],
)
def test_met_or_irrelevant_requirement(install, requirement):
    install("opentelemetry-exporter-x", "1.0", requires=[requirement])
    assert codes(check_versions()) == ["versions-work"]


def test_requirements_of_other_packages_are_ignored(install):
    install("shop", "1.0", requires=["nix>=3"])
    assert codes(check_versions()) == ["versions-work"]


def test_framework_without_its_instrumentation(monkeypatch):
    monkeypatch.setattr("pyroscope_otel.tools.doctor.versions_check._INSTRUMENTED", ("pytest",))
    assert codes(check_versions()) == ["versions-work", "instrumentation-missing"]


def test_build_without_the_gil(monkeypatch):
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: int(name == "Py_GIL_DISABLED"))
    assert codes(check_versions()) == ["python-free-threaded!"]


def test_windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert codes(check_versions()) == ["python-on-windows!"]

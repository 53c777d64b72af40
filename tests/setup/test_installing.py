"""Errors name a command that installs everything an extra brings."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest

from pyroscope_otel.setup.installing import pip_install

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture(scope="module")
def extras(pytestconfig):
    metadata = tomllib.loads((pytestconfig.rootpath / "pyproject.toml").read_text())
    return metadata["project"]["optional-dependencies"]


def test_command_names_the_packages_of_an_extra(extras):
    """Not the extra: the index may have another version of this package."""
    for extra, packages in extras.items():
        words = pip_install(extra).split(" ")
        assert words[:2] == ["pip", "install"]
        assert sorted(words[2:]) == sorted(f"'{package}'" for package in packages), extra


def test_command_in_a_checkout_that_is_not_installed(monkeypatch):
    def missing(_name):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert pip_install("django") == "pip install '.[django]'"


def test_no_page_or_message_installs_a_version_that_the_index_lacks(pytestconfig):
    """Until version 2 is released: then the lines may say `pyroscope-otel[...]` again."""
    root = pytestconfig.rootpath
    packages = ("pyroscope_otel", "pyroscope_otel_django", "pyroscope_otel_flask")
    files = [
        *(root / "docs").glob("*.md"),
        *(root / "example_apps").rglob("*.md"),
        root / "README.md",
        *(file for one in packages for file in (root / one).rglob("*.py")),
        *(root / "pyroscope_otel" / "tools" / "serve" / "page").glob("*.js"),
    ]
    assert len(files) > 100
    naming = [str(file) for file in files if "install 'pyroscope-otel[" in file.read_text()]
    assert naming == []

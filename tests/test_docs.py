"""What the documents claim, held against the code."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from pyroscope_otel.setting_table import settings_table_markdown


@pytest.fixture(scope="module")
def root(pytestconfig):
    return pytestconfig.rootpath


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text()


@pytest.fixture(scope="module")
def metadata(root):
    return tomllib.loads((root / "pyproject.toml").read_text())


def test_the_readmes_settings_are_the_tables(readme):
    assert settings_table_markdown().strip() in readme


def test_the_readmes_extras_exist(readme, metadata):
    named = set(re.findall(r"pip install '\.\[(\w+)\]'", readme))
    assert named
    assert named <= set(metadata["project"]["optional-dependencies"])


def test_the_readmes_commands_are_the_makefiles(readme, root):
    named = set(re.findall(r"^make (\w+)$|`make (\w+)`", readme, re.MULTILINE))
    targets = {target for pair in named for target in pair if target}
    assert {"demo", "test"} <= targets
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=root, check=True, capture_output=True)


def test_the_readmes_oldest_python_is_the_metadatas(readme, metadata):
    (oldest,) = re.findall(r"CPython (3\.\d+) or later", readme)
    assert metadata["project"]["requires-python"] == f">={oldest}"


def test_every_link_within_the_repository_leads_somewhere(root):
    pages = [root / "README.md", *(root / "docs").glob("*.md")]
    links = [
        (page, target.partition("#")[0])
        for page in pages
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text())
        if not target.startswith(("http:", "https:", "#"))
    ]
    assert links
    for page, target in links:
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_hook_of_the_documentation_is_a_module(root):
    page = (root / "docs" / "how-it-works.md").read_text()
    named = set(re.findall(r"`(\w+\.py)`", page))
    modules = {module.name for module in (root / "pyroscope_otel" / "following").glob("*.py")}
    assert named == modules - {
        "__init__.py",
        "arrival.py",
        "hook.py",
        "switch.py",
        "twisted_reactor.py",
    }


def test_each_case_has_its_tests_where_the_list_says(root):
    rows = re.findall(
        r"^\| (\d+) \|.*\| ([^|]+) \|$", (root / "docs" / "cases.md").read_text(), re.MULTILINE
    )
    assert [int(number) for number, _ in rows] == list(range(1, 52))
    for number, places in rows:
        named = re.findall(r"`([\w/]+\.py)`", places)
        assert named, number
        for name in named:
            text = (root / "tests" / name).read_text()
            assert re.search(rf"scenarios? (\d+(,| and|, and) )*{number}\b", text, re.IGNORECASE), (
                f"{name} has no test of scenario {number}"
            )


@pytest.mark.parametrize(
    "module",
    ["pyroscope_otel", "pyroscope_otel.asgi", "pyroscope_otel.wsgi", "pyroscope_otel.receiver"],
)
def test_all_public_names_exist(module):
    imported = importlib.import_module(module)
    assert imported.__all__
    for name in imported.__all__:
        assert getattr(imported, name).__doc__, name

"""Checks the pages against the code."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys

import pytest
import yaml

from tests.support.pages import ROOT, blocks, tables

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from pyroscope_otel.setup.setting_table import BY_NAME, TABLE, settings_table_markdown
from pyroscope_otel.setup.settings import SettingsError, read_settings

CASES = ROOT / "tests" / "CASES.md"
"""The list of cases, for contributors."""

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "example_apps").glob("**/*.md"),
        CASES,
    ]
)

each_page = pytest.mark.parametrize(
    "page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES]
)


@pytest.fixture(scope="module")
def root(pytestconfig):
    return pytestconfig.rootpath


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text()


@pytest.fixture(scope="module")
def metadata(root):
    return tomllib.loads((root / "pyproject.toml").read_text())


def test_settings_table_is_on_one_page_only():
    head = settings_table_markdown().splitlines()[0]
    assert [page.name for page in PAGES if head in page.read_text()] == ["settings.md"]


def test_extras_in_the_readme_exist(readme, metadata):
    named = set(re.findall(r"pip install '\.\[(\w+)\]'", readme))
    assert named
    assert named <= set(metadata["project"]["optional-dependencies"])


def test_make_commands_in_the_readme_exist(readme, root):
    named = set(re.findall(r"^make (\w+)$|`make (\w+)`", readme, re.MULTILINE))
    targets = {target for pair in named for target in pair if target}
    assert {"demo", "test"} <= targets
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=root, check=True, capture_output=True)


def test_readme_and_metadata_name_the_same_oldest_python(readme, metadata):
    (oldest,) = re.findall(r"CPython (3\.\d+) or later", readme)
    assert metadata["project"]["requires-python"] == f">={oldest}"


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page):
    """Return the targets of a page's links within the repository."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return [
        target
        for target in re.findall(r"\]\(([^)]+)\)", text)
        if not target.startswith(("http:", "https:"))
    ]


@each_page
def test_every_internal_link_has_a_target(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


def test_index_links_to_every_page():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in links(index)}
    assert linked == {*PAGES} - {*ROOT.glob("*.md"), index, CASES}


@each_page
def test_every_python_block_compiles(page):
    for code in blocks(page, "python"):
        compile(code, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@each_page
def test_imports_from_the_package_in_python_blocks_exist(page):
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pyroscope_otel"):
                module = importlib.import_module(str(node.module))
                missing = [name.name for name in node.names if not hasattr(module, name.name)]
                assert missing == [], node.module


@each_page
def test_every_yaml_block_parses(page):
    for text in blocks(page, "yaml"):
        assert yaml.safe_load(text)


@each_page
def test_every_pyroscope_variable_exists(page):
    known = {name for row in TABLE for name in row.environment}
    if page.name == "flask.md":  # also names in app.config
        known |= {f"PYROSCOPE_{row.name.upper()}" for row in TABLE}
    assert set(re.findall(r"\bPYROSCOPE_[A-Z_]+\b", page.read_text())) <= known


@each_page
def test_every_extra_exists(page, metadata):
    named = {
        extra
        for extras in re.findall(
            r"'(?:\.|\./package|pyroscope-otel)\[([\w,]+)\]'", page.read_text()
        )
        for extra in extras.split(",")
    }
    assert named <= set(metadata["project"]["optional-dependencies"])


def test_each_numbered_case_has_tests_in_the_listed_files(root):
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", CASES.read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 52))
    for number, places in rows:
        named = re.findall(r"`([\w/]+\.py)`", places)
        assert named, number
        for name in named:
            text = (root / "tests" / name).read_text()
            assert re.search(rf"scenarios? (\d+(,| and|, and) )*{number}\b", text, re.IGNORECASE), (
                f"{name} has no test of scenario {number}"
            )


def test_each_unnumbered_case_has_tests_in_the_listed_files(root):
    _, text = CASES.read_text().split("## Without a number")
    rows = [cells for cells in tables(text) if cells[0] != "Case"]
    assert rows
    for case, _, places in rows:
        named = re.findall(r"`([\w/]+\.py)`", places)
        assert named, case
        for name in named:
            assert "def test_" in (root / "tests" / name).read_text(), (case, name)


@pytest.mark.parametrize(
    "module",
    [
        "pyroscope_otel",
        "pyroscope_otel.asgi",
        "pyroscope_otel.tools.serve",
        "pyroscope_otel.tools.receiver",
        "pyroscope_otel.relay",
        "pyroscope_otel.wsgi",
        "pyroscope_otel_django.asgi",
        "pyroscope_otel_flask",
    ],
)
def test_all_public_names_exist_and_have_docstrings(module):
    imported = importlib.import_module(module)
    assert imported.__all__
    for name in imported.__all__:
        assert getattr(imported, name).__doc__, name


def test_pages_install_a_command_before_they_use_it():
    packages = {"gunicorn": "gunicorn", "uvicorn": "uvicorn", "django-admin": "django"}
    checked = set()
    for page in PAGES:
        typed = "\n".join(blocks(page, "sh"))
        # Only pages that start from an empty environment.
        installed = re.match(r"pip install '\.\[.*", typed)
        for command, package in packages.items():
            found = re.search(rf"^{command} ", typed, re.MULTILINE)
            if installed is None or found is None:
                continue
            checked.add(command)
            assert package in installed[0].split(), (page.name, command)
    assert checked == set(packages)


def test_settings_page_has_the_generated_table():
    assert settings_table_markdown() in (ROOT / "docs" / "settings.md").read_text()


def test_arguments_and_variables_on_the_settings_page_agree():
    page = ROOT / "docs" / "settings.md"
    (call,) = re.findall(r"configure\((.*)\)", blocks(page, "python")[0])
    arguments = {
        word.arg: ast.literal_eval(word.value)
        for word in ast.parse(f"f({call})").body[0].value.keywords
    }
    environ = dict(
        line.removeprefix("export ").split("=", 1) for line in blocks(page, "sh")[0].splitlines()
    )
    assert len(arguments) == len(environ) == 3
    assert read_settings(arguments, environ={}) == read_settings({}, environ=environ)


def test_errors_on_the_settings_page_are_raised():
    address, misspelt = blocks(ROOT / "docs" / "settings.md", "text")[0].splitlines()
    with pytest.raises(SettingsError, match=f"^{re.escape(address)}$"):
        read_settings({}, environ={"PYROSCOPE_SERVER_ADDRESS": "localhost:4040"})
    with pytest.raises(SettingsError, match=f"^{re.escape(misspelt)}$"):
        read_settings({"applicaton_name": "shop"}, environ={})


def test_defaults_in_the_pages_match_the_table():
    """10 s between uploads, 10 ms between samples, no trace_id."""
    assert BY_NAME["upload_interval"].default == 10
    assert BY_NAME["sample_rate"].default == 100
    assert "trace_id" not in BY_NAME["span_labels"].default


def test_grafana_page_shows_the_provisioned_link():
    shown, memory = blocks(ROOT / "docs" / "grafana.md", "yaml")
    file = ROOT / "example_apps" / "observability" / "grafana" / "datasources.yaml"
    links = [
        source["jsonData"]["tracesToProfiles"]
        for source in yaml.safe_load(file.read_text())["datasources"]
        if "jsonData" in source
    ]
    link = yaml.safe_load(shown)["tracesToProfiles"]
    assert links == [link]
    of_memory = {"profileTypeId": "memory:alloc_space:bytes:space:bytes"}
    assert yaml.safe_load(memory)["tracesToProfiles"] == link | of_memory


def test_listed_commands_match_the_docstrings_of_the_examples():
    rows = tables((ROOT / "example_apps" / "README.md").read_text())
    listed = {
        re.findall(r"\]\((\w+\.py|\w+/manage\.py)\)", cells[0])[0]: cells[1].strip("`")
        for cells in rows
        if len(cells) == 3 and cells[1].startswith("`")
    }
    named = {}
    for file in (ROOT / "example_apps").rglob("*.py"):
        docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
        for command in re.findall(r"Start it with\s+`([^`]+)`", docstring):
            named[str(file.relative_to(ROOT / "example_apps"))] = command
    assert listed == named


def test_every_finding_on_the_troubleshooting_page_exists():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    cells = [cells[3] for cells in tables(page) if len(cells) > 3]
    named = {code for cell in cells for code in re.findall(r"`([a-z-]+)`", cell)}
    assert len(named) > 20
    package = ROOT / "pyroscope_otel"
    sources = [
        *(package / "tools" / "doctor").rglob("*.py"),
        *(package / "setup" / "findings").glob("*.py"),
    ]
    text = "\n".join(source.read_text() for source in sources)
    assert {code for code in named if f'"{code}"' not in text} == set()

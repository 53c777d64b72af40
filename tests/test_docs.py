"""What the documents claim, held against the code."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import child
import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from pyroscope_otel import following, marks, sampler
from pyroscope_otel.marks import Mark
from pyroscope_otel.relay.buffer import MAX_AGE_SECONDS
from pyroscope_otel.relay.retrying import pause_seconds, retry_after_seconds
from pyroscope_otel.setting_table import BY_NAME, TABLE, settings_table_markdown
from pyroscope_otel.settings import SettingsError, read_settings
from pyroscope_otel.uploads import OTHER_NAMES

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "example_apps").glob("**/*.md")]
)

each_page = pytest.mark.parametrize(
    "page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES]
)


def blocks(page, language):
    """Return the code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def tables(text):
    """Return the rows of all tables, as lists of cells."""
    return [
        [cell.strip() for cell in row.strip("|").split(" | ")]
        for row in re.findall(r"^\|.*\|$", text, re.MULTILINE)
        if not set(row) <= set("|- ")
    ]


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
def test_every_link_within_the_repository_leads_somewhere(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


def test_the_index_has_every_page():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in links(index)}
    assert linked == {*PAGES} - {*ROOT.glob("*.md"), index}


@each_page
def test_every_python_block_compiles(page):
    for code in blocks(page, "python"):
        compile(code, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@each_page
def test_what_python_blocks_import_of_ours_exists(page):
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pyroscope_otel"):
                module = importlib.import_module(str(node.module))
                missing = [name.name for name in node.names if not hasattr(module, name.name)]
                assert missing == [], node.module


@each_page
def test_every_yaml_block_is_yaml(page):
    for text in blocks(page, "yaml"):
        assert yaml.safe_load(text)


@each_page
def test_every_environment_variable_of_ours_exists(page):
    known = {name for row in TABLE for name in row.environment}
    if page.name == "flask.md":  # there they are names in app.config as well
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
    [
        "pyroscope_otel",
        "pyroscope_otel.asgi",
        "pyroscope_otel.local",
        "pyroscope_otel.receiver",
        "pyroscope_otel.wsgi",
        "pyroscope_otel_django.asgi",
        "pyroscope_otel_flask",
    ],
)
def test_all_public_names_exist(module):
    imported = importlib.import_module(module)
    assert imported.__all__
    for name in imported.__all__:
        assert getattr(imported, name).__doc__, name


def hook_rows():
    """Return the table of hooks: by class, the module that is named and what it replaces."""
    rows = {}
    for cells in tables((ROOT / "docs" / "how-it-works.md").read_text()):
        named = re.fullmatch(r"`(\w+)` in `(\w+)\.py`", cells[0])
        if named:
            *_, replaced = cells
            rows[named[1]] = named[2], replaced
    return rows


def test_every_hook_is_documented_with_its_module():
    documented = {hook: module for hook, (module, _) in hook_rows().items()}
    assert documented == {
        type(hook).__name__: type(hook).__module__.rpartition(".")[2] for hook in following.HOOKS
    }


def test_every_attribute_that_a_hook_replaces_is_documented():
    of_some_pythons = {"create_task"}
    for hook in following.HOOKS:
        importlib.import_module(hook.module)
    following.install()
    rows = hook_rows()
    for hook in following.HOOKS:
        _, said = rows[type(hook).__name__]
        names = set(re.findall(r"`[\w.]*?(\w+)`", said))
        replaced = {patch._name for patch in hook._patches}
        # Beside the attributes there are the names of their owners, with a module in front.
        owners = {owner.rpartition(".")[2] for owner in re.findall(r"of `([\w.]+)`", said)}
        assert replaced <= names, type(hook).__name__
        assert names - replaced - owners <= of_some_pythons, type(hook).__name__


def test_the_limits_that_the_page_names_are_the_codes():
    """The figures of numbers, buffer, pauses, frames and samplers."""
    page = (ROOT / "docs" / "how-it-works.md").read_text()
    assert f"below {marks.NUMBERS:,}" in page
    assert f"`upload_buffer` ({BY_NAME['upload_buffer'].default // 2**20} MiB) and an hour" in page
    assert MAX_AGE_SECONDS == 3600
    pauses = [pause_seconds(failures) for failures in range(200)]
    assert "Tries are 1 to 30 s apart" in page
    assert 1 <= min(pauses) <= max(pauses) <= 30
    assert f"`Retry-After` is obeyed up to {retry_after_seconds('9999'):.0f} s" in page
    assert f"`max_span_names` ({BY_NAME['max_span_names'].default})" in page
    assert f"`{OTHER_NAMES}`" in page
    assert f"| all | {sampler.MAX_FRAMES};" in page
    assert f"`mem_max_nframe` frames ({BY_NAME['mem_max_nframe'].default})" in page
    assert (
        f"`mem_heap_sample_size` bytes ({BY_NAME['mem_heap_sample_size'].default // 1024} KiB)"
        in page
    )
    assert f"`{marks.FILENAME}`" in page
    assert Mark(3).run.__code__.co_name in page


def test_the_hooks_are_switched_off_as_documented():
    off, one_off = [
        code for code in blocks(ROOT / "docs" / "how-it-works.md", "python") if "following" in code
    ]
    lines = child.run(
        f"""
import asyncio, greenlet
from pyroscope import _native
def in_place():
    return vars(asyncio.Handle)["_run"], _native.initialize_agent, _native.drop_agent
before = in_place()
from pyroscope_otel import PyroscopeSpanProcessor, following
def active():
    return sorted(type(hook).__name__ for hook in following.HOOKS if hook.active)
PyroscopeSpanProcessor()
print(*active())
{one_off}
print(*active())
PyroscopeSpanProcessor()
print(*active())
{off}
print(*active(), in_place() == before)
"""
    )
    everything, but_one, again, nothing = lines
    assert set(everything.split()) - set(but_one.split()) == {"Greenlets"}
    assert again == everything
    assert nothing == "True"


def test_a_command_is_installed_before_it_is_typed():
    packages = {"gunicorn": "gunicorn", "uvicorn": "uvicorn", "django-admin": "django"}
    checked = set()
    for page in PAGES:
        typed = "\n".join(blocks(page, "sh"))
        # Pages that begin with nothing installed.
        installed = re.match(r"pip install '\.\[.*", typed)
        for command, package in packages.items():
            found = re.search(rf"^{command} ", typed, re.MULTILINE)
            if installed is None or found is None:
                continue
            checked.add(command)
            assert package in installed[0].split(), (page.name, command)
    assert checked == set(packages)


def test_the_page_of_settings_has_the_table():
    assert settings_table_markdown() in (ROOT / "docs" / "settings.md").read_text()


def test_the_two_ways_to_say_settings_are_the_same():
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


def test_the_errors_on_the_page_of_settings_are_raised():
    address, misspelt = blocks(ROOT / "docs" / "settings.md", "text")[0].splitlines()
    with pytest.raises(SettingsError, match=f"^{re.escape(address)}$"):
        read_settings({}, environ={"PYROSCOPE_SERVER_ADDRESS": "localhost:4040"})
    with pytest.raises(SettingsError, match=f"^{re.escape(misspelt)}$"):
        read_settings({"applicaton_name": "shop"}, environ={})


def test_the_defaults_that_pages_name_are_the_tables():
    """10 s between uploads, 10 ms between samples, no trace_id."""
    assert BY_NAME["upload_interval"].default == 10
    assert BY_NAME["sample_rate"].default == 100
    assert "trace_id" not in BY_NAME["span_labels"].default


def test_the_provisioned_link_on_the_page_of_grafana_is_the_files():
    (shown,) = blocks(ROOT / "docs" / "grafana.md", "yaml")
    file = ROOT / "example_apps" / "observability" / "grafana" / "datasources.yaml"
    links = [
        source["jsonData"]["tracesToProfiles"]
        for source in yaml.safe_load(file.read_text())["datasources"]
        if "jsonData" in source
    ]
    assert links == [yaml.safe_load(shown)["tracesToProfiles"]]


def test_the_examples_are_started_as_their_list_says():
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


def test_every_finding_of_the_doctor_that_is_named_exists():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    cells = [cells[3] for cells in tables(page) if len(cells) > 3]
    named = {code for cell in cells for code in re.findall(r"`([a-z-]+)`", cell)}
    assert len(named) > 20
    package = ROOT / "pyroscope_otel"
    sources = [*(package / "doctor").rglob("*.py"), *(package / "findings").glob("*.py")]
    text = "\n".join(source.read_text() for source in sources)
    assert {code for code in named if f'"{code}"' not in text} == set()

"""Checks hooks, limits and log lines in the pages against the code."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re

import pytest

from pyroscope_otel import following
from pyroscope_otel.link import marks
from pyroscope_otel.link.marks import Mark
from pyroscope_otel.relay.buffer import MAX_AGE_SECONDS
from pyroscope_otel.relay.relay import RelayState
from pyroscope_otel.relay.retrying import pause_seconds, retry_after_seconds
from pyroscope_otel.setup import sampler
from pyroscope_otel.setup.setting_table import BY_NAME
from pyroscope_otel.setup.uploads import OTHER_NAMES
from tests.support import child
from tests.support.pages import ROOT, blocks, tables


def hook_rows():
    """Return each documented hook's module and replaced attributes, by class."""
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
        hook.name: type(hook).__module__.rpartition(".")[2] for hook in following.HOOKS
    }


def test_every_attribute_that_a_hook_replaces_is_documented():
    of_some_pythons = {"create_task"}
    for hook in following.HOOKS:
        importlib.import_module(hook.module)
    following.install()
    rows = hook_rows()
    for hook in following.HOOKS:
        _, said = rows[hook.name]
        names = set(re.findall(r"`[\w.]*?(\w+)`", said))
        replaced = {patch._name for patch in hook._patches}
        # The row also names the owners of the attributes, with their module.
        owners = {owner.rpartition(".")[2] for owner in re.findall(r"of `([\w.]+)`", said)}
        assert replaced <= names, hook.name
        assert names - replaced - owners <= of_some_pythons, hook.name


def test_documented_limits_match_the_code():
    """Numbers, buffer, pauses between retries, frames and samplers."""
    page = " ".join((ROOT / "docs" / "how-it-works.md").read_text().split())
    assert f"below {marks.NUMBERS:,}" in page
    assert f"`upload_buffer` ({BY_NAME['upload_buffer'].default // 2**20} MiB) and an hour" in page
    assert MAX_AGE_SECONDS == 3600
    pauses = [pause_seconds(failures) for failures in range(200)]
    assert "It tries again after 1 to 30 s" in page
    assert 1 <= min(pauses) <= max(pauses) <= 30
    assert f"obeys `Retry-After` up to {retry_after_seconds('9999'):.0f} s" in page
    assert f"`max_span_names` ({BY_NAME['max_span_names'].default})" in page
    assert f"`{OTHER_NAMES}`" in page
    assert f"| all | {sampler.MAX_FRAMES};" in page
    assert f"`mem_max_nframe` frames ({BY_NAME['mem_max_nframe'].default})" in page
    assert (
        f"`mem_heap_sample_size` bytes ({BY_NAME['mem_heap_sample_size'].default // 1024} KiB)"
        in page
    )
    seen = (ROOT / "docs" / "limits.md").read_text()
    assert f"`{marks.FILENAME}`" in seen
    assert f"`{Mark(3).run.__code__.co_name}`" in seen


def test_documented_ways_to_switch_hooks_off_work():
    off, one_off = [
        code for code in blocks(ROOT / "docs" / "limits.md", "python") if "following" in code
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
    return sorted(hook.name for hook in following.HOOKS if hook.active)
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


def our_texts():
    """Return every string literal of link, relay, setup and the findings."""
    package = ROOT / "pyroscope_otel"
    return "\n".join(
        node.value
        for folder in ("link", "relay", "setup", "setup/findings")
        for source in (package / folder).glob("*.py")
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@pytest.mark.parametrize(
    "said",
    [
        "Cannot send profiles to ",
        "They are kept ",
        "takes profiles again after ",
        "Nothing was lost",
        " pushes were lost",
        "it answers ",
        "its certificate is not trusted: ",
        "Profiles are lost: ",
        "did not take before the end: ",
        "The relay did not start (",
        "requests and jobs began between two uploads",
        "Root spans of this process have more than ",
        "Requests are told apart by thread labels, ",
    ],
)
def test_log_lines_on_the_troubleshooting_page_exist(said):
    assert said in (ROOT / "docs" / "troubleshooting.md").read_text()
    assert said in our_texts()


def test_troubleshooting_page_has_every_field_of_the_relay_state():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    shown = {"taken", "sent", "waiting", "dropped", "untranslated", "last_answer"}
    assert shown <= {field.name for field in dataclasses.fields(RelayState)}
    assert all(f"`{name}`" in page for name in shown)


def test_paths_in_the_tree_of_contributing_exist():
    """A name that ends with a slash is a folder."""
    (tree, *_) = blocks(ROOT / "CONTRIBUTING.md", "text")
    folders = [""]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        column = re.split(r"   +", line.strip())[0]
        for name in re.findall(r"[\w./]+(?:\.py|/)(?=[, ]|$)", column):
            here = "".join(folders[: depth + 1]) + name
            assert (ROOT / here).is_dir() if name.endswith("/") else (ROOT / here).is_file(), here
            folders[depth + 1 :] = [name]


def test_tree_of_contributing_has_every_package():
    (tree, *_) = blocks(ROOT / "CONTRIBUTING.md", "text")
    packages = {path.parent.name for path in (ROOT / "pyroscope_otel").glob("*/__init__.py")}
    assert {name for name in packages if f"{name}/" not in tree} == set()

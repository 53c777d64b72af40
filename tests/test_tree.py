"""The rooms of the tree: what is in one imports what stands below it."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter

import pytest

from tests.support.pages import ROOT

# From the ground up. Rooms of one floor do not import each other.
FLOORS = (
    {"pprof"},
    {"link"},
    {"following", "relay"},
    {"setup"},
    {"", "asgi", "wsgi", "zero_code"},
    {"tools"},
    {"__main__"},
)


def modules():
    """Return the path of each module of the package."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "pyroscope_otel").rglob("*.py")
    }


def is_for_types_alone(node):
    return isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING"


def imported(path, known, *, at_import=False):
    """Return the modules of ours that one imports, also inside of functions and for types.

    Args:
        path: The module's path.
        known: All modules.
        at_import: Leave those two out.
    """
    found, waiting = set(), [ast.parse(path.read_text())]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if at_import and (is_for_types_alone(node) or isinstance(node, ast.FunctionDef)):
                continue
            waiting.append(node)
            if isinstance(node, ast.ImportFrom):
                found |= {
                    name if (name := f"{node.module}.{one.name}") in known else node.module
                    for one in node.names
                }
            elif isinstance(node, ast.Import):
                found |= {one.name for one in node.names}
    return found & set(known)


def room(module):
    return module.removeprefix("pyroscope_otel").removeprefix(".").partition(".")[0]


def floor(module):
    (number,) = (number for number, rooms in enumerate(FLOORS) if room(module) in rooms)
    return number


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module):
    known = modules()
    others = {one for one in imported(known[module], known) if room(one) != room(module)}
    floors = {one: floor(one) for one in others}
    assert {one for one, number in floors.items() if number >= floor(module)} == set()


def test_no_module_imports_itself_by_way_of_others():
    known = modules()
    graph = {module: imported(path, known, at_import=True) for module, path in known.items()}
    assert len([*TopologicalSorter(graph).static_order()]) == len(known)

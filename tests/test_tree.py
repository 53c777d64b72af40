"""Checks that imports between the packages point down."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter

import pytest

from tests.support.pages import ROOT

# From the bottom up. Packages of one layer do not import each other.
LAYERS = (
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


def is_type_checking_block(node):
    return isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING"


def imported(path, known, *, at_import=False):
    """Return the modules of this project that a module imports.

    Args:
        path: The module's path.
        known: All modules.
        at_import: Leave out imports inside functions and for type checkers.
    """
    found, waiting = set(), [ast.parse(path.read_text())]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if at_import and (is_type_checking_block(node) or isinstance(node, ast.FunctionDef)):
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


def package_of(module):
    return module.removeprefix("pyroscope_otel").removeprefix(".").partition(".")[0]


def layer(module):
    (number,) = (number for number, packages in enumerate(LAYERS) if package_of(module) in packages)
    return number


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module):
    known = modules()
    others = {
        one for one in imported(known[module], known) if package_of(one) != package_of(module)
    }
    layers = {one: layer(one) for one in others}
    assert {one for one, number in layers.items() if number >= layer(module)} == set()


def test_no_import_cycles():
    known = modules()
    graph = {module: imported(path, known, at_import=True) for module, path in known.items()}
    assert len([*TopologicalSorter(graph).static_order()]) == len(known)

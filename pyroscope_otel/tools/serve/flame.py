"""Merges stacks into flame graphs and differences of flame graphs, and writes them as JSON.

A function is identified by its name and file. A node has the line on which most of its time
was spent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyroscope_otel.tools.serve.code_origin import is_own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ("Node", "difference_json", "flame_json", "grow")

Frames = list[tuple[str, str, int]]
"""A stack, root first: function, file and line."""


@dataclass(slots=True)
class Node:
    """A function as called from its parents, with the values of each side.

    A difference has two sides in one tree. A flame graph uses only the left one.
    """

    name: str
    file: str
    self_value: list[float] = field(default_factory=lambda: [0, 0])
    total: list[float] = field(default_factory=lambda: [0, 0])
    lines: dict[int, float] = field(default_factory=dict)
    children: dict[tuple[str, str], Node] = field(default_factory=dict)

    @property
    def line(self) -> int:
        """The line on which most of the time was spent, or 0 if unknown."""
        if len(self.lines) == 1:
            return next(iter(self.lines))
        return max(self.lines, key=lambda line: (self.lines[line], -line), default=0)


def grow(*sides: Iterable[tuple[Frames, float]]) -> Node:
    """Merge the stacks (root first) of one or two sides, with their values, into a tree."""
    root = Node("", "")
    for side, stacks in enumerate(sides):
        for frames, value in stacks:
            node = root
            node.total[side] += value
            for name, file, line in frames:
                child = node.children.get((name, file))
                if child is None:
                    child = node.children[name, file] = Node(name, file)
                child.total[side] += value
                child.lines[line] = child.lines.get(line, 0) + value
                node = child
            node.self_value[side] += value
    return root


def flame_json(head: dict[str, Any], root: Node, unit: str) -> str:
    """Return the flame graph as JSON: the fields of `head`, and the tree as `root`.

    Args:
        head: The fields before the tree.
        root: The tree.
        unit: The suffix of the fields with values: `ns`, `bytes` or `objects`.
    """

    def numbers(node: Node) -> str:
        own, total = node.self_value[0], node.total[0]
        return f'"self_{unit}": {round(own)}, "total_{unit}": {round(total)}'

    return _with_tree(head, root, numbers)


def difference_json(head: dict[str, Any], root: Node, unit: str) -> str:
    """Return the difference as JSON; see `flame_json`."""

    def numbers(node: Node) -> str:
        (left_self, right_self), (left, right) = node.self_value, node.total
        return (
            f'"self_{unit}": {round(left_self + right_self)}, '
            f'"total_{unit}": {round(left + right)}, '
            f'"left_{unit}": {round(left)}, "right_{unit}": {round(right)}, '
            f'"left_self_{unit}": {round(left_self)}, "right_self_{unit}": {round(right_self)}'
        )

    return _with_tree(head, root, numbers)


def _with_tree(head: dict[str, Any], root: Node, numbers: Callable[[Node], str]) -> str:
    pieces = [json.dumps({**head, "root": None}).removesuffix("null}")]
    # Not json.dumps, which recurses: a stack may be too deep for it.
    levels = [iter([root])]
    while levels:
        node = next(levels[-1], None)
        if node is None:
            levels.pop()
            pieces.append("]}" if levels else "}")
            continue
        comma = "" if pieces[-1].endswith(("[", ": ")) else ", "
        own = "true" if is_own(node.file) else "false"
        pieces.append(
            f'{comma}{{"name": {_quoted(node.name)}, "file": {_quoted(node.file)}, '
            f'"line": {node.line}, "own": {own}, {numbers(node)}, "children": ['
        )
        levels.append(iter(sorted(node.children.values(), key=_by_name)))
    return "".join(pieces)


_quoted = json.encoder.encode_basestring_ascii


def _by_name(node: Node) -> tuple[str, str]:
    return node.name, node.file

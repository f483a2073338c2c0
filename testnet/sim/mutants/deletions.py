"""A module's source with something deleted: each line by itself, and each statement as a whole. Pure.

Left out is what decides nothing at run time: blank lines, comments and docstrings. Imports are left out too: one that
no test misses stands in annotations only, and ruff reports the undefined name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_LEFT_OUT = (ast.Import, ast.ImportFrom, ast.Pass, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
"""Of definitions each line is deleted by itself."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """The source without some lines."""

    first: int
    """The first line that is gone, counted from 1."""
    last: int
    text: str
    """What the first of them said."""
    source: str


def deletions(source: str) -> Iterator[Deletion]:
    """Yield every deletion that leaves a module which Python accepts and which is another one."""
    lines = source.splitlines(keepends=True)
    tree = ast.parse(source)
    seen = {ast.dump(tree)}
    left_out = set(_lines_left_out(tree))
    places = [(number, number) for number in range(1, len(lines) + 1) if number not in left_out]
    for first, last in sorted({*places, *_statements(tree)}):
        text = lines[first - 1].strip()
        indent = lines[first - 1][: len(lines[first - 1]) - len(lines[first - 1].lstrip())]
        for filler in ("", f"{indent}pass\n"):  # Where a block would be empty only the second one is Python.
            changed = "".join([*lines[: first - 1], filler, *lines[last:]])
            try:
                dump = ast.dump(ast.parse(changed))
            except SyntaxError:
                continue
            if dump not in seen:
                seen.add(dump)
                yield Deletion(first, last, text, changed)
            break


def _statements(tree: ast.Module) -> Iterator[tuple[int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not isinstance(node, _LEFT_OUT) and not _is_text(node):
            assert node.end_lineno is not None
            yield node.lineno, node.end_lineno


def _lines_left_out(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and (isinstance(node, ast.Import | ast.ImportFrom) or _is_text(node)):
            assert node.end_lineno is not None
            yield from range(node.lineno, node.end_lineno + 1)


def _is_text(node: ast.stmt) -> bool:
    """Tell whether a statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

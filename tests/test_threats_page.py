"""`docs/THREATS.md` says nothing that the code does not: its tests exist, its limits exist, and none is left out."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "THREATS.md").read_text("utf-8")

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_LIMIT = re.compile(r"`(?:([\w/]+)\.)?([A-Z][A-Z0-9_]+)`")

LIMIT_FILES = (
    "p2pnode/network/limits.py",
    "p2pnode/network/gossip_limits.py",
    "p2pnode/network/router_limits.py",
    "wire/limits.py",
)
"""Where a limit's name needs no module before it."""

WATCHED = ("p2pnode/network", "p2pnode/services", "p2pnode/storage", "p2pnode/membership", "p2pnode/protocols")
"""Packages whose named maxima bound what a peer can do."""

NO_BOUNDS = {"PORT_MAX"}
"""Names that only look like one."""


@cache
def _constants(path: str) -> frozenset[str]:
    """Return the names that a module gives to values, its private ones left out."""
    names = set()
    for node in ast.parse((ROOT / path).read_text("utf-8")).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names |= {target.id for target in targets if isinstance(target, ast.Name) and target.id.isupper()}
    return frozenset(name for name in names if not name.startswith("_"))


@cache
def _tests(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


@pytest.mark.parametrize(("path", "name"), sorted(set(_TEST.findall(PAGE))))
def test_a_test_that_the_page_names_exists(path: str, name: str) -> None:
    assert (ROOT / path).is_file(), f"{path} is gone"
    assert name in _tests(path), f"{path} has no {name}"


def test_every_promise_names_a_test() -> None:
    section = PAGE.partition("## Promises")[2].partition("\n## ")[0]
    rows = [
        line for line in section.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "|--"))
    ]
    assert rows
    without = [row for row in rows if not _TEST.search(row)]
    assert not without


@pytest.mark.parametrize(("module", "name"), sorted(set(_LIMIT.findall(PAGE))))
def test_a_limit_that_the_page_names_exists(module: str, name: str) -> None:
    files = (f"{module}.py",) if module else LIMIT_FILES
    assert any(name in _constants(path) for path in files), f"{name} is in none of {files}"


def test_no_limit_is_missing_from_the_page() -> None:
    named = {name for _, name in _LIMIT.findall(PAGE)}
    missing = []
    for package in WATCHED:
        for path in sorted((ROOT / package).glob("*.py")):
            relative = path.relative_to(ROOT).as_posix()
            missing += [
                f"{relative}: {name}"
                for name in sorted(_constants(relative))
                if name.endswith("_MAX") and name not in named | NO_BOUNDS
            ]
    assert not missing, "\n".join(["docs/THREATS.md does not name", *missing])


@pytest.mark.parametrize(("name", "number"), sorted(set(re.findall(r"`([A-Z][A-Z0-9_]+)` \((\d+)\)", PAGE))))
def test_a_number_on_the_page_is_that_of_the_limit(name: str, number: str) -> None:
    modules = [importlib.import_module(path.removesuffix(".py").replace("/", ".")) for path in LIMIT_FILES]
    (value,) = {getattr(module, name) for module in modules if hasattr(module, name)}
    assert value == int(number)

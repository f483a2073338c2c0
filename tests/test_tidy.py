"""Rules of the house that ruff, mypy and import-linter cannot express, read from the source text.

Docstrings, `print`, relative imports and blind excepts are ruff's; layers and purity are import-linter's
(`pyproject.toml`). Nothing here imports the code that it looks at, so it is part of `make check`.
"""

import ast
import fnmatch
import os
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("testnet", "p2pnode", "wire", "crypto")

CODE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
CODE_SUFFIXES = {".py", ".c", ".h", ".inc", ".js", ".mjs", ".sh"}

NOT_OURS = {"__pycache__", "build", "dist", "htmlcov", "node_modules"}
"""Directories with nothing that somebody wrote; hidden ones are left out too, but for .ci."""

IMPORTERS = {
    "base58": ["crypto*"],
    "cryptography": ["crypto*", "p2pnode.network.libp2p*"],
    "fastapi": ["p2pnode.api*"],
    "hypercorn": ["p2pnode.api*", "p2pnode.daemon*"],
    "google": ["p2pnode.network.libp2p*"],
    "httpx": ["p2pnode.cli*", "testnet*"],
    "libp2p": ["p2pnode.network.libp2p*"],
    "miniupnpc": ["p2pnode.network.upnp"],
    "msgpack": ["wire*"],
    "multiaddr": ["p2pnode.network.libp2p*"],
    "numpy": ["p2pnode.coding*"],
    "rich": ["p2pnode.cli*", "testnet*"],
    "sqlite3": ["p2pnode.seams", "p2pnode.storage*", "testnet.sim*"],
    "starlette": ["p2pnode.api*"],
    "typer": ["p2pnode.cli*", "p2pnode.daemon*", "testnet*"],
    "zeroconf": ["p2pnode.network.lan_discovery"],
}
"""Who may import which package from outside: one place each, so that replacing it stays possible (STYLE 45)."""

# Written so that this file passes its own checks.
MACHINE_PATH = re.compile(r"(?<![\w.~*)}>-])/(home|root|work|Users)/")
REGISTRIES = [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("crates", "io")]
REGISTRY_HOST = re.compile("|".join(re.escape(".".join(parts)) for parts in REGISTRIES))

SKIPPING = {"skip", "skipif", "xfail", "importorskip"}


def our_files() -> Iterator[Path]:
    """Yield every file of the project."""
    for directory, subdirectories, names in os.walk(ROOT):
        subdirectories[:] = sorted(
            name
            for name in subdirectories
            if name not in NOT_OURS and not name.endswith(".egg-info") and (name[0] != "." or name == ".ci")
        )
        # A built kernel is no file of ours, and may name where it was built.
        yield from (Path(directory, name) for name in sorted(names) if name != ".coverage" and not name.endswith(".so"))


def code_files() -> list[Path]:
    return [path for path in our_files() if path.suffix in CODE_SUFFIXES]


def python_files(*tops: str) -> list[Path]:
    """Return the Python files below some top-level directories, or all of them."""
    files = [path for path in our_files() if path.suffix == ".py"]
    return [path for path in files if not tops or path.relative_to(ROOT).parts[0] in tops]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the top-level package of every import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module.partition(".")[0]


def functions_of(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def pure_modules() -> list[str]:
    """Return the modules below the line, as import-linter's contract lists them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (names,) = (
        contract["source_modules"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "forbidden"
    )
    return list(names)


def test_no_code_file_is_longer_than_the_limit() -> None:
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in code_files()}
    assert [where(path, count) for path, count in lines.items() if count > CODE_LINES_MAX] == []


def test_no_function_is_longer_than_the_limit() -> None:
    too_long = [
        f"{where(path, function.lineno)} {function.name}"
        for path in python_files()
        for function in functions_of(parsed(path))
        if (function.end_lineno or 0) - function.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert too_long == []


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY_HOST], ids=["machine path", "registry host"])
def test_no_file_names_a_machine_or_a_registry(pattern: re.Pattern[str]) -> None:
    found = []
    for path in our_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [where(path, text.count("\n", 0, match.start()) + 1) for match in pattern.finditer(text)]
    assert found == []


def test_each_foreign_package_is_imported_in_its_one_place() -> None:
    misplaced = [
        f"{where(path, line)} imports {package}"
        for path in python_files(*PACKAGES)
        for line, package in imports_of(parsed(path))
        if package in IMPORTERS
        if not any(fnmatch.fnmatchcase(module_name(path), allowed) for allowed in IMPORTERS[package])
    ]
    assert misplaced == []


def test_nothing_below_the_line_catches_every_exception() -> None:
    pure = tuple(pure_modules())
    blind = [
        where(path, node.lineno)
        for path in python_files(*PACKAGES)
        if (name := module_name(path)) in pure or name.startswith(tuple(f"{module}." for module in pure))
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler)
        if node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
    ]
    assert blind == []


def has_virtual_time(test: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether trio's clock is not the real one: a test clock is a fixture, or the simulator runs what waits.

    pytest-trio runs an async test on the real clock. A plain test that does not call `trio.run` can have its
    inner functions run by the simulator only.
    """
    if isinstance(test, ast.AsyncFunctionDef):
        return any(argument.arg.endswith("_clock") for argument in test.args.args)
    return not any(isinstance(node, ast.Attribute) and ast.unparse(node) == "trio.run" for node in ast.walk(test))


def real_sleeps(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.Call]:
    """Yield the calls that wait on the real clock: `time.sleep`, and `trio.sleep` beyond a checkpoint.

    The pause in a `while` loop that waits for a condition is allowed: it costs time, but no test fails or
    passes by its length.
    """
    virtual_time = has_virtual_time(test)
    pauses = {node for loop in ast.walk(test) if isinstance(loop, ast.While) for node in ast.walk(loop)}
    for call in ast.walk(test):
        if not isinstance(call, ast.Call) or call in pauses:
            continue
        name = ast.unparse(call.func)
        is_checkpoint = ast.unparse(call).endswith("sleep(0)")
        if name == "time.sleep" or (name == "trio.sleep" and not virtual_time and not is_checkpoint):
            yield call


def test_no_test_sleeps_on_real_time() -> None:
    sleeping = [
        where(path, call.lineno)
        for path in python_files("tests")
        for function in functions_of(parsed(path))
        if function.name.startswith("test_")
        for call in real_sleeps(function)
    ]
    assert sleeping == []


def test_tests_are_skipped_for_a_missing_capability_only() -> None:
    skipped = [
        where(path, node.lineno)
        for path in python_files("tests")
        if path.name != "capabilities.py"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and node.attr in SKIPPING
        if ast.unparse(node.value) in {"pytest", "pytest.mark"}
    ]
    assert skipped == []


def test_decisions_are_numbered_once_and_named_by_their_number() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [page.name.partition("-")[0] for page in pages]
    assert sorted(set(numbers)) == numbers
    for number, page in zip(numbers, pages, strict=True):
        assert page.read_text(encoding="utf-8").startswith(f"# {number}: "), page.name

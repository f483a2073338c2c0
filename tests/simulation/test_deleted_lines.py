"""Deleting lines: what is deleted, what is left out, and that a line which nothing misses is named."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from testnet.sim.mutants.deletions import Deletion, deletions
from testnet.sim.mutants.lines import Check, survivors
from testnet.sim.mutants.planting import source_path

SOURCE = '''"""A module."""

import math

# A comment.
LIMIT = 2


class Thing:
    """A thing."""

    size: int = 1

    def grow(self, by: int) -> int:
        """Grow."""
        if by > LIMIT:
            by = LIMIT
        self.size = math.ceil(
            self.size
            + by
        )
        return self.size
'''


def test_every_line_and_statement_that_runs_is_deleted_once() -> None:
    deleted = {(each.first, each.last) for each in deletions(SOURCE)}
    assert deleted == {
        (6, 6),  # The constant.
        (12, 12),  # The field.
        (16, 17),  # The whole condition; without its first line alone it is no Python.
        (17, 17),  # What it does.
        (18, 21),  # The assignment, of which parts may go as well.
        (19, 19),
        (20, 20),
        (22, 22),
    }


def test_each_deletion_is_python_and_differs_from_the_source_and_from_each_other() -> None:
    found = [ast.dump(ast.parse(each.source)) for each in deletions(SOURCE)]
    assert len(set(found)) == len(found)
    assert ast.dump(ast.parse(SOURCE)) not in found


def test_a_block_that_would_be_empty_gets_a_pass() -> None:
    (only,) = [each for each in deletions(SOURCE) if (each.first, each.last) == (17, 17)]
    assert only.text == "by = LIMIT"
    assert "        if by > LIMIT:\n            pass\n" in only.source


@pytest.fixture
def weak_test(tmp_path: Path) -> tuple[str, ...]:
    """A test that looks at one function of `p2pnode.placement.shape` only."""
    path = tmp_path / "test_weak.py"
    path.write_text(
        "from p2pnode.placement.shape import nodes_that_may_fail\n\n\n"
        "def test_one_may_fail() -> None:\n    assert nodes_that_may_fail(['a', 'b', 'c'], needed=2) == 1\n",
        encoding="utf-8",
    )
    return (str(path),)


def _deletion_of(text: str, source: str) -> Deletion:
    (found,) = [each for each in deletions(source) if each.text == text and each.first == each.last]
    return found


def test_a_line_that_a_test_misses_is_told_with_the_test_and_one_that_none_misses_survives(
    weak_test: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    module = "p2pnode.placement.shape"
    source = source_path(module).read_text(encoding="utf-8")
    missed = Check(module, _deletion_of("left -= shards", source), weak_test)
    needed_elsewhere = Check(
        module, _deletion_of("most = min(SHARDS_DEFAULT_MAX, by_members, by_size)", source), weak_test
    )
    needed_at_import = Check(module, _deletion_of("SHARDS_DEFAULT_MAX = 100", source), weak_test)
    assert survivors([missed, needed_elsewhere, needed_at_import]) == [needed_elsewhere.deletion]
    printed = capsys.readouterr().out
    assert "test_one_may_fail: left -= shards" in printed
    assert "the import: NameError: SHARDS_DEFAULT_MAX = 100" in printed
    assert "NOTHING FAILS: most = min" in printed

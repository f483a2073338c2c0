"""The demo's decisions: who plays which part, and that it never calls two different files equal."""

from __future__ import annotations

import random
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from p2pnode.errors import CallerError, IntegrityError
from testnet import demo
from testnet.demo import Cast, Story


def cast(
    rng: random.Random,
    count: int = 10,
    *,
    kill: int | None = None,
    kill_names: str | None = None,
    through: str | None = None,
) -> Cast:
    return demo._cast(count, kill=kill, kill_names=kill_names, through=through, rng=rng)


@pytest.mark.parametrize("count", [4, 7, 10, 40])
def test_the_killed_are_as_many_as_may_fail_and_the_reader_lives(rng: random.Random, count: int) -> None:
    chosen = cast(rng, count)
    assert len(set(chosen.killed)) == (count - 1) // 3
    assert chosen.writer in chosen.killed
    assert chosen.reader not in chosen.killed


def test_the_killed_include_the_node_that_stored_and_the_one_that_all_started_from(rng: random.Random) -> None:
    chosen = cast(rng)
    assert {chosen.writer, "node-00"} <= set(chosen.killed)
    assert chosen.writer != "node-00"


def test_the_node_that_stores_may_be_the_one_that_all_started_from(rng: random.Random) -> None:
    chosen = cast(rng, through="node-00")
    assert chosen.writer == "node-00"
    assert len(chosen.killed) == 3


def test_names_choose_who_is_killed(rng: random.Random) -> None:
    chosen = cast(rng, kill_names="node-04, node-09", through="node-01")
    assert chosen.killed == ("node-04", "node-09")
    assert chosen.reader not in {"node-01", "node-04", "node-09"}


def test_nobody_need_be_killed(rng: random.Random) -> None:
    assert cast(rng, kill=0).killed == ()


@pytest.mark.parametrize(
    ("kill", "kill_names", "through", "told"),
    [
        (None, "node-10", None, "no node 'node-10'"),
        (None, None, "node-77", "no node 'node-77'"),
        (10, None, None, "somebody must be left"),
        (2, "node-01", None, "differ"),
    ],
)
def test_impossible_parts_are_refused(
    rng: random.Random, kill: int | None, kill_names: str | None, through: str | None, told: str
) -> None:
    with pytest.raises(CallerError, match=told):
        cast(rng, kill=kill, kill_names=kill_names, through=through)


def test_one_seed_gives_one_cast_and_one_file(seed: int) -> None:
    first, second = random.Random(seed), random.Random(seed)
    assert cast(first) == cast(second)
    assert demo._invented(first) == demo._invented(second)


def test_a_copy_with_one_other_byte_is_not_equal(tmp_path: Path, rng: random.Random) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    data = bytearray(rng.randbytes(1000))
    source.write_bytes(data)
    story = Story(console=Console(file=StringIO()), facts={"sha256": demo._sha256(source)})
    copy.write_bytes(data)
    demo._compare(story, source, copy)
    assert story.facts["equal"] is True
    data[rng.randrange(1000)] ^= 1
    copy.write_bytes(data)
    with pytest.raises(IntegrityError, match="differs"):
        demo._compare(story, source, copy)
    assert story.facts["equal"] is False


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_a_file_that_cannot_be_read_is_an_error_before_any_node_starts(tmp_path: Path, name: str) -> None:
    result = CliRunner().invoke(demo.app, [str(tmp_path / name)])
    assert result.exit_code == 1
    assert "cannot read" in result.stderr
    assert len(result.output.splitlines()) == 1


def test_names_with_brackets_are_shown_as_they_are() -> None:
    shown = StringIO()
    Story(console=Console(file=shown)).step("A file: [bold]x.txt", "[red]")
    assert shown.getvalue() == "1. A file: [bold]x.txt\n   [red]\n"

"""`data`: the data directories of a home, shown, moved and given up while no daemon runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pnode.errors import ExitCode
from p2pnode.storage.data_directories import open_directories
from p2pnode.storage.home import lock_home, open_home
from p2pnode.system import SystemRng
from tests.cli.conftest import Cli


@pytest.fixture
def two(cli: Cli, tmp_path: Path) -> Path:
    """A home with two data directories that a node has opened once."""
    path, a, b = (tmp_path / name for name in ("two", "a", "b"))
    ended = cli("init", "--home", path, "--profile", "testnet", "--data-dir", a, "--data-dir", b)
    assert ended.code == 0
    open_directories(open_home(path), SystemRng())
    return path


def test_ls_shows_each_directory_and_ends_with_1_when_one_is_not_here(cli: Cli, two: Path, tmp_path: Path) -> None:
    ended = cli("data", "ls", "--home", two, "--json")
    found = ended.json()["directories"]
    assert isinstance(found, list)
    assert [(each["path"], each["is_here"]) for each in found] == [(str(tmp_path / each), True) for each in "ab"]
    assert all(each["used"] > 0 and each["free"] > 0 and each["id"] for each in found)
    ended = cli("data", "ls", "--home", two)
    assert (ended.code, ended.out.count(b"free")) == (0, 2)
    (tmp_path / "b" / "data-directory").unlink()
    ended = cli("data", "ls", "--home", two)
    assert ended.code == ExitCode.ERROR
    assert b"mount its disk" in ended.out


def test_a_home_that_no_node_has_opened_yet_is_shown_as_it_is(cli: Cli, tmp_path: Path) -> None:
    assert cli("init", "--home", tmp_path / "new", "--profile", "testnet").code == 0
    ended = cli("data", "ls", "--home", tmp_path / "new")
    assert (ended.code, b"not begun yet" in ended.out) == (0, True)


def test_move_takes_a_directory_elsewhere_and_says_so(cli: Cli, two: Path, tmp_path: Path) -> None:
    ended = cli("data", "move", tmp_path / "a", tmp_path / "c", "--home", two)
    assert (ended.code, ended.err) == (0, "")
    assert b"checked every file" in ended.out
    assert open_home(two).data_paths == (tmp_path / "c", tmp_path / "b")
    ended = cli("data", "move", tmp_path / "c", tmp_path / "d", "--home", two, "--json")
    assert ended.json() == {"moved": str(tmp_path / "c"), "to": str(tmp_path / "d")}
    ended = cli("data", "move", tmp_path / "c", tmp_path / "e", "--home", two)
    assert ended.code == ExitCode.USAGE


def test_forget_gives_up_what_is_away(cli: Cli, two: Path, tmp_path: Path) -> None:
    ended = cli("data", "forget", tmp_path / "b", "--home", two)
    assert (ended.code, "is here" in ended.error()) == (ExitCode.USAGE, True)
    (tmp_path / "b" / "data-directory").unlink()
    ended = cli("data", "forget", tmp_path / "b", "--home", two, "--json")
    assert ended.json() == {"forgotten": str(tmp_path / "b")}
    assert open_home(two).data_paths == (tmp_path / "a",)


@pytest.mark.parametrize("command", ["move", "forget"])
def test_while_the_node_runs_it_is_to_be_stopped_first(cli: Cli, two: Path, tmp_path: Path, command: str) -> None:
    arguments = [tmp_path / "b", tmp_path / "c"][: 2 if command == "move" else 1]
    with lock_home(two):
        ended = cli("data", command, *arguments, "--home", two)
    assert ended.code == ExitCode.ERROR
    assert "stop it first" in ended.error()

"""Claims about the admission work on the command line: when it is done, where it is kept, and what Ctrl-C leaves."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto.work import Task, check_work
from p2pnode.cli import solving
from p2pnode.cli.solving import solve_for, with_solved_work
from p2pnode.errors import HomeError
from p2pnode.storage.home import Home, HomeSettings, create_home, open_home
from p2pnode.system import SystemRng
from tests.cli.conftest import Cli
from tests.factories import key

WORK_FILE = "admission-work"


def check(home: Home) -> None:
    """Raise unless the home's solution is good, at the cost of these tests."""
    check_work(Task(home.identity.public, home.settings.network, 1), home.work)


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_init_does_the_work_that_the_network_asks_for_and_keeps_it(cli: Cli, tmp_path: Path) -> None:
    ended = cli("init", "--home", tmp_path / "new", "--network", "lab")
    assert ended.code == 0
    assert "admission work for the network lab" in ended.err
    assert "about 128 tries" in ended.err
    check(open_home(tmp_path / "new"))


@pytest.mark.parametrize("option", ["--json", "-q"])
def test_init_does_the_work_without_a_word_when_nobody_wants_to_read_one(cli: Cli, tmp_path: Path, option: str) -> None:
    ended = cli("init", option, "--home", tmp_path / "new")
    assert (ended.code, ended.err) == (0, "")
    check(open_home(tmp_path / "new"))


def test_init_does_no_work_where_none_is_asked(cli: Cli, tmp_path: Path) -> None:
    ended = cli("init", "--home", tmp_path / "new", "--profile", "private")
    assert (ended.code, ended.err) == (0, "")
    assert not (tmp_path / "new" / WORK_FILE).exists()


def test_an_interrupted_init_leaves_nothing(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_task: Task, *, start: int) -> Iterator[bytes | None]:
        del start
        yield None
        raise KeyboardInterrupt

    monkeypatch.setattr(solving, "attempts", interrupted)
    ended = cli("init", "--home", tmp_path / "new")
    assert ended.code == 130
    assert not (tmp_path / "new").exists()


def test_a_home_without_the_work_gets_it_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = create_home(tmp_path / "old", settings=HomeSettings(), rng=SystemRng())
    assert old.work == b""
    solved = with_solved_work(old)
    assert "admission work" in capsys.readouterr().err
    check(solved)
    assert open_home(old.path) == solved
    assert with_solved_work(solved) == solved
    assert capsys.readouterr().err == ""


def test_a_solution_for_another_network_is_replaced(tmp_path: Path) -> None:
    old = create_home(tmp_path / "old", settings=HomeSettings(), rng=SystemRng())
    solved = with_solved_work(old)
    config = old.path / "config.toml"
    config.write_text(config.read_text().replace('network = "main"', 'network = "moved"'))
    again = with_solved_work(open_home(old.path))
    assert again.work != solved.work
    check(again)


def test_a_home_where_no_work_is_asked_stays_as_it_is(tmp_path: Path) -> None:
    home = create_home(tmp_path / "home", settings=HomeSettings(profile="private"), rng=SystemRng())
    assert with_solved_work(home) is home
    assert not (home.path / WORK_FILE).exists()


@pytest.mark.parametrize(
    "text", ["nonsense", "p2pnode-work-v1 !", "p2pnode-work-v1 AAAA", "p2pnode-work-v2 " + "A" * 64]
)
def test_a_damaged_work_file_is_an_error_that_says_what_to_do(tmp_path: Path, text: str) -> None:
    home = create_home(tmp_path / "home", settings=HomeSettings(), rng=SystemRng())
    (home.path / WORK_FILE).write_text(text)
    with pytest.raises(HomeError, match="remove the file"):
        open_home(home.path)


def test_a_solution_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    home = create_home(tmp_path / "home", settings=HomeSettings(), rng=SystemRng())
    (home.path / WORK_FILE).mkdir()
    (home.path / WORK_FILE / "in the way").touch()
    with pytest.raises(HomeError, match="cannot write"):
        with_solved_work(home)


def test_on_a_terminal_a_bar_counts_the_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert solve_for(key(1), HomeSettings(network="lab"), says_so=True)
    assert "admission work for the network lab" in terminal.getvalue()
    assert "128 expected" in terminal.getvalue()

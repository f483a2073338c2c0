"""`id rotate-owner`: another owner key in the home, with the earlier ones beside it; on other machines by a backup."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from p2pnode.errors import ExitCode
from p2pnode.storage import owner_key
from p2pnode.storage.home import PREDECESSORS_FILE, lock_home, open_home
from p2pnode.storage.homefile import replace_file
from tests.cli.conftest import Cli
from tests.cli.test_backup import quick_scrypt, word

__all__ = ["quick_scrypt", "word"]


def test_a_rotation_keeps_the_earlier_keys_and_a_backup_has_them_all(cli: Cli, tmp_path: Path, word: Path) -> None:
    first = open_home(cli.home)
    said = cli("id", "rotate-owner", "--json").json()
    second = open_home(cli.home)
    assert said == {"owner": second.owner.public.hex(), "predecessor": first.owner.public.hex()}
    assert second.owner != first.owner
    assert second.identity == first.identity
    assert cli("id", "rotate-owner").code == 0
    third = open_home(cli.home)
    assert [each.key for each in third.predecessors] == [first.owner.public, second.owner.public]
    assert stat.S_IMODE((cli.home / PREDECESSORS_FILE).stat().st_mode) == 0o600
    assert first.owner.seed.hex() not in (cli.home / PREDECESSORS_FILE).read_text()
    cli("id", "export", tmp_path / "backup", "--passphrase-file", word)
    cli("id", "import", tmp_path / "backup", "--passphrase-file", word, "--home", tmp_path / "new")
    assert open_home(tmp_path / "new").owner == third.owner
    assert open_home(tmp_path / "new").predecessors == third.predecessors


def test_another_machine_takes_the_new_key_over_from_a_backup(cli: Cli, tmp_path: Path, word: Path) -> None:
    other = tmp_path / "other"
    cli("id", "export", tmp_path / "before", "--passphrase-file", word)
    cli("id", "import", tmp_path / "before", "--passphrase-file", word, "--home", other)
    cli("id", "rotate-owner")
    cli("id", "rotate-owner")
    cli("id", "export", tmp_path / "after", "--passphrase-file", word)
    ended = cli("id", "rotate-owner", "--from", tmp_path / "after", "--passphrase-file", word, "--home", other)
    assert ended.code == 0
    assert open_home(other).owner == open_home(cli.home).owner
    assert open_home(other).predecessors == open_home(cli.home).predecessors
    again = cli("id", "rotate-owner", "--from", tmp_path / "before", "--passphrase-file", word, "--home", other)
    assert "has not succeeded" in again.error()
    assert again.code == ExitCode.USAGE
    assert open_home(other).owner == open_home(cli.home).owner


def test_a_home_with_a_running_node_is_left_alone(cli: Cli) -> None:
    before = open_home(cli.home).owner
    with lock_home(cli.home):
        assert "stop it" in cli("id", "rotate-owner").error()
    assert open_home(cli.home).owner == before


def test_a_rotation_that_was_cut_short_leaves_the_old_key_and_is_done_anew(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_home(cli.home)

    def cut_short(path: Path, name: str, text: str, *, mode: int) -> None:
        if name == "owner.key":
            raise OSError(5, "Input/output error")
        replace_file(path, name, text, mode=mode)

    with monkeypatch.context() as patched:
        patched.setattr(owner_key, "replace_file", cut_short)
        assert "the old one stays" in cli("id", "rotate-owner").error()
    assert open_home(cli.home) == before
    assert cli("id", "rotate-owner").code == 0
    assert [each.key for each in open_home(cli.home).predecessors] == [before.owner.public]


def test_damaged_earlier_keys_are_one_error_that_names_the_file(cli: Cli) -> None:
    cli("id", "rotate-owner")
    for text in ("no json", "[]x", '[{"succession": "00", "catalogue_key": "00"}]', "[" * 5000):
        (cli.home / PREDECESSORS_FILE).write_text(text)
        assert PREDECESSORS_FILE in cli("id", "export", cli.home / "backup").error()


def test_after_very_many_rotations_none_is_followed_any_more(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_key, "SUCCESSORS_MAX", 1)
    assert cli("id", "rotate-owner").code == 0
    assert "no more are followed" in cli("id", "rotate-owner").error()

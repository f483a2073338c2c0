"""`id export` and `id import`: a backup that a passphrase opens, and a home made from it; nothing is overwritten."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from crypto import sealing
from p2pnode.errors import ExitCode
from p2pnode.protocols import backup
from p2pnode.storage.home import open_home
from tests.cli.conftest import Cli


@pytest.fixture(autouse=True)
def quick_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a guess cost little."""
    quick = sealing.seal_with_passphrase

    def seal(*arguments: object, **options: object) -> bytes:
        return quick(*arguments, **(options | {"log2_n": 2}))  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(backup, "seal_with_passphrase", seal)


@pytest.fixture
def word(tmp_path: Path) -> Path:
    """A file with a passphrase."""
    path = tmp_path / "word"
    path.write_text("right horse\nmore\n")
    return path


def test_a_home_made_from_a_backup_has_the_owner_key_and_its_own_identity(cli: Cli, tmp_path: Path, word: Path) -> None:
    exported = cli("id", "export", tmp_path / "backup", "--passphrase-file", word, "--json").json()
    assert "owner key" in str(exported["contains"])
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600
    ended = cli("id", "import", tmp_path / "backup", "--passphrase-file", word, "--home", tmp_path / "new")
    assert ended.code == 0
    old, new = open_home(cli.home), open_home(tmp_path / "new")
    assert new.owner == old.owner
    assert new.identity != old.identity
    assert (new.settings.network, new.settings.profile) == (old.settings.network, old.settings.profile)


def test_the_same_identity_comes_only_when_it_is_asked_for(cli: Cli, tmp_path: Path, word: Path) -> None:
    cli("id", "export", tmp_path / "backup", "--passphrase-file", word)
    cli("id", "import", tmp_path / "backup", "--same-identity", "--passphrase-file", word, "--home", tmp_path / "new")
    assert open_home(tmp_path / "new").identity == open_home(cli.home).identity


def test_nothing_is_ever_overwritten(cli: Cli, tmp_path: Path, word: Path) -> None:
    cli("id", "export", tmp_path / "backup", "--passphrase-file", word)
    before = (tmp_path / "backup").read_bytes()
    assert "not overwritten" in cli("id", "export", tmp_path / "backup", "--passphrase-file", word).error()
    assert (tmp_path / "backup").read_bytes() == before
    assert "not overwritten" in cli("id", "import", tmp_path / "backup", "--passphrase-file", word).error()


def test_a_wrong_passphrase_and_a_wrong_file_are_one_line(cli: Cli, tmp_path: Path, word: Path) -> None:
    cli("id", "export", tmp_path / "backup", "--passphrase-file", word)
    (tmp_path / "wrong").write_text("wrong horse")
    new = tmp_path / "new"
    ended = cli("id", "import", tmp_path / "backup", "--passphrase-file", tmp_path / "wrong", "--home", new)
    assert ended.code == ExitCode.USAGE
    assert "passphrase" in ended.error()
    assert "not a backup" in cli("id", "import", word, "--passphrase-file", word, "--home", new).error()
    assert "cannot read" in cli("id", "import", tmp_path / "x", "--passphrase-file", word, "--home", new).error()
    assert "cannot read" in cli("id", "export", tmp_path / "b", "--passphrase-file", tmp_path / "x").error()
    (tmp_path / "empty").write_text("\n")
    assert "passphrase has" in cli("id", "export", tmp_path / "b", "--passphrase-file", tmp_path / "empty").error()
    assert not new.exists()
    assert not (tmp_path / "b").exists()


def test_where_nobody_can_be_asked_a_passphrase_file_is_asked_for(cli: Cli, tmp_path: Path) -> None:
    assert "--passphrase-file" in cli("id", "export", tmp_path / "backup").error()

"""`quota`: it changes the running daemon and the settings, and refuses what makes no sense before it writes."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from p2pnode.errors import ExitCode
from p2pnode.storage.home import open_home
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon


def quota_of(home: Path) -> int:
    return open_home(home).settings.quota_bytes


def test_it_shows_quota_use_trash_and_what_stays_free(cli: Cli, daemon: FakeDaemon) -> None:
    before = (cli.home / "config.toml").read_bytes()
    out = cli("quota").out.decode()
    for words in ("1.0 kB", "250 B (25 %), 50 B of it in the trash", "750 B for more", "5.0 kB, 100 B of it stay free"):
        assert words in out
    answer = cli("quota", "--json").json()
    assert answer == dataclasses.asdict(daemon.node.quota.now) | {"is_running": True}
    assert (cli.home / "config.toml").read_bytes() == before


def test_a_new_quota_holds_in_the_running_daemon_and_at_the_next_start(cli: Cli, daemon: FakeDaemon) -> None:
    before = (cli.home / "config.toml").read_text()
    ended = cli("quota", "2MB")
    assert (ended.code, ended.err) == (0, "")
    assert daemon.node.quota.now.quota == 2_000_000
    after = (cli.home / "config.toml").read_text()
    assert after == before.replace("quota_bytes = 10737418240", "quota_bytes = 2000000")
    assert cli("quota", "3MB", "-q").out == b""
    assert quota_of(cli.home) == 3_000_000


def test_below_what_is_used_it_says_that_nothing_leased_is_dropped(cli: Cli, daemon: FakeDaemon) -> None:
    ended = cli("quota", "100B")
    assert ended.code == 0
    assert "150 B more are used than offered: nothing leased is dropped, new slivers are refused" in ended.err
    assert daemon.node.quota.now.quota == 100


def test_a_disk_with_less_room_than_the_quota_is_told(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.node.quota.now = dataclasses.replace(daemon.node.quota.now, room=20)
    assert "the disk has room for 20 B" in cli("quota").err


def test_without_a_daemon_the_next_start_uses_it(cli: Cli) -> None:
    ended = cli("quota", "2MB")
    assert ended.code == 0
    assert "2.0 MB" in ended.out.decode()
    assert "no daemon runs: the next start uses this" in ended.err
    assert quota_of(cli.home) == 2_000_000
    answer = cli("quota", "--json").json()
    assert (answer["quota"], answer["used"], answer["is_running"]) == (2_000_000, None, False)
    assert "what is used is not known" in cli("quota").err


def test_a_daemon_that_was_killed_is_none(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.stop()
    assert "the next start uses this" in cli("quota", "2MB").err
    assert quota_of(cli.home) == 2_000_000


@pytest.mark.parametrize("size", ["0", "0GB", "much", "", "1XB", "10GB5", "9" * 400 + "GB", "99999PB"])
def test_what_makes_no_sense_is_refused_and_changes_nothing(cli: Cli, daemon: FakeDaemon, size: str) -> None:
    before = quota_of(cli.home)
    ended = cli("quota", size)
    assert ended.code == ExitCode.USAGE
    assert "quota" in ended.error()
    assert (quota_of(cli.home), daemon.node.quota.now.quota) == (before, 1000)


def test_more_than_the_whole_disk_is_refused_with_its_size(cli: Cli, daemon: FakeDaemon) -> None:
    total = shutil.disk_usage(cli.home).total
    ended = cli("quota", f"{total + 1}B")
    assert ended.code == ExitCode.USAGE
    assert f"the whole disk has only {total}" in ended.error()
    assert daemon.node.quota.now.quota == 1000
    assert cli("quota", f"{total}B").code == 0


def test_settings_that_cannot_be_written_leave_the_daemon_as_it_was(cli: Cli, daemon: FakeDaemon) -> None:
    (cli.home / "config.toml").write_text('"quota\\u005fbytes" = 5\nprofile = "testnet"\n')
    ended = cli("quota", "2MB")
    assert ended.code == ExitCode.ERROR
    assert "write by hand: 2000000" in ended.error()
    assert daemon.node.quota.now.quota == 1000


def test_a_home_that_is_not_there_says_how_to_make_one(cli: Cli, tmp_path: Path) -> None:
    assert "p2pnode init" in cli("quota", "2MB", "--home", tmp_path / "nothing").error()

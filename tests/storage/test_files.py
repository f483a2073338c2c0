"""What the real disk adds to the contract of `Files` (`tests/contract/test_files.py`)."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from p2pnode.storage.files import DiskFiles


def test_the_root_is_made_private(tmp_path: Path) -> None:
    DiskFiles(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_files_have_the_mode_asked_for(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    files.write_new("secret", [b"x"])
    files.write_new("open", [b"x"], mode=0o644)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("secret", "open")]
    assert modes == [0o600, 0o644]


def test_every_byte_is_written_when_the_system_takes_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:3])))
    files = DiskFiles(tmp_path)
    files.write_new("a", [b"0123456789", b"abc"])
    assert files.read("a") == b"0123456789abc"


def test_a_new_file_is_synced_before_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int | str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.append(status.st_size if stat.S_ISREG(status.st_mode) else "directory")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files = DiskFiles(tmp_path)
    files.write_new("a", [b"whole"])
    assert synced == [len(b"whole")]
    files.make_directory("d/e")
    files.sync_directory("d")
    assert synced == [len(b"whole"), *["directory"] * 3]


def test_a_sync_error_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, "injected", descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="injected"):
        DiskFiles(tmp_path).write_new("a", [b"x"])


def test_the_database_is_durable_at_each_commit(tmp_path: Path) -> None:
    connection = DiskFiles(tmp_path).database("index.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_what_is_no_database_raises_at_once_and_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        DiskFiles(tmp_path).database("index.db")

"""The real `Files` seam: one directory tree on a disk, with nothing acknowledged before it is durable.

Rules: every name is relative and stays inside the root; what is written is fsynced before the call returns; renames and
removals are durable after `sync_directory`. Every call blocks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from p2pnode.errors import CallerError

DATABASE_BUSY_S = 10.0
"""How long SQLite waits for another connection (a backup tool, say) before it fails."""

STATEMENTS_KEPT_MAX = 512
"""Compiled statements that a connection keeps: all of the few hundred that we run, where SQLite's module keeps 128."""

STAT_BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the blocks of the file system."""

_DIRECTORY_MODE = 0o700

_SYNC_COMMAND: int | None = getattr(fcntl, "F_FULLFSYNC", None)
"""Where it exists (macOS), plain fsync does not reach the platters and this does."""


class DiskFiles:
    """A directory tree under one root directory."""

    def __init__(self, root: Path, *, makes_root: bool = True) -> None:
        """Use this directory, which need not be there unless it is to be made. Raises `OSError` when it cannot be."""
        self._root = root
        if makes_root:
            _make_durably(root)

    def write_new(self, name: str, data: Sequence[bytes | memoryview], *, mode: int = 0o600) -> None:
        """Create a file and fsync it; after an `OSError` a part of it may be there."""
        descriptor = os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            for part in data:
                _write_all(descriptor, part)
            _sync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: str, new: str) -> None:
        """Rename atomically, replacing `new`."""
        self._path(old).replace(self._path(new))

    def sync_directory(self, name: str) -> None:
        """Make the directory's entries durable."""
        with _opened(self._directory(name), os.O_RDONLY | os.O_DIRECTORY) as descriptor:
            _sync(descriptor)

    def make_directory(self, name: str) -> None:
        """Create a directory and its parents, each made durable in the one above it."""
        parts = _checked_parts(name)
        for depth in range(1, len(parts) + 1):
            directory = self._root.joinpath(*parts[:depth])
            with contextlib.suppress(FileExistsError):
                directory.mkdir(mode=_DIRECTORY_MODE)
                self.sync_directory("/".join(parts[: depth - 1]))
        if not self._directory(name).is_dir():
            message = f"{name} is in the way: a directory is needed there"
            raise FileExistsError(message)

    def read(self, name: str, *, offset: int = 0, count: int | None = None) -> bytes:
        """Return `count` bytes from `offset`, fewer at the end of the file."""
        with self._path(name).open("rb") as file:
            file.seek(offset)
            return file.read() if count is None else file.read(count)

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._path(name).unlink()

    def names(self, directory: str) -> list[str]:
        """Return the sorted names in a directory; `[]` when it does not exist."""
        try:
            return sorted(os.listdir(self._directory(directory)))  # noqa: PTH208 - names are wanted, not paths
        except FileNotFoundError:
            return []

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""
        return self._path(name).stat().st_size

    def space_bytes(self, name: str) -> int:
        """Return what a file or directory takes on the disk in whole blocks."""
        return self._directory(name).lstat().st_blocks * STAT_BLOCK_BYTES

    def free_bytes(self) -> int:
        """Return what an ordinary user may still write to the disk."""
        status = os.statvfs(self._root)
        return status.f_bavail * status.f_frsize

    def away(self) -> tuple[str, ...]:
        """Return nothing: all of it is on one disk."""
        return ()

    def database(self, name: str) -> sqlite3.Connection:
        """Open or create an SQLite database. Raises `sqlite3.Error`, also when the file is no database."""
        connection = sqlite3.connect(
            self._path(name),
            timeout=DATABASE_BUSY_S,
            check_same_thread=False,
            isolation_level=None,
            cached_statements=STATEMENTS_KEPT_MAX,
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA checkpoint_fullfsync = ON")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _path(self, name: str) -> Path:
        parts = _checked_parts(name)
        if not parts:
            message = "a file needs a name"
            raise CallerError(message)
        return self._root.joinpath(*parts)

    def _directory(self, name: str) -> Path:
        return self._root.joinpath(*_checked_parts(name))


def _checked_parts(name: str) -> list[str]:
    """Return the parts of a name; `[]` for the root. Raises `CallerError` for a name that could leave the root."""
    if not name:
        return []
    parts = name.split("/")
    if any(part in {"", ".", ".."} or "\0" in part or "\\" in part for part in parts):
        message = f"{name!r} is no relative file name inside the data directory"
        raise CallerError(message)
    return parts


def _make_durably(path: Path) -> None:
    """Make a directory and its parents, each durable in the one above it."""
    if not path.is_dir():
        _make_durably(path.parent)
        path.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
        with _opened(path.parent, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
            _sync(descriptor)


def _write_all(descriptor: int, part: bytes | memoryview) -> None:
    """Write every byte: the system may take fewer at a time, for example just before a disk is full."""
    rest = memoryview(part).cast("B")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(descriptor: int) -> None:
    if _SYNC_COMMAND is not None:
        with contextlib.suppress(OSError):  # Some network file systems know plain fsync only.
            fcntl.fcntl(descriptor, _SYNC_COMMAND)
            return
    os.fsync(descriptor)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

"""Directories of one simulated disk as disks of their own, so that a power loss hits all of them at one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from p2pnode.seams import Files
from p2pnode.storage.spread_files import MARKER_NAME, DataDirectory

MOUNT_POINT = "mount-point"


class Below:
    """A `Files` below one directory of another."""

    def __init__(self, files: Files, directory: str) -> None:
        """Use this directory, which is there."""
        self._files = files
        self._directory = directory
        self.room: int | None = None
        """How many bytes are free, where a test says so."""

        self.is_mounted = True
        """Else there is an empty directory in its place."""

    def _path(self, name: str) -> str:
        directory = self._directory if self.is_mounted else MOUNT_POINT
        return f"{directory}/{name}" if name else directory

    def write_new(self, name: str, data: Sequence[bytes | memoryview], *, mode: int = 0o600) -> None:
        """Write."""
        self._files.write_new(self._path(name), data, mode=mode)

    def rename(self, old: str, new: str) -> None:
        """Rename."""
        self._files.rename(self._path(old), self._path(new))

    def sync_directory(self, name: str) -> None:
        """Sync."""
        self._files.sync_directory(self._path(name))

    def make_directory(self, name: str) -> None:
        """Make."""
        self._files.make_directory(self._path(name))

    def read(self, name: str, *, offset: int = 0, count: int | None = None) -> bytes:
        """Read."""
        return self._files.read(self._path(name), offset=offset, count=count)

    def remove(self, name: str) -> None:
        """Remove."""
        self._files.remove(self._path(name))

    def names(self, directory: str) -> list[str]:
        """List."""
        return self._files.names(self._path(directory))

    def size(self, name: str) -> int:
        """Measure."""
        return self._files.size(self._path(name))

    def space_bytes(self, name: str) -> int:
        """Measure what is taken."""
        return self._files.space_bytes(self._path(name))

    def free_bytes(self) -> int:
        """Tell the room."""
        return self._files.free_bytes() if self.room is None else self.room

    def away(self) -> tuple[str, ...]:
        """Tell what is away."""
        return self._files.away()

    def database(self, name: str) -> sqlite3.Connection:
        """Open."""
        return self._files.database(self._path(name))


def marker(name: str) -> bytes:
    """Return the marker of a data directory of tests."""
    return f"marker of {name}".encode()


def make_below(files: Files, name: str) -> Below:
    """Make a data directory on a disk."""
    files.make_directory(MOUNT_POINT)
    files.make_directory(name)
    files.write_new(f"{name}/{MARKER_NAME}", [marker(name)])
    files.sync_directory(name)
    return Below(files, name)


def as_directory(files: Below, name: str) -> DataDirectory:
    """Return what `SpreadFiles` is told of a data directory."""
    return DataDirectory(name=name, marker=marker(name), files=files)

"""Files that count what they take: all that the data directory has on its disk, in whole blocks, directories too.

Whatever is made, renamed or removed passes through here, so nothing can be forgotten: the account agrees with `du`.
What stands in the root (the index with its side files, the ceilings) changes without us and is measured after each
change of the store. Nothing is remembered of single files: their space is asked for when they come and go.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence

from p2pnode.seams import Files
from p2pnode.storage.names import PAIRS_DIRECTORY, RECORDS_DIRECTORY, directory_of, is_prefix
from p2pnode.storage.quota import Quota


class AccountedFiles:
    """A `Files` that keeps a quota's account."""

    def __init__(self, files: Files, quota: Quota) -> None:
        """Count nothing yet: `measure` does."""
        self._files = files
        self._quota = quota
        self._lock = threading.Lock()
        self._directories: dict[str, int] = {}
        """What each directory below the root takes; there are at most 512, and their parents."""
        self._root_bytes = 0

    def measure(self) -> None:
        """Count everything anew. Raises `OSError`."""
        with self._lock:
            self._directories.clear()
            self._root_bytes = 0
            self._quota.set_used(0)
        self.measure_root()
        for parent in (PAIRS_DIRECTORY, RECORDS_DIRECTORY):
            for prefix in filter(is_prefix, self._files.names(parent)):
                directory = f"{parent}/{prefix}"
                self._count(directory, sum(self._space(f"{directory}/{name}") for name in self._files.names(directory)))

    def measure_root(self) -> None:
        """Count anew what stands in the root. Raises `OSError`."""
        with self._lock:
            before, self._root_bytes = self._root_bytes, self._space("")
            self._root_bytes += sum(self._space(name) for name in self._files.names(""))
            self._quota.change(used_bytes=self._root_bytes - before)

    def write_new(self, name: str, data: Sequence[bytes | memoryview], *, mode: int = 0o600) -> None:
        """See `Files`."""
        try:
            self._files.write_new(name, data, mode=mode)
        except FileExistsError:
            raise
        except OSError:
            self._count(directory_of(name), self._space(name))  # A part of it may be there.
            raise
        self._count(directory_of(name), self._space(name))

    def rename(self, old: str, new: str) -> None:
        """See `Files`."""
        replaced = self._space(new) if new != old else 0
        self._files.rename(old, new)
        self._count(directory_of(new), -replaced)

    def remove(self, name: str) -> None:
        """See `Files`."""
        removed = self._space(name)
        self._files.remove(name)
        self._count(directory_of(name), -removed)

    def make_directory(self, name: str) -> None:
        """See `Files`."""
        self._files.make_directory(name)
        self._count(name, 0)

    def sync_directory(self, name: str) -> None:
        """See `Files`."""
        self._files.sync_directory(name)

    def read(self, name: str, *, offset: int = 0, count: int | None = None) -> bytes:
        """See `Files`."""
        return self._files.read(name, offset=offset, count=count)

    def names(self, directory: str) -> list[str]:
        """See `Files`."""
        return self._files.names(directory)

    def size(self, name: str) -> int:
        """See `Files`."""
        return self._files.size(name)

    def space_bytes(self, name: str) -> int:
        """See `Files`."""
        return self._files.space_bytes(name)

    def free_bytes(self) -> int:
        """See `Files`."""
        return self._files.free_bytes()

    def away(self) -> tuple[str, ...]:
        """See `Files`."""
        return self._files.away()

    def database(self, name: str) -> sqlite3.Connection:
        """See `Files`."""
        return self._files.database(name)

    def _count(self, directory: str, added_bytes: int) -> None:
        """Count what came or went in a directory, and how the directory itself has grown."""
        if not directory:
            return  # What stands in the root is measured.
        with self._lock:
            before = self._directories.get(directory, 0)
            self._directories[directory] = now = self._space(directory) if "/" in directory else 0
            self._quota.change(used_bytes=added_bytes + now - before)

    def _space(self, name: str) -> int:
        try:
            return self._files.space_bytes(name)
        except FileNotFoundError:
            return 0

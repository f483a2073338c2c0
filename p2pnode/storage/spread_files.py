"""The files of several data directories as one tree: each pair lies in one of them, all else in the first.

- A pair's file is written where the most room is, or where an earlier file of that name lies; it is renamed within its
  directory, so a crash leaves no more than with one disk. Where a file lies is asked of the disks: nothing is
  remembered that could be wrong after a crash.
- A directory is here when its marker file is. An unmounted disk leaves an empty directory behind: it is never taken for
  one whose files are gone. That a pair's file does not exist is said only when every directory is here.
- A pair that was stored anew while its directory was away has two files then. Each is whole, and removing removes both.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from p2pnode.seams import Files
from p2pnode.storage.names import PAIRS_DIRECTORY, finished_name
from wire import limits

T = TypeVar("T")

MARKER_NAME = "data-directory"
"""The file by which a data directory is known: the directory's id and whose it is."""

INDEX_RESERVE_BYTES = 16 * limits.MIB
"""With less room left where the index lies nothing new is stored anywhere: the index must be able to grow."""


class DirectoryAwayError(OSError):
    """A data directory is not here, so nobody can tell whether a file exists."""

    def __init__(self, directories: Sequence[str]) -> None:
        """Name the directories that are away."""
        super().__init__(errno.ENODEV, "data directory not here: mount its disk", ", ".join(directories))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDirectory:
    """One data directory, or the place where it was."""

    name: str
    """How it is called in messages: its path."""
    marker: bytes
    """What its marker file says."""
    files: Files | None
    """None when nobody says any more where it is."""

    def present(self) -> Files | None:
        """Return its files, None when it is away: looked at anew at each call."""
        if self.files is None:
            return None
        try:
            marker = self.files.read(MARKER_NAME, count=len(self.marker) + 1)
        except OSError:
            return None
        return self.files if marker == self.marker else None


class SpreadFiles:
    """A `Files` made of those of several data directories."""

    def __init__(self, directories: Sequence[DataDirectory]) -> None:
        """Spread over these; the first one keeps everything that is no pair. Raises `DirectoryAwayError` without it."""
        self._directories = tuple(directories)
        self._here: tuple[Files, ...] = ()
        self.away()

    def away(self) -> tuple[str, ...]:
        """Look which directories are not here; return their names. Raises `DirectoryAwayError` for the first one."""
        found = [(each.name, each.present()) for each in self._directories]
        first = found[0]
        if first[1] is None:
            raise DirectoryAwayError([first[0]])
        self._here = tuple(files for _, files in found if files is not None)
        return tuple(name for name, files in found if files is None)

    def write_new(self, name: str, data: Sequence[bytes | memoryview], *, mode: int = 0o600) -> None:
        """See `Files`."""
        files = self._place_for(name)
        with self._unless_away():
            files.write_new(name, data, mode=mode)

    def rename(self, old: str, new: str) -> None:
        """See `Files`."""
        self._where_it_is(old, lambda files: files.rename(old, new))

    def sync_directory(self, name: str) -> None:
        """See `Files`."""
        self._everywhere(name, lambda files: files.sync_directory(name))

    def make_directory(self, name: str) -> None:
        """See `Files`."""
        with self._unless_away():
            for files in self._places_of(name):
                files.make_directory(name)

    def read(self, name: str, *, offset: int = 0, count: int | None = None) -> bytes:
        """See `Files`. Raises `DirectoryAwayError` where the file may be in a directory that is away."""
        try:
            return self._where_it_is(name, lambda files: files.read(name, offset=offset, count=count))
        except FileNotFoundError as error:
            away = self.away()
            if away and _may_lie_anywhere(name):
                raise DirectoryAwayError(away) from error
            raise

    def remove(self, name: str) -> None:
        """See `Files`. All files of this name go."""
        self._everywhere(name, lambda files: files.remove(name))

    def names(self, directory: str) -> list[str]:
        """See `Files`."""
        return sorted({name for files in self._places_of(directory) for name in files.names(directory)})

    def size(self, name: str) -> int:
        """See `Files`."""
        return self._where_it_is(name, lambda files: files.size(name))

    def space_bytes(self, name: str) -> int:
        """See `Files`. What is in several directories counts in each."""
        return sum(self._everywhere(name, lambda files: files.space_bytes(name)))

    def free_bytes(self) -> int:
        """Return the room where the next pair goes; no more than the first directory has when that is nearly full."""
        first = self._here[0].free_bytes()
        return first if first < INDEX_RESERVE_BYTES else max(map(_room, self._here))

    def database(self, name: str) -> sqlite3.Connection:
        """See `Files`."""
        return self._here[0].database(name)

    def _place_for(self, name: str) -> Files:
        """Return where a new file goes."""
        places = self._places_of(name)
        if len(places) == 1:
            return places[0]
        earlier = finished_name(name)
        for files in places:
            with contextlib.suppress(FileNotFoundError):
                files.size(earlier)
                return files
        return max(places, key=_room)

    def _places_of(self, name: str) -> tuple[Files, ...]:
        """Return where something of this name may lie; the root and the directory of pairs lie everywhere."""
        return self._here if not name or name == PAIRS_DIRECTORY or _may_lie_anywhere(name) else self._here[:1]

    def _where_it_is(self, name: str, call: Callable[[Files], T]) -> T:
        """Make a call about a file in the first directory that has it."""
        with self._unless_away():
            for files in self._places_of(name):
                with contextlib.suppress(FileNotFoundError):
                    return call(files)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def _everywhere(self, name: str, call: Callable[[Files], T]) -> list[T]:
        """Make a call in each directory that has something of this name; there must be one."""
        done = []
        with self._unless_away():
            for files in self._here:
                with contextlib.suppress(FileNotFoundError):
                    done.append(call(files))
        if not done:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return done

    @contextlib.contextmanager
    def _unless_away(self) -> Iterator[None]:
        """Tell a disk that went away from one that fails: only what a disk that is here says is about its files."""
        here = self._here
        try:
            yield
        except OSError as error:
            away = self.away()
            if self._here != here:
                raise DirectoryAwayError(away) from error
            raise


def _may_lie_anywhere(name: str) -> bool:
    return name.startswith(f"{PAIRS_DIRECTORY}/")


def _room(files: Files) -> int:
    try:
        return files.free_bytes()
    except OSError:  # It went away just now, which is noticed when it is written to.
        return 0

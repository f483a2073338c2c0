"""The directories of a simulated disk: what is there now, what is durable, and what a crash may leave.

Each directory has its own journal of changes that are not durable yet. `sync` makes all of one directory durable. A
crash keeps, for each directory, some of the oldest changes and loses all later ones. A file that was renamed into
another directory leaves the old one only when its new entry survived: no file system forgets both.
"""

from __future__ import annotations

import posixpath
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass(slots=True)
class Losses:
    """What a power loss took: how many changes and files are as before them, and how many files are neither."""

    lost: int = 0
    torn: int = 0


@dataclass(slots=True, eq=False)
class SimFile:
    """One file's bytes: as every reader sees them, and as they are on the platter."""

    data: bytes = b""
    durable: bytes = b""
    injuries: tuple[int, ...] = ()
    """Where bytes were changed behind the node's back."""

    def make_durable(self) -> None:
        """What fsync does."""
        self.durable = self.data

    def injure(self, position: int, bit: int) -> None:
        """Flip a bit, as a disk that rots."""
        rotten = self.data[position] ^ (1 << bit)
        self.data = self.durable = self.data[:position] + bytes([rotten]) + self.data[position + 1 :]
        self.injuries = (*self.injuries, position)

    def crash_image(self, rng: random.Random, losses: Losses) -> SimFile:
        """Return what is left after a power loss: what was synced, and any part of what came later."""
        if self.data == self.durable:  # A file of its own: the disk that goes on may still change this one.
            return SimFile(self.data, self.data, self.injuries)
        kept = rng.randint(0, len(self.data))
        tail = rng.choice([b"", bytes(len(self.data) - kept), self.data[kept:]])
        image = rng.choice([self.durable, self.data[:kept] + tail])
        losses.lost += image == self.durable
        losses.torn += image not in (self.durable, self.data)
        return SimFile(image, image, self.injuries)


Entries = dict[str, SimFile]


@dataclass(slots=True, eq=False)
class _Change:
    """One atomic change of a directory: entries that appear, and those that go (None)."""

    effects: tuple[tuple[str, SimFile | None], ...]
    only_with: _Change | None = None
    is_durable: bool = False

    def apply(self, entries: Entries) -> None:
        for name, file in self.effects:
            if file is None:
                entries.pop(name, None)
            else:
                entries[name] = file


@dataclass(slots=True, eq=False)
class _Directory:
    now: Entries = field(default_factory=dict)
    durable: Entries = field(default_factory=dict)
    children: set[str] = field(default_factory=set)
    """The directories in it. They never go, and are durable at once."""
    journal: list[_Change] = field(default_factory=list)

    def sync(self) -> None:
        waiting = []
        for change in self.journal:
            if change.only_with is None or change.only_with.is_durable:
                change.apply(self.durable)
                change.is_durable = True
            else:
                waiting.append(change)
        self.journal = waiting


class Tree:
    """All directories by their names; the root is `""`."""

    def __init__(self) -> None:
        """Start with an empty root."""
        self._directories: dict[str, _Directory] = {"": _Directory()}

    def files(self) -> Iterator[SimFile]:
        """Iterate over what is there now."""
        for directory in self._directories.values():
            yield from directory.now.values()

    @property
    def directory_count(self) -> int:
        """How many directories there are, the root included."""
        return len(self._directories)

    def is_directory(self, name: str) -> bool:
        """Tell whether this is a directory; the root is `""`."""
        return name in self._directories

    def find(self, name: str) -> SimFile:
        """Return a file. Raises `FileNotFoundError`, `IsADirectoryError`."""
        directory, base = self._split(name)
        if name in self._directories:
            raise IsADirectoryError(f"{name} is a directory")
        if base not in directory.now:
            raise FileNotFoundError(f"no file {name}")
        return directory.now[base]

    def named_files(self) -> list[tuple[str, SimFile]]:
        """Return all that is there now with its whole name, in the order of the names."""
        return sorted(
            (
                (posixpath.join(name, base), file)
                for name, each in self._directories.items()
                for base, file in each.now.items()
            ),
            key=lambda found: found[0],
        )

    def certain(self, name: str) -> bytes | None:
        """Return what a file holds after each power loss that may come now; None when that is open, or it is gone."""
        directory, base = self._split(name)
        file = directory.durable.get(base)
        if file is None or file.data != file.durable:
            return None
        is_settled = all(entry != base for change in directory.journal for entry, _ in change.effects)
        return file.durable if is_settled else None

    def names(self, name: str) -> list[str]:
        """Return the sorted names in a directory; none when there is no such directory."""
        directory = self._directories.get(name)
        return [] if directory is None else sorted([*directory.now, *directory.children])

    def make_directory(self, name: str) -> None:
        """Create a directory and its parents, durably."""
        for end in [i for i, char in enumerate(name) if char == "/"] + [len(name)]:
            parent, base = self._split(name[:end])
            if base in parent.now:
                raise FileExistsError(f"{name[:end]} is a file")
            self._directories.setdefault(name[:end], _Directory())
            parent.children.add(base)

    def link(self, name: str, file: SimFile) -> None:
        """Add a file. Raises `FileExistsError`, `FileNotFoundError` for its directory."""
        directory, base = self._split(name)
        if base in directory.now or name in self._directories:
            raise FileExistsError(f"{name} exists")
        self._change(directory, _Change(((base, file),)))

    def unlink(self, name: str) -> None:
        """Remove a file."""
        self.find(name)
        directory, base = self._split(name)
        self._change(directory, _Change(((base, None),)))

    def rename(self, old: str, new: str) -> None:
        """Rename a file, replacing `new`."""
        file = self.find(old)
        source, old_base = self._split(old)
        target, new_base = self._split(new)
        if new in self._directories:
            raise IsADirectoryError(f"{new} is a directory")
        if source is target:
            if old_base != new_base:
                self._change(source, _Change(((old_base, None), (new_base, file))))
            return
        arrival = _Change(((new_base, file),))
        self._change(target, arrival)
        self._change(source, _Change(((old_base, None),), only_with=arrival))

    def sync(self, name: str) -> None:
        """Make a directory's entries durable. Raises `FileNotFoundError`."""
        if name not in self._directories:
            raise FileNotFoundError(f"no directory {name}")
        self._directories[name].sync()

    def sync_entry(self, name: str) -> None:
        """Make one entry durable and nothing else: the program that wrote it has synced its directory itself."""
        directory, base = self._split(name)
        directory.durable[base] = directory.now[base]
        directory.journal = [change for change in directory.journal if {entry for entry, _ in change.effects} != {base}]

    def crash_image(self, rng: random.Random, losses: Losses | None = None) -> Tree:
        """Return what a power loss now might leave: a random legal tree, in which everything is durable.

        What was lost is counted in `losses`.
        """
        losses = losses or Losses()
        kept = {
            id(change)
            for _, directory in sorted(self._directories.items())
            for change in directory.journal[: rng.randint(0, len(directory.journal))]
        }
        image, files = Tree(), dict[int, SimFile]()
        for name, directory in sorted(self._directories.items()):
            entries = dict(directory.durable)
            for change in directory.journal:
                partner = change.only_with
                if id(change) in kept and (partner is None or partner.is_durable or id(partner) in kept):
                    change.apply(entries)
                else:
                    losses.lost += 1
            for file in entries.values():
                if id(file) not in files:
                    files[id(file)] = file.crash_image(rng, losses)
            entries = {base: files[id(file)] for base, file in entries.items()}
            image._directories[name] = _Directory(entries, dict(entries), set(directory.children))
        return image

    def _change(self, directory: _Directory, change: _Change) -> None:
        change.apply(directory.now)
        directory.journal.append(change)

    def _split(self, name: str) -> tuple[_Directory, str]:
        parent, base = _split(name)
        if parent not in self._directories:
            raise FileNotFoundError(f"no directory {parent}")
        return self._directories[parent], base


@lru_cache(maxsize=16_384)
def _split(name: str) -> tuple[str, str]:
    """Split a name as `posixpath` does; the same come again and again."""
    parent, base = posixpath.split(name)
    return parent, base

"""The `Files` of one simulated node: a disk in memory that knows what would survive a power loss."""

from __future__ import annotations

import errno
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from p2pnode.errors import CallerError
from p2pnode.storage.files import STATEMENTS_KEPT_MAX
from testnet.sim.database import SimConnection
from testnet.sim.directory import Losses, SimFile, Tree
from testnet.sim.disk_events import DiskEvent, DiskHook, DiskOperation, NodeKilledError
from testnet.sim.disk_faults import DiskFaults
from testnet.sim.faults import FaultKind

CAPACITY_BYTES = 1 << 40
"""A disk that no small test fills."""

BLOCK_BYTES = 4096
"""What the smallest file takes, and a directory."""

GOOD_NAMES_MAX = 1_000
"""Names that are remembered as good: most calls are about a few."""


class SimFiles:
    """One disk in one life of its machine. `crash` and `stop` end that life and return the disk of the next one.

    Bounds of the model: a database file is one durable image (no `-wal` beside it), and its creation is durable with
    its first commit, as SQLite syncs the directory itself.
    """

    def __init__(
        self,
        *,
        capacity_bytes: int = CAPACITY_BYTES,
        tree: Tree | None = None,
        observer: DiskHook | None = None,
        faults: DiskFaults | None = None,
    ) -> None:
        """Start with an empty disk, or with what an earlier life left; `observer` and `faults` hold for all lives."""
        self.capacity_bytes = capacity_bytes
        self.hook: DiskHook | None = None
        self.faults = faults or DiskFaults()
        self._whole_capacity_bytes = capacity_bytes
        self._observer = observer
        self._tree = tree or Tree()
        self._open_databases: dict[str, SimConnection] = {}
        self._good_names: set[str] = set()
        self._is_dead = False

    # ------------------------------------------------------------------ the end of a life

    def image(self, rng: random.Random) -> SimFiles:
        """Return a disk with what a power loss at this moment might leave; this one goes on."""
        return SimFiles(capacity_bytes=self.capacity_bytes, tree=self._tree.crash_image(rng))

    def crash(self, rng: random.Random) -> SimFiles:
        """Lose power: return the disk of the next life, with a random legal rest."""
        losses = Losses()
        tree = self._tree.crash_image(rng, losses)
        if losses.lost:
            self.faults.fire(FaultKind.LOST_WRITE)
        if losses.torn:
            self.faults.fire(FaultKind.TORN_WRITE)
        return self._next_life(tree)

    def stop(self) -> SimFiles:
        """End the process only: what was written stays, as the machine's cache survives."""
        return self._next_life(self._tree)

    def put_back(self, image: SimFiles) -> None:
        """Replace all that lies on the disk by an earlier image of it, as whoever restores a backup does.

        Call it while no node runs. What was written since is gone, and counts as damaged until it is written again.
        """
        self.faults.gone_names |= {name for name, _ in self._tree.named_files()}
        self._tree = image._tree
        self._good_names.clear()

    def _next_life(self, tree: Tree) -> SimFiles:
        self._is_dead = True
        self.faults.has_failed_to_write = False
        after = SimFiles(
            capacity_bytes=self._whole_capacity_bytes, tree=tree, observer=self._observer, faults=self.faults
        )
        after.capacity_bytes = self.capacity_bytes
        return after

    # ------------------------------------------------------------------ `p2pnode.seams.Files`

    def write_new(self, name: str, data: Sequence[bytes | memoryview], *, mode: int = 0o600) -> None:
        """Create a file with these parts and fsync it; after an error a part of it is there. No modes here."""
        assert mode, "a file that nobody may read is a mistake"
        file = SimFile()
        with self._operation(DiskOperation.CREATE, name):
            self._tree.link(name, file)
        for part in data:
            with self._operation(DiskOperation.WRITE, name):
                rest = memoryview(part).cast("B")
                room = self._room_bytes()
                file.data += bytes(rest[:room])
                if room < len(rest):
                    raise self._full_error(name)
        with self._operation(DiskOperation.FSYNC, name):
            file.make_durable()

    def rename(self, old: str, new: str) -> None:
        """Rename atomically; durable only after `sync_directory`."""
        self._check_name(old)
        with self._operation(DiskOperation.RENAME, new):
            self._tree.rename(old, new)

    def sync_directory(self, name: str) -> None:
        """Make the directory's entries durable."""
        with self._operation(DiskOperation.SYNC_DIRECTORY, name):
            self._tree.sync(name)

    def make_directory(self, name: str) -> None:
        """Create a directory and its parents durably."""
        with self._operation(DiskOperation.MAKE_DIRECTORY, name):
            self._tree.make_directory(name)

    def read(self, name: str, *, offset: int = 0, count: int | None = None) -> bytes:
        """Return a part of a file, or all."""
        with self._operation(DiskOperation.READ, name):
            file = self._tree.find(name)
        end = len(file.data) if count is None else offset + count
        if any(offset <= position < end for position in file.injuries):
            self.faults.fire(FaultKind.BIT_ROT)
        return file.data[offset:end]

    def remove(self, name: str) -> None:
        """Remove a file; durable only after `sync_directory`."""
        with self._operation(DiskOperation.REMOVE, name):
            self._tree.unlink(name)

    def names(self, directory: str) -> list[str]:
        """Return the sorted names in a directory."""
        self._check()
        self._check_name(directory, is_file=False)
        return self._tree.names(directory)

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""
        self._check()
        self._check_name(name)
        return len(self._tree.find(name).data)

    def space_bytes(self, name: str) -> int:
        """Return what a file takes in whole blocks; a directory takes one."""
        self._check()
        self._check_name(name, is_file=False)
        if self._tree.is_directory(name):
            return BLOCK_BYTES
        return -(-len(self._tree.find(name).data) // BLOCK_BYTES) * BLOCK_BYTES

    def free_bytes(self) -> int:
        """Return the bytes that may still be written."""
        self._check()
        if self.capacity_bytes < self._whole_capacity_bytes:
            self.faults.fire(FaultKind.DISK_FULL)
        return self._room_bytes()

    def away(self) -> tuple[str, ...]:
        """Return nothing: all of it is on one disk."""
        return ()

    def database(self, name: str) -> sqlite3.Connection:
        """Open a database. One connection at a time: a second one would not see the first one's commits."""
        self._check()
        self._check_name(name)
        if name in self._open_databases:
            raise sqlite3.OperationalError(f"the simulated database {name} is open already")
        try:
            file = self._tree.find(name)
        except FileNotFoundError:
            file = SimFile()
            self._tree.link(name, file)
        connection = sqlite3.connect(
            ":memory:",
            factory=SimConnection,
            check_same_thread=False,
            isolation_level=None,
            cached_statements=STATEMENTS_KEPT_MAX,
        )
        connection.attach(
            file.data,
            save=lambda image: self._save(name, file, image),
            check=self._check,
            let_go=lambda: self._let_go(name),
        )
        if file.injuries:
            self.faults.fire(FaultKind.BIT_ROT)
        try:
            connection.execute("PRAGMA schema_version")
        except sqlite3.Error:
            connection.close()
            raise
        self._open_databases[name] = connection
        return connection

    # ------------------------------------------------------------------ for judges: no operation, and no fault meets it

    def peek(self, name: str) -> bytes | None:
        """Return a file's bytes as they are now; None when there is no such file."""
        try:
            return self._tree.find(name).data
        except (FileNotFoundError, IsADirectoryError):
            return None

    def peek_names(self, directory: str) -> list[str]:
        """Return the sorted names in a directory."""
        return self._tree.names(directory)

    def peek_space_bytes(self) -> int:
        """Return what everything takes, as `du` tells it."""
        files = sum(-(-len(file.data) // BLOCK_BYTES) for file in self._tree.files())
        return (files + self._tree.directory_count) * BLOCK_BYTES

    def certain(self, name: str) -> bytes | None:
        """Return what a file holds after each power loss that may come now; None when that is open, or it is gone."""
        try:
            return self._tree.certain(name)
        except FileNotFoundError:
            return None

    def is_injured(self, name: str) -> bool:
        """Tell whether bytes of this file were changed behind the node's back, or all of it was taken away."""
        try:
            return bool(self._tree.find(name).injuries)
        except (FileNotFoundError, IsADirectoryError):
            return name in self.faults.gone_names

    # ------------------------------------------------------------------ faults

    @property
    def injured(self) -> set[str]:
        """The files with bytes that were changed behind the node's back and that nobody has replaced since."""
        return {name for name, file in self._tree.named_files() if file.injuries}

    def contents(self) -> tuple[tuple[str, bytes], ...]:
        """Return the names and the bytes of all files."""
        return tuple((name, file.data) for name, file in self._tree.named_files())

    def rot(self, rng: random.Random, *, under: Sequence[str]) -> str:
        """Flip one bit of one byte of a random file; return its name, "" when there is none whose name starts so.

        An open database gets the flipped bit too: it reads its pages from the disk.
        """
        found = [(name, file) for name, file in self._tree.named_files() if name.startswith(tuple(under)) and file.data]
        if not found:
            return ""
        name, file = rng.choice(found)
        self.injure(name, rng.randrange(len(file.data)), bit=rng.randrange(8))
        return name

    def injure(self, name: str, position: int, *, bit: int) -> None:
        """Flip one bit of a file."""
        file = self._tree.find(name)
        file.injure(position, bit)
        connection = self._open_databases.get(name)
        if connection is not None:
            connection.injure(file.data)
            self.faults.fire(FaultKind.BIT_ROT)

    def fill(self, *, room_bytes: int = 0) -> None:
        """Let there be so little room from now on."""
        self.capacity_bytes = min(self.capacity_bytes, self._used_bytes() + room_bytes)

    def heal(self) -> bool:
        """Let the disk work, have room and be fast again; damaged bytes stay damaged.

        Returns whether the node must be started anew, because after a failed write it writes no more.
        """
        self.faults.heal()
        self.capacity_bytes = self._whole_capacity_bytes
        return self.faults.has_failed_to_write

    def damage(self, name: str, data: bytes) -> None:
        """Replace a file's bytes behind the node's back, as bit rot does."""
        file = self._tree.find(name)
        file.data = file.durable = data

    def _save(self, name: str, file: SimFile, image: bytes) -> None:
        with self._operation(DiskOperation.COMMIT, name):
            if len(image) - len(file.data) > self._room_bytes():
                raise self._full_error(name)
            file.data = file.durable = image
            self._tree.sync_entry(name)

    def _let_go(self, name: str) -> None:
        self._open_databases.pop(name, None)

    def _used_bytes(self) -> int:
        return sum(len(file.data) for file in self._tree.files())

    def _room_bytes(self) -> int:
        return max(0, self.capacity_bytes - self._used_bytes())

    def _full_error(self, name: str) -> OSError:
        self.faults.fire(FaultKind.DISK_FULL)
        return OSError(errno.ENOSPC, "no space left on the simulated disk", name)

    @contextmanager
    def _operation(self, operation: DiskOperation, name: str) -> Iterator[None]:
        self._announce(DiskEvent(operation, name, is_done=False))
        yield
        self._announce(DiskEvent(operation, name, is_done=True))

    def _check_name(self, name: str, *, is_file: bool = True) -> None:
        if not name and not is_file:
            return
        if name in self._good_names:
            return
        if any(part in {"", ".", ".."} or "\0" in part or "\\" in part for part in name.split("/")):
            raise CallerError(f"{name!r} is no relative file name on a simulated disk")
        if len(self._good_names) < GOOD_NAMES_MAX:
            self._good_names.add(name)

    def _announce(self, event: DiskEvent) -> None:
        is_file = event.operation not in {DiskOperation.SYNC_DIRECTORY, DiskOperation.MAKE_DIRECTORY}
        self._check_name(event.name, is_file=is_file)
        self._check()
        if self._observer is not None:
            self._observer(event)
        if self.hook is not None:
            self.hook(event)
        self._check()
        if not event.is_done:
            self.faults.meet(event.operation, event.name)

    def _check(self) -> None:
        if self._is_dead:
            raise NodeKilledError

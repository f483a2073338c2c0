"""What the storage tests share: an inline worker, a still clock, small pairs, and a disk that fails when told to."""

from __future__ import annotations

import os
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import trio

from p2pnode.seams import Files
from p2pnode.storage import owner_tally
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.names import parse_trash_name
from p2pnode.storage.pairfile import pair_of_shard
from p2pnode.storage.quota import on_disk
from p2pnode.storage.store import SliverStore
from tests import factories
from wire.ids import Axis, BlobId, ShardIndex
from wire.records import Certificate, GroupPage, Lease, LeaseKind, MetadataRecord, ShardSet
from wire.signed import Signed

T = TypeVar("T")

QUOTA_BYTES = 10 * 1024 * 1024
DAY_S = 24 * 3600
FINAL_END = factories.TIME + 30 * DAY_S
PROVISIONAL_END = factories.TIME + DAY_S


class InlineOffload:
    """Runs the call at once, after a checkpoint: cancellation hits before it or not at all."""

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        """Run the call."""
        await trio.lowlevel.checkpoint()
        return function(*args)


class StillClock:
    """A clock that stands still unless it is moved."""

    def __init__(self, wall: float = factories.TIME) -> None:
        """Start at this wall time."""
        self.now = wall

    def monotonic(self) -> float:
        """Return the same time."""
        return self.now

    def wall(self) -> float:
        """Return seconds since 1970."""
        return self.now

    def asleep(self) -> float:
        """Return that it never sleeps."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds
        await trio.lowlevel.checkpoint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A pair as a test stores it."""

    blob_id: BlobId
    shard: ShardIndex
    metadata: MetadataRecord
    primary: bytes
    secondary: bytes
    provisional: Signed[Lease]
    final: Signed[Lease]
    certificate: Signed[Certificate]

    @property
    def page(self) -> GroupPage:
        """The page of both leases."""
        return factories.page(self.blob_id)

    @property
    def shard_sets(self) -> tuple[ShardSet, ...]:
        """This shard alone."""
        return (ShardSet(shard=self.shard, blobs=b"\x01"),)

    @property
    def key(self) -> tuple[BlobId, ShardIndex]:
        """Which pair it is."""
        return self.blob_id, self.shard

    @property
    def index(self) -> int:
        """Which pair of the blob it is."""
        return pair_of_shard(self.blob_id, shard=self.shard, n=self.metadata.n)

    @property
    def path(self) -> str:
        """The name of its file."""
        return f"pairs/{self.blob_id.hex()[:2]}/{self.blob_id.hex()}-{self.shard}.pair"


def make_pair(rng: random.Random, *, shard: int = 1, sliver_bytes: int = 60, number: int | None = None) -> Pair:
    """Return a pair of random bytes; the store does not look into the code, so they need not belong to the blob."""
    blob_id = factories.blob_id(rng.getrandbits(60) if number is None else number)
    final = factories.signed(factories.lease(blob_id, end=FINAL_END), factories.owner_key())
    provisional = factories.lease(blob_id, kind=LeaseKind.PROVISIONAL, end=PROVISIONAL_END)
    return Pair(
        blob_id=blob_id,
        shard=ShardIndex(shard),
        metadata=factories.metadata_record(),
        primary=rng.randbytes(sliver_bytes),
        secondary=rng.randbytes(max(1, sliver_bytes // 2)),
        provisional=factories.signed(provisional, factories.owner_key()),
        final=final,
        certificate=certificate(final, factories.page(blob_id)),
    )


def certificate(lease: Signed[Lease], page: GroupPage, *, holders: int = 3) -> Signed[Certificate]:
    """Return a certificate that names this many holders."""
    shards_by_holder = {number + 1: (number,) for number in range(holders)}
    return factories.signed(factories.certificate(lease, page, shards_by_holder), factories.owner_key())


async def open_store(files: Files, *, quota_bytes: int = QUOTA_BYTES, clock: StillClock | None = None) -> SliverStore:
    """Open a store over these files."""
    return await SliverStore.open(files, InlineOffload(), clock or StillClock(), quota_bytes=quota_bytes)


async def store(target: SliverStore, pair: Pair, *leases: Signed[Lease]) -> None:
    """Store a pair, under its provisional lease unless told otherwise."""
    under = leases or (pair.provisional,)
    await target.store_pair(pair.blob_id, pair.shard, pair.metadata, pair.primary, pair.secondary, under)


async def check_readable(target: SliverStore, pair: Pair) -> None:
    """Check that both slivers come back."""
    assert await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index) == pair.primary
    secondary = pair.metadata.n - 1 - pair.index
    assert await target.read_sliver(pair.blob_id, Axis.SECONDARY, secondary) == pair.secondary
    held = await target.held(pair.blob_id)
    assert held is not None
    assert held.metadata == pair.metadata
    assert pair.shard in held.shards
    assert await target.missing([pair.key]) == []


def tree(where: Path | Files) -> dict[str, int]:
    """Return the sizes of all files below `pairs`, by their names."""
    files = DiskFiles(where) if isinstance(where, Path) else where
    found = {}
    for directory in files.names("pairs"):
        for name in files.names(f"pairs/{directory}"):
            found[f"pairs/{directory}/{name}"] = files.size(f"pairs/{directory}/{name}")
    return found


def records(where: Path | Files) -> list[str]:
    """Return the names of all files below `records`."""
    files = DiskFiles(where) if isinstance(where, Path) else where
    directories = [f"records/{directory}" for directory in files.names("records")]
    return [f"{directory}/{name}" for directory in directories for name in files.names(directory)]


def check_accounting(target: SliverStore, where: Path | Files) -> None:
    """Check that the space accounted is the space used, and that nothing half-made lies about."""
    files = tree(where)
    half_made = [name for name in [*files, *records(where)] if not name.endswith((".pair", ".rec"))]
    assert not [name for name in half_made if parse_trash_name(name.rpartition("/")[2]) is None]
    usage = target.usage()
    assert usage.used_bytes == space_of(where)
    assert usage.reserved_bytes == 0
    check_tallies(target)


def check_tallies(target: SliverStore) -> None:
    """Check that what is counted for each owner is what stands under its leases, if the store is open."""
    database = target._engine.database
    if database._connection is None:
        return
    with database.reading() as connection:
        expected = Counter[bytes]()
        for row in connection.execute("SELECT blob_id, shard, file_bytes FROM pairs").fetchall():
            for owner in owner_tally.owners_of(connection, BlobId(row[0]), row[1]):
                expected.update({owner: on_disk(row[2]), b"": on_disk(row[2])})
        assert +expected == +Counter(dict(connection.execute("SELECT owner, bytes FROM owner_tallies").fetchall()))


def space_of(where: Path | Files) -> int:
    """Return what everything in a data directory takes."""
    files = DiskFiles(where) if isinstance(where, Path) else where
    parents = ("pairs", "records")
    directories = [f"{parent}/{name}" for parent in parents for name in files.names(parent)]
    return sum(map(files.space_bytes, ["", *files.names(""), *directories, *tree(files), *records(files)]))


def flip(path: Path, position: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


@dataclass
class Fault:
    """When a change of the disk fails: the `at`-th from now, with this errno."""

    at: int = 0
    code: int = 0
    count: int = 0

    def step(self, what: str) -> None:
        """Count one change of the disk. Raises what was asked for."""
        self.count += 1
        if self.count == self.at:
            raise OSError(self.code, os.strerror(self.code), what)


class FaultyFiles:
    """A real directory whose changes fail when the fault says so; a failed write leaves half of its bytes behind.

    What a database does is left to the simulated disk (`test_faults.py`) and to SQLite.
    """

    def __init__(self, root: Path) -> None:
        """Use a real directory."""
        self.real = DiskFiles(root)
        self.fault = Fault()
        self.room: int | None = None

    def write_new(self, name: str, data: Sequence[bytes | memoryview], *, mode: int = 0o600) -> None:
        """Write, or leave half."""
        try:
            self.fault.step(name)
        except OSError:
            whole = b"".join(data)
            self.real.write_new(name, [whole[: len(whole) // 2]], mode=mode)
            raise
        self.real.write_new(name, data, mode=mode)

    def rename(self, old: str, new: str) -> None:
        """Rename."""
        self.fault.step(new)
        self.real.rename(old, new)

    def sync_directory(self, name: str) -> None:
        """Sync."""
        self.fault.step(name)
        self.real.sync_directory(name)

    def make_directory(self, name: str) -> None:
        """Make."""
        self.fault.step(name)
        self.real.make_directory(name)

    def read(self, name: str, *, offset: int = 0, count: int | None = None) -> bytes:
        """Read."""
        return self.real.read(name, offset=offset, count=count)

    def remove(self, name: str) -> None:
        """Remove."""
        self.fault.step(name)
        self.real.remove(name)

    def names(self, directory: str) -> list[str]:
        """List."""
        return self.real.names(directory)

    def size(self, name: str) -> int:
        """Measure."""
        return self.real.size(name)

    def space_bytes(self, name: str) -> int:
        """Measure what is taken."""
        return self.real.space_bytes(name)

    def free_bytes(self) -> int:
        """Tell the room, or what the test says of it."""
        return self.real.free_bytes() if self.room is None else self.room

    def away(self) -> tuple[str, ...]:
        """Tell what is away."""
        return self.real.away()

    def database(self, name: str) -> sqlite3.Connection:
        """Open."""
        return self.real.database(name)

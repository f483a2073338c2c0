"""One flipped bit in every byte of a pair's file, of each kind of record file, and of a small index.

A file of ours is checked by its own sums, so a flip there is always detected. In the index a flip may be harmless, in
room that SQLite does not use; it is never believed. Nothing wrong is served, and no flip is a crash.

More than half of so small an index is room in its pages for rows to come. A store that reads the same rows does the
same, so of that room one byte a page is tried with a store; of the others it is only seen that nothing else is read.
"""

from __future__ import annotations

import enum
import itertools
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

from p2pnode.errors import LocalStorageError
from p2pnode.storage.database import DATABASE_NAME
from p2pnode.storage.names import SEQUENCES_NAME, record_name
from p2pnode.storage.recordfile import read_record
from p2pnode.storage.sealed import DamagedFileError
from p2pnode.storage.store import SliverStore
from testnet.sim.disk_harness_checks import Between, DiskHarnessError, is_served
from testnet.sim.disk_harness_crashes import check_last_life
from testnet.sim.disk_harness_goods import Pair, make_member, make_pairs, open_store
from testnet.sim.disk_harness_history import PURPOSE, store_work
from testnet.sim.disk_harness_told import Standing, Told
from testnet.sim.files import SimFiles

SMALL_PAGE_BYTES = 512
"""SQLite's smallest page: the whole index has some thirty thousand bytes, and each can be tried."""


OPEN_BYTES_APART = 4

_FILE_HEADER_BYTES = 100
"""Before the header of the first page."""

_PAGE_HEADER_BYTES = {2: 12, 5: 12, 10: 8, 13: 8}
"""By the type of the page: inner and leaf pages of an index (2, 10) and of a table (5, 13)."""


class When(enum.StrEnum):
    """When the bit flips."""

    CLOSED = "closed"
    """Between two lives of the store."""
    OPEN = "open"
    """While the store is open."""
    NO_INDEX = "no-index"
    """Between two lives, and the index is lost as well."""
    UNUSED = "unused"
    """Between two lives, in room of the index for rows to come."""


@dataclass(frozen=True, slots=True)
class Flip:
    """One bit to flip."""

    name: str
    position: int
    bit: int
    when: When


@dataclass(slots=True)
class Flipped:
    """A disk with a little of everything, and what its store was told."""

    disk: SimFiles
    told: Told
    pairs: tuple[Pair, ...]
    fresh: Pair
    content: list[object]
    """What SQLite reads in the index."""
    lived: set[int] = field(default_factory=set)
    """Marks of the disks whose last life was checked: thousands of flips end alike, with an index that is made anew."""

    @classmethod
    async def prepare(cls, rng: random.Random) -> Flipped:
        """Store pairs in every state."""
        plain, pending, certified = (make_pairs(rng)[0] for _ in range(3))
        disk, told = SimFiles(), Told()
        store = await open_store(disk)
        for pair in (plain, pending, certified):
            await store_work(pair, pair.provisional)(store)
            told = told.with_file(pair, pair.provisional)
        for pair in (pending, certified):
            await store.commit_lease(pair.final, pair.page, pair.shard_sets)
            told = told.with_lease_record(pair, pair.final)
        await store.certify(certified.certificates[0], certified.final)
        told = told.with_certificate(certified, certified.certificates[0])
        await store.save_members([make_member(1)])
        told = replace(told, sequence=await store.next_sequence(PURPOSE))
        await store.close()
        disk = disk.stop()
        _shrink_pages(disk)
        content = _content(disk.read(DATABASE_NAME))
        return cls(disk, told, (plain, pending, certified), make_pairs(rng)[0], content)

    def flips(self, rng: random.Random) -> Iterator[Flip]:
        """Yield every flip: one bit of each byte.

        Of the open index only every so many-th byte: most of what is to be seen there is seen when it is opened.
        """
        certified = self.pairs[-1]
        lease = certified.record_names[certified.final.digest]
        for name in (certified.name, self._certificate_name, lease, SEQUENCES_NAME):
            for position, when in itertools.product(
                range(self.disk.size(name)), (When.CLOSED, When.OPEN, When.NO_INDEX)
            ):
                yield Flip(name, position, rng.randrange(8), when)
        unused = _unused_room(self.disk.read(DATABASE_NAME))
        for position in range(self.disk.size(DATABASE_NAME)):
            when = When.UNUSED if position in unused else When.CLOSED
            yield Flip(DATABASE_NAME, position, rng.randrange(8), when)
            if when is When.CLOSED and position % OPEN_BYTES_APART == 0:
                yield Flip(DATABASE_NAME, position, rng.randrange(8), When.OPEN)

    async def try_flip(self, flip: Flip, rng: random.Random) -> bool:
        """Flip a bit and see that it does no harm. Returns whether it was noticed. Raises `DiskHarnessError`."""
        disk = self.disk.image(rng)
        try:
            if flip.when is not When.OPEN:
                disk.injure(flip.name, flip.position, bit=flip.bit)
            if flip.when is When.NO_INDEX:
                disk.remove(DATABASE_NAME)
            if flip.name == SEQUENCES_NAME:
                return await self._try_sequences(disk, flip)
            if flip.when is When.UNUSED:
                return self._try_unused(disk)
            if flip.name == DATABASE_NAME:
                return await self._try_index(disk, flip, rng)
            if flip.name == self.pairs[-1].name:
                return await self._try_pair(disk, flip, rng)
            return await self._try_record(disk, flip, rng)
        except Exception as error:
            where = f"bit {flip.bit} of byte {flip.position} of {flip.name}, {flip.when}"
            raise DiskHarnessError(f"{where}: {type(error).__name__}: {error}") from error

    async def _open(self, disk: SimFiles, flip: Flip) -> SliverStore:
        store = await open_store(disk)
        if flip.when is When.OPEN:
            disk.injure(flip.name, flip.position, bit=flip.bit)
        return store

    async def _try_pair(self, disk: SimFiles, flip: Flip, rng: random.Random) -> bool:
        """The pair is known as lost, and is stored anew."""
        pair = self.pairs[-1]
        broken = _without_members(replace(self.told, pairs={**self.told.pairs, pair: Standing.BROKEN}))
        store = await self._open(disk, flip)
        await Between(broken, broken, self.pairs).check(store, disk)
        await store_work(pair, pair.brief)(store)
        await store.close()
        told = _without_members(self.told.with_file(pair, pair.brief))
        await self._check_last_life(disk.stop(), Between(told, told, self.pairs), rng)
        return True

    async def _try_record(self, disk: SimFiles, flip: Flip, rng: random.Random) -> bool:
        """The certificate is not served, the lease changes nothing."""
        store = await self._open(disk, flip)
        told = _without_members(self.told)
        without = replace(told, certificates={}) if flip.name == self._certificate_name else told
        await Between(told, without, self.pairs).check(store, disk)
        found = await store.certificates(self.pairs[-1].blob_id)
        if len(found) != len(without.certificates):
            raise DiskHarnessError("a damaged certificate is served")
        await store.close()
        await self._check_last_life(disk.stop(), Between(told, without, self.pairs), rng)
        return _is_noticed(disk.contents(), flip)

    async def _try_sequences(self, disk: SimFiles, flip: Flip) -> bool:
        """The store does not open: it might give out old numbers. One that is open has the ceilings in memory."""
        if flip.when is When.OPEN:
            store = await self._open(disk, flip)
            await self._count_on(store)
            await store.close()
            disk = disk.stop()
        try:
            store = await open_store(disk)
        except LocalStorageError:
            return True
        raise DiskHarnessError("the store opens with damaged ceilings")

    async def _try_index(self, disk: SimFiles, flip: Flip, rng: random.Random) -> bool:
        """The flip is harmless, or the index is built anew from the files."""
        store = await self._open(disk, flip)
        pairs, told = (*self.pairs, self.fresh), _without_members(self.told)
        if flip.when is not When.OPEN:
            await Between(told, told, self.pairs).check(store, disk)
        maybe = told.with_file(self.fresh, self.fresh.provisional)
        try:
            if flip.when is When.OPEN:  # Else all of it was just read.
                for pair in self.pairs:
                    await is_served(store, pair)
            await store_work(self.fresh, self.fresh.provisional)(store)
            told = maybe
            await self._count_on(store)
        except LocalStorageError:
            if flip.when is not When.OPEN:  # Then it was looked over, and found good or built anew.
                raise
        await store.close()
        disk = disk.stop()
        await self._check_last_life(disk, Between(told, maybe, pairs), rng)
        return any(".damaged-" in name for name in disk.names(""))

    def _try_unused(self, disk: SimFiles) -> bool:
        """The very same is read."""
        if _content(disk.read(DATABASE_NAME)) != self.content:
            raise DiskHarnessError("a flip where nothing should be changes what is read")
        return False

    async def _check_last_life(self, disk: SimFiles, between: Between, rng: random.Random) -> None:
        """Check what is left, unless another flip has left the same; a damaged index that was set aside is not read."""
        left = tuple((name, data) for name, data in disk.contents() if ".damaged-" not in name)
        mark = hash((left, len(between.before.pairs)))
        if mark not in self.lived:
            self.lived.add(mark)
            await check_last_life(disk, between, rng)

    async def _count_on(self, store: SliverStore) -> None:
        if await store.next_sequence(PURPOSE) <= self.told.sequence:
            raise DiskHarnessError("a sequence number comes again")

    @property
    def _certificate_name(self) -> str:
        return record_name(self.pairs[-1].certificates[0].digest)


def _without_members(told: Told) -> Told:
    """Return what a store may be asked for whose index may have been lost."""
    return replace(told, members=frozenset(), contacts=0)


def _is_noticed(contents: tuple[tuple[str, bytes], ...], flip: Flip) -> bool:
    try:
        read_record(dict(contents)[flip.name])
    except DamagedFileError:
        return True
    raise DiskHarnessError("the damage cannot be seen")


def _shrink_pages(disk: SimFiles) -> None:
    """Give the index the smallest pages."""
    with closing(sqlite3.connect(":memory:")) as large, closing(sqlite3.connect(":memory:")) as small:
        large.deserialize(disk.read(DATABASE_NAME))
        small.execute(f"PRAGMA page_size = {SMALL_PAGE_BYTES}")
        small.executescript("\n".join(large.iterdump()))
        disk.damage(DATABASE_NAME, small.serialize())


def _content(index: bytes) -> list[object]:
    """Return all that SQLite reads in an index, and whether it finds it sound."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(index)
        schema = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        tables = [name for kind, name, *_ in schema if kind == "table"]
        rows = [database.execute(f"SELECT * FROM {name} NOT INDEXED").fetchall() for name in tables]  # noqa: S608 - ours
        return [schema, rows, database.execute("PRAGMA integrity_check").fetchall()]


def _unused_room(index: bytes) -> set[int]:
    """Return the positions between the cell pointers and the cells of each page, without the first of them.

    That is where a page has room for rows to come (SQLite's file format, section 1.6); each page has its own.
    """
    unused: set[int] = set()
    for start in range(0, len(index), SMALL_PAGE_BYTES):
        header = start + (_FILE_HEADER_BYTES if start == 0 else 0)
        header_bytes = _PAGE_HEADER_BYTES.get(index[header])
        if header_bytes is None:  # An overflow page, or a free one.
            continue
        cells = int.from_bytes(index[header + 3 : header + 5], "big")
        cells_start = start + int.from_bytes(index[header + 5 : header + 7], "big")
        unused.update(range(header + header_bytes + 2 * cells + 1, cells_start))
    return unused

"""What a node keeps as an owner and for owners: its catalogue, tombstones on their way, heads, and counters.

It has a database of its own, apart from the index of the slivers: that one is rebuilt from files, this one from the
network. A damaged one is set aside, and what can be had again is asked for again. Signed records are checked by whoever
loads them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import trio

from p2pnode.errors import LocalStorageError
from p2pnode.seams import Files, Offload
from p2pnode.storage.database import DamagedIndexError, Database
from p2pnode.storage.rows import Table, uint64_cell, uint64_of
from wire import limits
from wire.codec import decode, encode
from wire.errors import WireError
from wire.ids import LeaseTarget, PeerId, PublicKey
from wire.records import Envelope

log = logging.getLogger(__name__)

T = TypeVar("T")

OWNER_DATABASE = "owner.db"

CALLS_MAX = 4
"""Calls that run at a time: they queue for one lock anyway."""

_OWNED = Table("owned", (("kind", "INTEGER"), ("blob_id", "BLOB"), ("envelope", "BLOB")), 2)
_TOMBSTONES = Table("tombstones", (("target", "BLOB"), ("envelope", "BLOB"), ("until", "BLOB"), ("waiting", "BLOB")), 1)
_HEADS = Table("heads", (("owner", "BLOB"), ("envelope", "BLOB"), ("until", "BLOB"), ("brought_by", "BLOB")), 1)
_FACTS = Table("facts", (("name", "TEXT"), ("value", "BLOB")), 1)
_TABLES = (_OWNED, _TOMBSTONES, _HEADS, _FACTS)

_ENVELOPE_BYTES_MAX = limits.RECORD_BYTES_MAX + 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTombstone:
    """A tombstone of ours, and the holders that have not taken it yet."""

    envelope: Envelope
    target: LeaseTarget
    until: int
    """The end of the lease that it ends: from then on nobody needs it."""
    waiting: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptHead:
    """An owner's head that is kept for it."""

    owner: PublicKey
    envelope: Envelope
    until: int
    brought_by: PeerId


class OwnerStore:
    """The database behind an owner's things. Whatever a method has done when it returns survives power loss.

    Every method may raise `LocalStorageError`, those that write also `DiskFullError`.
    """

    def __init__(self, files: Files, offload: Offload) -> None:
        """Open nothing yet."""
        self._database = Database(files, OWNER_DATABASE)
        self._offload = offload
        self._calls = trio.CapacityLimiter(CALLS_MAX)

    @classmethod
    async def open(cls, files: Files, offload: Offload) -> Self:
        """Open the database, or a new one where it is damaged."""
        store = cls(files, offload)
        await offload.run(store._open)
        return store

    def _open(self) -> None:
        try:
            self._open_checked()
        except DamagedIndexError as error:
            self._begin_anew(error)
        except OSError as error:
            message = f"cannot open {OWNER_DATABASE}: {error}"
            raise LocalStorageError(message) from error

    def _open_checked(self) -> None:
        self._database.open()
        with self._database.writing() as connection:
            names = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in _TABLES:
                if table.name not in names:
                    connection.execute(table.create_sql())
        with self._database.reading() as connection:
            for table in _TABLES:
                for _ in table.each(connection):
                    pass

    def _begin_anew(self, error: DamagedIndexError) -> None:
        try:
            name = self._database.set_aside()
            log.error("%s; it is kept as %s, and the catalogue is asked of the network again", error, name)
            self._open_checked()
        except OSError as failed:
            message = f"cannot replace the damaged {OWNER_DATABASE}: {failed}"
            raise LocalStorageError(message) from failed

    async def close(self) -> None:
        """Close; calls after it raise `LocalStorageError`."""
        await self._offload.run(self._database.close)

    async def owned(self) -> list[Envelope]:
        """Return the records of the catalogue."""
        return await self._call(self._owned)

    def _owned(self) -> list[Envelope]:
        with self._database.reading() as connection:
            return [_envelope(row[2]) for row in _OWNED.each(connection)]

    async def save_owned(self, records: Sequence[tuple[int, bytes, Envelope]], forgotten: Sequence[bytes] = ()) -> None:
        """Keep records by their kind and blob id, and forget those of these blob ids."""
        await self._call(self._save_owned, tuple(records), tuple(forgotten))

    def _save_owned(self, records: Sequence[tuple[int, bytes, Envelope]], forgotten: Sequence[bytes]) -> None:
        with self._database.writing() as connection:
            for kind, blob_id, envelope in records:
                _OWNED.put(connection, (kind, bytes(blob_id), encode(envelope)))
            for blob_id in forgotten:
                for kind in (0, 1):
                    _OWNED.delete(connection, kind, bytes(blob_id))

    async def tombstones(self) -> list[PendingTombstone]:
        """Return our tombstones that some holders have not taken."""
        return await self._call(self._tombstones)

    def _tombstones(self) -> list[PendingTombstone]:
        with self._database.reading() as connection:
            return [
                PendingTombstone(
                    target=LeaseTarget(_bytes(target)),
                    envelope=_envelope(envelope),
                    until=uint64_of(until),
                    waiting=_peers(_bytes(waiting)),
                )
                for target, envelope, until, waiting in _TOMBSTONES.each(connection)
            ]

    async def save_tombstone(self, pending: PendingTombstone) -> None:
        """Keep a tombstone until every holder has it; with nobody left to wait for it goes."""
        await self._call(self._save_tombstone, pending)

    def _save_tombstone(self, pending: PendingTombstone) -> None:
        with self._database.writing() as connection:
            if not pending.waiting:
                _TOMBSTONES.delete(connection, bytes(pending.target))
                return
            row = (
                bytes(pending.target),
                encode(pending.envelope),
                uint64_cell(pending.until),
                b"".join(pending.waiting),
            )
            _TOMBSTONES.put(connection, row)

    async def heads(self) -> list[KeptHead]:
        """Return the heads that are kept for owners."""
        return await self._call(self._heads)

    def _heads(self) -> list[KeptHead]:
        with self._database.reading() as connection:
            return [
                KeptHead(
                    owner=PublicKey(_bytes(owner)),
                    envelope=_envelope(envelope),
                    until=uint64_of(until),
                    brought_by=PeerId(_bytes(brought_by)),
                )
                for owner, envelope, until, brought_by in _HEADS.each(connection)
            ]

    async def save_head(self, head: KeptHead, forgotten: Sequence[PublicKey] = ()) -> None:
        """Keep an owner's head instead of an earlier one, and forget those of some others."""
        await self._call(self._save_head, head, tuple(forgotten))

    def _save_head(self, head: KeptHead, forgotten: Sequence[PublicKey]) -> None:
        with self._database.writing() as connection:
            for owner in forgotten:
                _HEADS.delete(connection, bytes(owner))
            row = (bytes(head.owner), encode(head.envelope), uint64_cell(head.until), bytes(head.brought_by))
            _HEADS.put(connection, row)

    async def fact(self, name: str) -> bytes | None:
        """Return what was noted under a name."""
        return await self._call(self._fact, name)

    def _fact(self, name: str) -> bytes | None:
        with self._database.reading() as connection:
            row = _FACTS.row(connection, name)
            return None if row is None else _bytes(row[1])

    async def note_fact(self, name: str, value: bytes) -> None:
        """Note something under a name, instead of what was noted before."""
        await self._call(self._note_fact, name, value)

    def _note_fact(self, name: str, value: bytes) -> None:
        with self._database.writing() as connection:
            _FACTS.put(connection, (name, value))

    async def _call(self, function: Callable[..., T], *args: object) -> T:
        async with self._calls:
            return await self._offload.run(function, *args)


def _bytes(cell: object) -> bytes:
    if not isinstance(cell, bytes):
        message = f"a cell of {OWNER_DATABASE} has another type than it should"
        raise DamagedIndexError(message)
    return cell


def _envelope(cell: object) -> Envelope:
    try:
        return decode(_bytes(cell), Envelope, bytes_max=_ENVELOPE_BYTES_MAX)
    except WireError as error:
        message = f"a record in {OWNER_DATABASE} is damaged: {error}"
        raise DamagedIndexError(message) from error


def _peers(data: bytes) -> tuple[PeerId, ...]:
    step = PeerId.length
    return tuple(PeerId(data[start : start + step]) for start in range(0, len(data), step))

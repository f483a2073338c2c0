"""The index of pairs: what the database says is held, how large, for how long, and each blob's metadata.

Everything here can be rebuilt from the pair files and record files. The functions work inside a transaction of their
caller's and wait for nothing; they make no decision that a file would have to be asked about.
"""

from __future__ import annotations

import enum
import sqlite3
from dataclasses import dataclass

from p2pnode.storage import owner_tally
from p2pnode.storage.names import pair_name, trash_name
from p2pnode.storage.receipt_tables import TOLD_LOSSES
from p2pnode.storage.rows import Cell, Row, uint64_cell, uint64_of
from p2pnode.storage.schema import INCONSISTENT, METADATA, PAIR_LEASES, PAIRS
from wire import limits
from wire.codec import decode, encode
from wire.ids import BlobId, Digest, ShardIndex
from wire.records import MetadataRecord

_METADATA_BYTES_MAX = 64 * limits.SHARDS_MAX + 1024


class PairState(enum.IntEnum):
    """What the index believes of a pair's file."""

    HELD = 0
    LOST = 1
    """Damaged or gone: never served. Its row and what is left of its file stay until a new copy or its lease's end."""
    TRASHED = 2
    """Its last lease has ended, but not long ago: promised no more, read if asked for, and back with a renewal."""
    AWAY = 3
    """Its file was not found while a data directory was away: not served, not promised anew, and not told as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One pair. Times are whole seconds since 1970, 0 for never."""

    blob_id: BlobId
    shard: ShardIndex
    n: int
    """0 when the file's header was unreadable before anyone knew it."""
    state: PairState
    file_bytes: int
    provisional_until: int = 0
    final_until: int = 0
    """The end of the longest final lease that took effect."""
    trashed_at: int = 0
    """Since when it is in the trash."""

    @property
    def name(self) -> str:
        """The name of its file."""
        if self.state is PairState.TRASHED:
            return trash_name(self.blob_id, self.shard, self.trashed_at)
        return pair_name(self.blob_id, self.shard)

    @property
    def until(self) -> int:
        """When the last lease ends."""
        return max(self.provisional_until, self.final_until)


_IS_INCONSISTENT = "EXISTS (SELECT 1 FROM inconsistent WHERE inconsistent.blob_id = pairs.blob_id)"
"""Of a row of pairs: whether this node has checked that its blob is inconsistent."""


def _pair(row: Row) -> PairRow:
    blob_id, shard, n, state, file_bytes, provisional_until, final_until, trashed_at = row
    assert isinstance(blob_id, bytes)
    return PairRow(
        blob_id=BlobId(blob_id),
        shard=ShardIndex(int(shard)),
        n=int(n),
        state=PairState(int(state)),
        file_bytes=int(file_bytes),
        provisional_until=uint64_of(provisional_until),
        final_until=uint64_of(final_until),
        trashed_at=uint64_of(trashed_at),
    )


def pair(connection: sqlite3.Connection, blob_id: BlobId, shard: int) -> PairRow | None:
    """Return the row of one pair."""
    row = PAIRS.row(connection, blob_id, shard)
    return None if row is None else _pair(row)


def is_inconsistent(connection: sqlite3.Connection, blob_id: BlobId) -> bool:
    """Tell whether this node keeps the proof that a blob is inconsistent."""
    return INCONSISTENT.row(connection, blob_id) is not None


def pairs_of_blob(connection: sqlite3.Connection, blob_id: BlobId) -> list[PairRow]:
    """Return the rows of a blob's pairs, in the order of their shards."""
    return [_pair(row) for row in PAIRS.each(connection, "WHERE blob_id = ? ORDER BY shard", (blob_id,))]


def pairs_between(connection: sqlite3.Connection, low: bytes, high: bytes) -> list[PairRow]:
    """Return the rows whose blob ids are from `low` to `high`, both included."""
    return [_pair(row) for row in PAIRS.each(connection, "WHERE blob_id BETWEEN ? AND ?", (low, high))]


def lost_pairs(connection: sqlite3.Connection, count_max: int) -> list[PairRow]:
    """Return the rows of lost pairs, at most `count_max`."""
    return [_pair(row) for row in PAIRS.each(connection, "WHERE state = ? LIMIT ?", (PairState.LOST, count_max))]


def held_pairs_after(connection: sqlite3.Connection, key: tuple[BlobId, int] | None, count_max: int) -> list[PairRow]:
    """Return the rows of the next pairs that are held, in the order of blob id and shard; None for the first ones."""
    blob_id, shard = (b"", -1) if key is None else key
    # The plus keeps SQLite from the index by state, which would sort all that are held for each page.
    where = "WHERE (blob_id, shard) > (?, ?) AND +state = ? ORDER BY blob_id, shard LIMIT ?"
    return [_pair(row) for row in PAIRS.each(connection, where, (blob_id, shard, PairState.HELD, count_max))]


def untold_losses(connection: sqlite3.Connection, count_max: int) -> list[PairRow]:
    """Return the rows of pairs that were not retracted since they were lost, or set aside, at most `count_max`."""
    told = f"SELECT 1 FROM {TOLD_LOSSES.name} AS told WHERE told.blob_id = pairs.blob_id AND told.shard = pairs.shard"  # noqa: S608 - ours
    where = f"WHERE (state = ? OR (state = ? AND {_IS_INCONSISTENT})) AND NOT EXISTS ({told}) LIMIT ?"
    parameters = (PairState.LOST, PairState.TRASHED, count_max)
    return [_pair(row) for row in PAIRS.each(connection, where, parameters)]


def expired_pairs(connection: sqlite3.Connection, *, before: int, count_max: int) -> list[PairRow]:
    """Return pairs that never had an effective final lease and whose provisional leases ended before `before`."""
    where = "WHERE final_until = ? AND provisional_until < ? AND state NOT IN (?, ?) ORDER BY provisional_until LIMIT ?"
    parameters = (uint64_cell(0), uint64_cell(before), PairState.TRASHED, PairState.AWAY, count_max)
    found = [_pair(row) for row in PAIRS.each(connection, where, parameters)]
    assert all(each.final_until == 0 and each.until < before for each in found)
    return found


def ended_pairs(connection: sqlite3.Connection, *, before: int, count_max: int) -> list[PairRow]:
    """Return held pairs that had a final lease, and whose leases have all ended before `before`."""
    return _ended(connection, PairState.HELD, before=before, count_max=count_max)


def ended_lost_pairs(connection: sqlite3.Connection, *, before: int, count_max: int) -> list[PairRow]:
    """Return lost pairs that had a final lease, and whose leases have all ended before `before`."""
    return _ended(connection, PairState.LOST, before=before, count_max=count_max)


def _ended(connection: sqlite3.Connection, state: PairState, *, before: int, count_max: int) -> list[PairRow]:
    where = "WHERE state = ? AND final_until > ? AND final_until < ? AND provisional_until < ? LIMIT ?"
    end = uint64_cell(before)
    parameters = (state, uint64_cell(0), end, end, count_max)
    found = [_pair(row) for row in PAIRS.each(connection, where, parameters)]
    assert all(each.final_until > 0 and each.until < before for each in found)
    return found


def trashed_pairs(connection: sqlite3.Connection, *, count_max: int, before: int = limits.UINT64_MAX) -> list[PairRow]:
    """Return pairs that went to the trash before `before`, the earliest first."""
    where = "WHERE state = ? AND trashed_at < ? ORDER BY trashed_at, blob_id, shard LIMIT ?"
    return [_pair(row) for row in PAIRS.each(connection, where, (PairState.TRASHED, uint64_cell(before), count_max))]


def leased_trash(connection: sqlite3.Connection, *, now: int, count_max: int) -> list[PairRow]:
    """Return pairs in the trash with a lease that has not ended, but for those of inconsistent blobs."""
    where = f"WHERE state = ? AND (final_until >= ? OR provisional_until >= ?) AND NOT {_IS_INCONSISTENT} LIMIT ?"
    end = uint64_cell(now)
    return [_pair(row) for row in PAIRS.each(connection, where, (PairState.TRASHED, end, end, count_max))]


def put_pair(connection: sqlite3.Connection, row: PairRow) -> None:
    """Write a pair's row."""
    cells: tuple[Cell, ...] = (
        bytes(row.blob_id),
        row.shard,
        row.n,
        int(row.state),
        row.file_bytes,
        uint64_cell(row.provisional_until),
        uint64_cell(row.final_until),
        uint64_cell(row.trashed_at),
    )
    _resize(connection, row.blob_id, row.shard, row.file_bytes)
    PAIRS.put(connection, cells)
    if row.state is PairState.HELD:
        TOLD_LOSSES.delete(connection, row.blob_id, row.shard)  # Lost once more, it is retracted once more.


def _resize(connection: sqlite3.Connection, blob_id: BlobId, shard: ShardIndex, file_bytes: int) -> None:
    """Let the owners' tallies follow, before a pair's row gets another size, or goes."""
    earlier = pair(connection, blob_id, shard)
    before = 0 if earlier is None else earlier.file_bytes
    if before != file_bytes:
        owners = owner_tally.owners_of(connection, blob_id, shard)
        owner_tally.count(connection, owners, before=before, after=file_bytes)


def delete_pair(connection: sqlite3.Connection, row: PairRow) -> list[Digest]:
    """Forget a pair, and the blob's metadata with its last pair. Returns the leases that it was under."""
    _resize(connection, row.blob_id, row.shard, 0)
    under = PAIR_LEASES.rows(connection, "WHERE blob_id = ? AND shard = ?", (row.blob_id, row.shard))
    PAIR_LEASES.delete(connection, row.blob_id, row.shard)
    PAIRS.delete(connection, row.blob_id, row.shard)
    TOLD_LOSSES.delete(connection, row.blob_id, row.shard)
    if not pairs_of_blob(connection, row.blob_id):
        METADATA.delete(connection, row.blob_id)
    return [Digest(each[2]) for each in under if isinstance(each[2], bytes)]


def metadata(connection: sqlite3.Connection, blob_id: BlobId) -> MetadataRecord | None:
    """Return a blob's metadata."""
    row = METADATA.row(connection, blob_id)
    if row is None:
        return None
    assert isinstance(row[1], bytes)
    return decode(row[1], MetadataRecord, bytes_max=_METADATA_BYTES_MAX)


def put_metadata(connection: sqlite3.Connection, blob_id: BlobId, record: MetadataRecord) -> None:
    """Keep a blob's metadata; the caller made sure that the blob id commits to it."""
    METADATA.put(connection, (bytes(blob_id), encode(record)))

"""The index of tombstones: one for each target and owner, kept until no lease that it ends could still run."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from p2pnode.protocols.lease_merging import end_of, is_ended_by, outlasts
from p2pnode.storage.recordfile import kept
from p2pnode.storage.rows import Row, uint64_cell
from p2pnode.storage.schema import TOMBSTONES
from p2pnode.storage.succession_index import heirs_of
from wire import limits
from wire.codec import decode, encode
from wire.ids import Digest, PublicKey
from wire.records import Envelope, Lease, Tombstone
from wire.signed import Signed

TOMBSTONES_KEPT_MAX = 1_000_000
"""Each ends a lease that was here, so there are no more than blobs that were deleted within a lease's longest time.
Beyond it those go that would go first: about 500 bytes each, half a gigabyte of index at most."""

_ENVELOPE_BYTES_MAX = limits.RECORD_BYTES_MAX + 1024


def end_here(connection: sqlite3.Connection, lease: Signed[Lease]) -> int:
    """Return when a lease ends by all that is known here; see `lease_merging.end_of`."""
    heirs = heirs_of(connection, lease.signer)
    return min(end_of(lease, each, heirs) for each in _tombstones_for(connection, lease, heirs))


def is_buried(connection: sqlite3.Connection, lease: Signed[Lease]) -> bool:
    """Tell whether a lease's owner has ended it, as far as is known here."""
    heirs = heirs_of(connection, lease.signer)
    found = _tombstones_for(connection, lease, heirs)
    return any(each is not None and is_ended_by(lease, each, heirs) for each in found)


def _tombstones_for(
    connection: sqlite3.Connection, lease: Signed[Lease], heirs: Sequence[PublicKey]
) -> list[Signed[Tombstone] | None]:
    """Return the tombstones of a lease's target by its owner and each heir, None for those without one."""
    target = bytes(lease.record.target)
    return [_tombstone(TOMBSTONES.row(connection, target, bytes(key))) for key in (lease.signer, *heirs)]


def earlier_tombstone(connection: sqlite3.Connection, tombstone: Signed[Tombstone]) -> Signed[Tombstone] | None:
    """Return the tombstone that is kept for the same target and owner."""
    return _tombstone(TOMBSTONES.row(connection, bytes(tombstone.record.target), bytes(tombstone.signer)))


def put_tombstone(connection: sqlite3.Connection, tombstone: Signed[Tombstone]) -> None:
    """Keep a tombstone in place of the one that was kept for its target and owner."""
    cells = (bytes(tombstone.digest), encode(tombstone.envelope), uint64_cell(outlasts(tombstone)))
    TOMBSTONES.put(connection, (bytes(tombstone.record.target), bytes(tombstone.signer), *cells))


def needless_tombstones(connection: sqlite3.Connection, *, before: int, count_max: int) -> list[Signed[Tombstone]]:
    """Return tombstones that had to be kept until before `before`, and those that are too many."""
    where = "WHERE kept_until < ? ORDER BY kept_until LIMIT ?"
    rows = TOMBSTONES.rows(connection, where, (uint64_cell(before), count_max))
    too_many = connection.execute("SELECT count(*) FROM tombstones").fetchone()[0] - len(rows) - TOMBSTONES_KEPT_MAX
    if too_many > 0:
        count = min(too_many, count_max)
        rows += TOMBSTONES.rows(
            connection, "WHERE kept_until >= ? ORDER BY kept_until LIMIT ?", (uint64_cell(before), count)
        )
    return [each for each in map(_tombstone, rows) if each is not None]


def forget_tombstone(connection: sqlite3.Connection, digest: Digest) -> None:
    """Forget the tombstone whose record has this digest."""
    for row in TOMBSTONES.rows(connection, "WHERE tombstone = ?", (bytes(digest),)):
        TOMBSTONES.delete(connection, row[0], row[1])


def _tombstone(row: Row | None) -> Signed[Tombstone] | None:
    if row is None:
        return None
    assert isinstance(row[3], bytes), "only bytes are written to this column"
    return kept(decode(row[3], Envelope, bytes_max=_ENVELOPE_BYTES_MAX), Tombstone)

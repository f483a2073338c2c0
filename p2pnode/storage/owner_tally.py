"""Tallies: what is kept under the leases of each owner, counted with every row, so that no request scans the index.

A pair counts in full, in blocks of the disk, for each owner that has a lease on it here, be it pending or over: a lease
counts until it is replaced or its pair goes. So the tally never shows less than an owner makes us keep. What several
owners want counts for each of them.

The one that asks: newcomers may keep only a part of the quota together (`p2pnode/protocols/owners_cap.py`). Owner keys
cost nothing, so there may be millions of tallies; owners that we rely on are few. Hence the sum over all is kept too,
and what the newcomers have is that sum without the tallies of the others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence

from p2pnode.errors import NewcomersQuotaError
from p2pnode.protocols.owners_cap import OwnersCap
from p2pnode.storage import succession_index
from p2pnode.storage.quota import on_disk
from p2pnode.storage.schema import LEASES, OWNER_TALLIES, PAIR_LEASES
from wire.ids import BlobId, PublicKey

_ALL = b""
"""The key of the sum over all owners; an owner's own key has 32 bytes."""


def owners_of(connection: sqlite3.Connection, blob_id: BlobId, shard: int) -> set[bytes]:
    """Return the owners with a lease on a pair."""
    leases = PAIR_LEASES.rows(connection, "WHERE blob_id = ? AND shard = ?", (blob_id, shard))
    rows = [LEASES.row(connection, digest) for _, _, digest, _ in leases]
    return {owner for row in rows if row is not None and isinstance(owner := row[3], bytes)}


def count(connection: sqlite3.Connection, owners: Iterable[bytes], *, before: int, after: int) -> None:
    """Note that a pair of these owners has changed its size, in bytes; 0 is one that is not there."""
    change = on_disk(after) - on_disk(before)
    if change:
        for owner in owners:
            for key in (owner, _ALL):
                OWNER_TALLIES.put(connection, (key, _tally(connection, key) + change))


def newcomers_bytes(connection: sqlite3.Connection, relied_on: Collection[PublicKey]) -> int:
    """Return what is kept for all owners but those that we rely on."""
    relied_on = with_predecessors(connection, relied_on)
    marks = ", ".join("?" * len(relied_on))
    rows = OWNER_TALLIES.rows(connection, f"WHERE owner IN ({marks})", [bytes(each) for each in relied_on])
    return _tally(connection, _ALL) - sum(int(tally) for _, tally in rows)


def with_predecessors(connection: sqlite3.Connection, owners: Collection[PublicKey]) -> set[PublicKey]:
    """Return owners with the keys that they have succeeded: what those have here is theirs until it is renewed."""
    found = set(owners)
    if succession_index.count(connection):
        found.update(key for owner in owners for key in succession_index.predecessors_of(connection, owner))
    return found


def refuse_beyond_cap(
    connection: sqlite3.Connection,
    cap: OwnersCap | None,
    owners: Collection[PublicKey],
    pairs: Sequence[tuple[BlobId, int, int]],
) -> None:
    """Raise `NewcomersQuotaError` when newcomers would keep more than they may with these pairs under their leases.

    Each pair is given as blob id, shard and size in bytes. One that is counted for its owner already adds nothing, so
    that nobody who was let in is kept from renewing.
    """
    if cap is None or all(each in cap.relied_on for each in owners):
        return
    relied_on = with_predecessors(connection, cap.relied_on)
    newcomers = {bytes(each) for each in owners if each not in relied_on}
    if not newcomers:
        return
    added = sum(
        on_disk(size) * len(newcomers - owners_of(connection, blob_id, shard)) for blob_id, shard, size in pairs
    )
    if not added:
        return
    kept = newcomers_bytes(connection, cap.relied_on)
    if kept + added > cap.bytes_max:
        message = (
            f"owners without a member that is vetted here may keep {cap.bytes_max} bytes of this node together, {kept}"
            f" are kept, {added} would be added: ask other nodes, or wait until yours has passed its vetting here"
        )
        raise NewcomersQuotaError(message)


def _tally(connection: sqlite3.Connection, owner: bytes) -> int:
    row = OWNER_TALLIES.row(connection, owner)
    return 0 if row is None else int(row[1])

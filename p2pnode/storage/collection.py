"""Collection: removing pairs that only provisional leases ever covered, once those have ended. Runs in worker threads.

The row goes first, in one commit, then the file: a crash between the two leaves a file that the next start adopts
with its expired lease, accounted and collected again. The other order would leave a row that promises a missing file.
What had a final lease that took effect stays, also when it has expired: its way leads through the trash.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from p2pnode.storage import index, lease_index
from p2pnode.storage.engine import Engine
from p2pnode.storage.index import PairRow, PairState
from p2pnode.storage.names import pair_directory, pair_name, record_name
from wire import limits
from wire.ids import BlobId, Digest, ShardIndex

COLLECT_PAIRS_MAX = 64
"""Pairs removed in one call: writes wait for it, and 64 removals take well under a second on a slow disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one call removed."""

    pairs: tuple[tuple[BlobId, ShardIndex], ...]
    bytes_freed: int
    has_more: bool
    """Whether there may be more to collect now: call again."""


def collect(engine: Engine, now: float) -> Collected:
    """Remove expired pairs, at most COLLECT_PAIRS_MAX. Raises as `SliverStore.collect` says."""
    with engine.writing_disk(), engine.mutation:
        rows, records = _forget(engine, now)
        engine.unwanted |= {pair_name(row.blob_id, row.shard) for row in rows}
        bytes_freed = sum(_remove_file(engine, name) for name in sorted(engine.unwanted))
        for digest in records:  # Before anything that can fail: nobody remembers them later.
            engine.discard(record_name(digest))
        for directory in sorted({pair_directory(row.blob_id) for row in rows}):
            engine.files.sync_directory(directory)
        if rows:
            engine.note_disk()
    return Collected(
        pairs=tuple((row.blob_id, row.shard) for row in rows),
        bytes_freed=bytes_freed,
        has_more=len(rows) == COLLECT_PAIRS_MAX,
    )


def _forget(engine: Engine, now: float) -> tuple[list[PairRow], list[Digest]]:
    before = min(max(0, math.ceil(now)), limits.UINT64_MAX)  # A lease that ends in this very second still holds.
    with engine.database.reading() as connection:  # Most calls find nothing: they write nothing then.
        rows = index.expired_pairs(connection, before=before, count_max=COLLECT_PAIRS_MAX)
    if not rows:
        return [], []
    leases: list[Digest] = []
    with engine.database.writing() as connection:
        for row in rows:
            leases += index.delete_pair(connection, row)
        records = lease_index.drop_unused_leases(connection, leases)
    engine.quota.change(pairs=-sum(row.state is PairState.HELD for row in rows))
    return rows, records


def _remove_file(engine: Engine, name: str) -> int:
    """Remove a collected pair's file; returns the bytes that this freed. Raises `OSError`; a later call tries again."""
    file_bytes = engine.size_or_zero(name)
    if file_bytes:
        engine.files.remove(name)
        engine.quota.change(used_bytes=-file_bytes)
    engine.unwanted.discard(name)
    return file_bytes

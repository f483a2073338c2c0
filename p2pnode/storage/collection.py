"""Collection: what has expired goes, in bounded steps. Runs in worker threads.

What only provisional leases covered, and what is damaged, is removed once its leases have ended. What had a final lease
goes to the trash, and is removed when its time there is over; what has a lease again is taken back out.

The row goes first, in one commit, then the file: a crash between the two leaves a file that the next start adopts
with its expired lease, accounted and collected again. The other order would leave a row that promises a missing file.
Records go with what they speak of: a lease with its last pair, a certificate that has ended with the last pair of its
page, a tombstone when nothing that it ends could still run, a succession when its predecessor has no lease any more.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from p2pnode.storage import index, lease_index, page_index, page_store, succession_index, tombstone_index, trash
from p2pnode.storage.engine import Engine
from p2pnode.storage.index import PairRow, PairState
from p2pnode.storage.names import directory_of, record_name
from p2pnode.storage.quota import on_disk
from wire import limits
from wire.ids import BlobId, Digest, ShardIndex

COLLECT_PAIRS_MAX = 64
"""Pairs removed in one call, and as many moved: writes wait for it, and it takes well under a second on a slow disk."""

COLLECT_RECORDS_MAX = 256
"""Certificates looked at in one call; tombstones, and successions, forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one call did."""

    pairs: tuple[tuple[BlobId, ShardIndex], ...]
    """Those that were removed."""
    trashed: tuple[tuple[BlobId, ShardIndex], ...]
    """Those that went to the trash."""
    bytes_freed: int
    has_more: bool
    """Whether there may be more to collect now: call again."""


def collect(engine: Engine, now: float) -> Collected:
    """Remove expired pairs, at most COLLECT_PAIRS_MAX. Raises as `SliverStore.collect` says."""
    before = min(max(0, math.ceil(now)), limits.UINT64_MAX)  # A lease that ends in this very second still holds.
    with engine.writing_disk(), engine.mutation:
        taken_back = _take_back_leased(engine, before)
        rows = _expired(engine, before)
        bytes_freed = _remove(engine, rows)
        trashed = _put_away(engine, before)
        records = _collect_records(engine, before)
    return Collected(
        pairs=_keys(rows),
        trashed=_keys(trashed),
        bytes_freed=bytes_freed,
        has_more=COLLECT_PAIRS_MAX in {taken_back, len(rows), len(trashed)} or records,
    )


def empty_trash(engine: Engine) -> Collected:
    """Remove what is in the trash, at most COLLECT_PAIRS_MAX pairs. Raises as `SliverStore.empty_trash` says."""
    with engine.writing_disk(), engine.mutation:
        with engine.database.reading() as connection:
            rows = index.trashed_pairs(connection, count_max=COLLECT_PAIRS_MAX)
        bytes_freed = _remove(engine, rows)
    has_more = len(rows) == COLLECT_PAIRS_MAX
    return Collected(pairs=_keys(rows), trashed=(), bytes_freed=bytes_freed, has_more=has_more)


def _keys(rows: Sequence[PairRow]) -> tuple[tuple[BlobId, ShardIndex], ...]:
    return tuple((row.blob_id, row.shard) for row in rows)


def _take_back_leased(engine: Engine, before: int) -> int:
    """Have back what has a lease after all: the clock was wrong, or a crash came between a renewal and its work."""
    with engine.database.reading() as connection:
        rows = index.leased_trash(connection, now=before, count_max=COLLECT_PAIRS_MAX)
    intact = [row for row in rows if trash.is_intact(engine, row)]
    if intact:
        trash.take_back(engine, intact)
    for row in rows:
        if row not in intact:
            trash.drop_damaged(engine, row)
    return len(rows)


def _put_away(engine: Engine, before: int) -> list[PairRow]:
    with engine.database.reading() as connection:
        rows = index.ended_pairs(connection, before=before, count_max=COLLECT_PAIRS_MAX)
    if rows:
        trash.put_away(engine, rows, at=before)
    return rows


def _expired(engine: Engine, before: int) -> list[PairRow]:
    """Return what is to be removed now; most calls find nothing and write nothing then."""
    rows: list[PairRow] = []
    with engine.database.reading() as connection:
        rows += index.expired_pairs(connection, before=before, count_max=COLLECT_PAIRS_MAX)
        room = COLLECT_PAIRS_MAX - len(rows)
        rows += index.ended_lost_pairs(connection, before=before, count_max=room)
        room = COLLECT_PAIRS_MAX - len(rows)
        rows += index.trashed_pairs(connection, before=max(0, before - engine.trash_s), count_max=room)
    return rows


def _remove(engine: Engine, rows: Sequence[PairRow]) -> int:
    """Forget pairs and remove their files, and those that an earlier call could not. Returns the bytes freed."""
    records = _forget(engine, rows) if rows else []
    engine.unwanted |= {row.name for row in rows}
    bytes_freed = sum(_remove_file(engine, name) for name in sorted(engine.unwanted))
    for digest in records:  # Before anything that can fail: nobody remembers them later.
        engine.discard(record_name(digest))
    for directory in sorted({directory_of(row.name) for row in rows}):
        engine.files.sync_directory(directory)
    return bytes_freed


def _forget(engine: Engine, rows: Sequence[PairRow]) -> list[Digest]:
    leases: list[Digest] = []
    with engine.database.writing() as connection:
        for row in rows:
            leases += index.delete_pair(connection, row)
        records = lease_index.drop_unused_leases(connection, leases)
    engine.quota.change(
        pairs=-sum(row.state is PairState.HELD for row in rows),
        trash_bytes=-sum(on_disk(row.file_bytes) for row in rows if row.state is PairState.TRASHED),
    )
    return records


def _remove_file(engine: Engine, name: str) -> int:
    """Remove a collected pair's file; returns the bytes that this freed. Raises `OSError`; a later call tries again."""
    file_bytes = engine.size_or_zero(name)
    if file_bytes:
        engine.files.remove(name)
    engine.unwanted.discard(name)
    return file_bytes


def _collect_records(engine: Engine, before: int) -> bool:
    """Forget certificates, tombstones and successions of no further use. Returns whether there may be more."""
    with engine.database.reading() as connection:
        ended = lease_index.ended_certificates(
            connection, before=before, after=engine.certificate_seen, count_max=COLLECT_RECORDS_MAX
        )
        useless = [each.digest for each in ended if not lease_index.is_certificate_needed(connection, each)]
        tombstones = tombstone_index.needless_tombstones(connection, before=before, count_max=COLLECT_RECORDS_MAX)
        successions = succession_index.needless_successions(connection, before=before, count_max=COLLECT_RECORDS_MAX)
        pages = [page for each in useless for page in page_index.pages_of_certificate(connection, each)]
    ended_by = [each.digest for each in tombstones]
    succeeded = [each.digest for each in successions]
    records = [*useless, *ended_by, *succeeded]
    if records:
        with page_store.changing(engine, pages) as connection:
            for each in succeeded:
                succession_index.forget_succession(connection, each)
            records += _forget_records(connection, useless, ended_by)
        for digest in records:
            engine.discard(record_name(digest))
    has_more = len(ended) == COLLECT_RECORDS_MAX
    engine.certificate_seen = ended[-1].digest if has_more else Digest(bytes(Digest.length))
    return has_more or COLLECT_RECORDS_MAX in {len(tombstones), len(successions)}


def _forget_records(
    connection: sqlite3.Connection, certificates: Sequence[Digest], tombstones: Sequence[Digest]
) -> list[Digest]:
    """Forget these. Returns the lease records that nobody needs then."""
    leases = [lease_index.delete_certificate(connection, each) for each in certificates]
    for each in tombstones:
        tombstone_index.forget_tombstone(connection, each)
    return lease_index.drop_unused_leases(connection, [each for each in leases if each is not None])

"""The trash: pairs whose last lease has ended, readable for a while and back at once with a renewal.

A pair goes there and comes back by a rename within its directory, durable before the index is told: so its place is
known when the index is lost, and a crash leaves it in one of the two. It is served when somebody asks for it, because
a reader who still counts on it loses nothing then, but it is not told among what is held: nobody shall begin to count
on it. Runs in worker threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from p2pnode.errors import DiskFullError, NotFoundError
from p2pnode.storage import index, reader
from p2pnode.storage.engine import Engine, is_damage
from p2pnode.storage.index import PairRow, PairState
from p2pnode.storage.names import directory_of
from p2pnode.storage.quota import on_disk
from p2pnode.storage.sealed import DamagedFileError
from wire.ids import BlobId, ShardIndex

TRASH_LISTED_MAX = 10_000
"""Pairs of the trash that are told at a time: more than anybody reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashedPair:
    """A pair in the trash."""

    blob_id: BlobId
    shard: ShardIndex
    file_bytes: int
    trashed_at: int
    """Seconds since 1970."""
    removed_at: int
    """When its time in the trash is over: the next collection after that removes it."""


def put_away(engine: Engine, rows: Sequence[PairRow], *, at: int) -> None:
    """Move held pairs to the trash. Call it under `mutation`. Raises `OSError` or `DiskFullError`: nothing moved."""
    _move(engine, rows, [replace(row, state=PairState.TRASHED, trashed_at=at) for row in rows])
    engine.quota.change(pairs=-len(rows), trash_bytes=_space(rows))


def take_back(engine: Engine, rows: Sequence[PairRow]) -> None:
    """Move pairs out of the trash. Call it under `mutation`. Raises `OSError` or `DiskFullError`: nothing moved."""
    _move(engine, rows, [replace(row, state=PairState.HELD, trashed_at=0) for row in rows])
    engine.quota.change(pairs=len(rows), trash_bytes=-_space(rows))


def drop_damaged(engine: Engine, row: PairRow) -> None:
    """Let go of a damaged file in the trash: the pair counts as lost, until a new copy or the next collection."""
    engine.files.remove(row.name)
    with engine.database.writing() as connection:
        index.put_pair(connection, replace(row, state=PairState.LOST, file_bytes=0, trashed_at=0))
    engine.quota.change(trash_bytes=-_space([row]))


def is_intact(engine: Engine, row: PairRow) -> bool:
    """Look at every byte of a pair's file: before it is promised anew. Raises `OSError` when that cannot be told."""
    try:
        reader.check_whole_file(engine, row)
    except DamagedFileError:
        return False
    except OSError as error:
        if not is_damage(error):
            raise
        return False
    return True


def listed(engine: Engine) -> list[TrashedPair]:
    """Return what is in the trash, the earliest first."""
    with engine.database.reading() as connection:
        rows = index.trashed_pairs(connection, count_max=TRASH_LISTED_MAX)
    return [
        TrashedPair(
            blob_id=row.blob_id,
            shard=row.shard,
            file_bytes=row.file_bytes,
            trashed_at=row.trashed_at,
            removed_at=row.trashed_at + engine.trash_s,
        )
        for row in rows
    ]


def restore(engine: Engine, blob_id: BlobId) -> int:
    """Let the time in the trash begin anew for a blob's pairs. Returns and raises as `SliverStore.restore` says."""
    now = int(engine.clock.wall())
    with engine.writing_disk(), engine.mutation:
        with engine.database.reading() as connection:
            rows = [row for row in index.pairs_of_blob(connection, blob_id) if row.state is PairState.TRASHED]
        if not rows:
            message = f"no pair of blob {blob_id.text()} is in the trash of this node"
            raise NotFoundError(message)
        _move(engine, rows, [replace(row, trashed_at=max(now, row.trashed_at)) for row in rows])
    return len(rows)


def _move(engine: Engine, rows: Sequence[PairRow], moved: Sequence[PairRow]) -> None:
    """Rename the files, make that durable, and only then tell the index; a full disk undoes all of it."""
    done: list[tuple[str, str]] = []
    try:
        for old, new in zip(rows, moved, strict=True):
            engine.files.rename(old.name, new.name)
            engine.unwanted.discard(new.name)
            done.append((old.name, new.name))
        _sync(engine, rows)
        with engine.database.writing() as connection:
            for row in moved:
                index.put_pair(connection, row)
    except (OSError, DiskFullError):
        _undo(engine, rows, done)
        raise


def _undo(engine: Engine, rows: Sequence[PairRow], done: Sequence[tuple[str, str]]) -> None:
    """Rename files back. Where that fails the index does not know where they are until the store is opened anew."""
    try:
        for old_name, new_name in reversed(done):
            engine.files.rename(new_name, old_name)
        _sync(engine, rows)
    except OSError as error:
        if engine.files.away() == engine.away:  # Else the index is made to agree with the files right away.
            engine.fail(f"cannot undo a move to or from the trash: {error.strerror or error}")
        raise


def _space(rows: Sequence[PairRow]) -> int:
    return sum(on_disk(row.file_bytes) for row in rows)


def _sync(engine: Engine, rows: Sequence[PairRow]) -> None:
    for directory in sorted({directory_of(row.name) for row in rows}):
        engine.files.sync_directory(directory)

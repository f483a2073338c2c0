"""Giving pairs up that others keep from now on: the files go, the rows say lost, and so they are retracted once.

Runs in worker threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from p2pnode.storage import index
from p2pnode.storage.engine import Engine
from p2pnode.storage.index import PairState
from p2pnode.storage.names import directory_of
from wire.ids import BlobId, ShardIndex


def drop(engine: Engine, pairs: Sequence[tuple[BlobId, ShardIndex]]) -> int:
    """Remove the files of those of these pairs that are held; return how many. Raises as `SliverStore.drop` says.

    The files first: a crash in between leaves rows without a file, which the next start takes for lost as well.
    """
    with engine.writing_disk(), engine.mutation:
        with engine.database.reading() as connection:
            rows = [row for pair in pairs if (row := index.pair(connection, *pair)) is not None]
        held = [row for row in rows if row.state is PairState.HELD]
        for row in held:
            engine.files.remove(row.name)
        for directory in sorted({directory_of(row.name) for row in held}):
            engine.files.sync_directory(directory)
        with engine.database.writing() as connection:
            for row in held:
                index.put_pair(connection, replace(row, state=PairState.LOST, file_bytes=0))
        engine.quota.change(pairs=-len(held))
        engine.has_untold_losses = True
    return len(held)

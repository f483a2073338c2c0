"""Looking at every pair that the index says is held: each file is there, whole, and what it should be.

Reads do that for what they read, and the start for names and sizes. Here it is all bytes of all files, step by step:
now and then, and at once when the whole disk is in doubt. What is damaged or gone counts as lost from then on. Runs in
worker threads.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnode.storage import index, reader
from p2pnode.storage.engine import Engine, is_damage
from p2pnode.storage.index import PairRow
from p2pnode.storage.names import PairKey
from p2pnode.storage.sealed import DamagedFileError, NewerFormatError

RESCAN_PAIRS_MAX = 16
"""Pairs read in one call: 64 MiB at most, so that other reads get their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescanned:
    """What one call looked at."""

    pairs: int
    file_bytes: int
    """What was read, as the index says."""
    lost: int
    last: PairKey | None
    """Where to go on; None when all pairs were looked at."""


def rescan(engine: Engine, after: PairKey | None) -> Rescanned:
    """Look at the next pairs, at most RESCAN_PAIRS_MAX. Raises as `SliverStore.rescan` says."""
    with engine.database.reading() as connection:
        rows = index.held_pairs_after(connection, after, RESCAN_PAIRS_MAX)
    lost = sum(_is_lost(engine, row) for row in rows)
    last = PairKey(rows[-1].blob_id, rows[-1].shard) if len(rows) == RESCAN_PAIRS_MAX else None
    return Rescanned(pairs=len(rows), file_bytes=sum(row.file_bytes for row in rows), lost=lost, last=last)


def _is_lost(engine: Engine, row: PairRow) -> bool:
    try:
        reader.check_whole_file(engine, row)
    except NewerFormatError:
        return False  # Reading it says so, and losing it would be wrong.
    except DamagedFileError as error:
        return reader.condemn(engine, row, str(error))
    except OSError as error:
        return is_damage(error) and reader.condemn(engine, row, error.strerror or str(error))
    return False

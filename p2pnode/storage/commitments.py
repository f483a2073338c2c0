"""What commitments need of the disk: the pairs that are held, those that changed since, and the last epoch signed for.

SQLite itself notes which rows of pairs change, in a table of its own memory that a rollback takes back as well: so no
change is missed, whoever makes it, and nothing is written for it. It begins with `watch`, on one open database: after
the index was made anew nobody watches, and everything is read again. Runs in worker threads.
"""

from __future__ import annotations

import sqlite3

from p2pnode.protocols.entry_tree import Entry, Key
from p2pnode.storage import index
from p2pnode.storage.engine import Engine
from p2pnode.storage.index import PairRow, PairState
from p2pnode.storage.rows import uint64_cell, uint64_of
from p2pnode.storage.schema import COUNTERS
from wire.ids import BlobId, ShardIndex

ENTRIES_MAX = 8192
"""Rows read in one call: a twentieth of a second, in which nobody else has the index."""

LAST_EPOCH = "commitment epoch"
"""The name of the last epoch among the numbers; it is none that goes on by itself."""

_WATCH = (
    "CREATE TEMP TABLE changed_pairs (blob_id BLOB, shard INTEGER, PRIMARY KEY (blob_id, shard)) WITHOUT ROWID",
    """CREATE TEMP TRIGGER note_put AFTER INSERT ON main.pairs
       BEGIN INSERT OR IGNORE INTO changed_pairs VALUES (NEW.blob_id, NEW.shard); END""",
    """CREATE TEMP TRIGGER note_deleted AFTER DELETE ON main.pairs
       BEGIN INSERT OR IGNORE INTO changed_pairs VALUES (OLD.blob_id, OLD.shard); END""",
)
"""Rows of pairs are put and deleted, never updated."""


def watch(engine: Engine) -> None:
    """Begin to note what changes, from nothing."""
    with engine.database.exclusive():
        with engine.database.reading() as connection:
            connection.execute("PRAGMA temp_store = MEMORY")
        with engine.database.writing() as connection:
            if _is_watched(connection):
                connection.execute("DELETE FROM temp.changed_pairs")
                return
            for statement in _WATCH:
                connection.execute(statement)


def _is_watched(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_temp_master WHERE name = 'changed_pairs'").fetchone() is not None


def take_changes(engine: Engine) -> dict[Key, Entry | None] | None:
    """Return what became of the pairs that changed since it was asked last, at most ENTRIES_MAX; None unless watched.

    A pair that is not held (any more) has no entry. Call it until it returns nothing.
    """
    with engine.database.writing() as connection:
        if not _is_watched(connection):
            return None
        sql = "SELECT blob_id, shard FROM temp.changed_pairs ORDER BY blob_id, shard LIMIT ?"
        keys = [(BlobId(row[0]), ShardIndex(row[1])) for row in connection.execute(sql, (ENTRIES_MAX,))]
        if keys:
            last = (bytes(keys[-1][0]), keys[-1][1])
            connection.execute("DELETE FROM temp.changed_pairs WHERE (blob_id, shard) <= (?, ?)", last)
        return {key: _entry_of(index.pair(connection, *key)) for key in keys}


def entries_after(engine: Engine, key: Key | None) -> dict[Key, Entry | None]:
    """Return the entries of the next pairs that are held, in order, at most ENTRIES_MAX; None for the first ones."""
    with engine.database.reading() as connection:
        rows = index.held_pairs_after(connection, key, ENTRIES_MAX)
    return {(row.blob_id, row.shard): _entry_of(row) for row in rows}


def _entry_of(row: PairRow | None) -> Entry | None:
    if row is None or row.state is not PairState.HELD:
        return None
    return Entry(blob_id=row.blob_id, shard=row.shard, pair_bytes=row.file_bytes, lease_end=row.until)


def last_epoch(engine: Engine) -> int:
    """Return the last epoch that a commitment was signed for, as far as this disk knows; 0 for none."""
    with engine.database.reading() as connection:
        row = COUNTERS.row(connection, LAST_EPOCH)
    return uint64_of(row[1]) if row else 0


def note_epoch(engine: Engine, epoch: int) -> None:
    """Make durable that a commitment may be signed for an epoch from now on."""
    with engine.writing_disk(), engine.database.writing() as connection:
        COUNTERS.put(connection, (LAST_EPOCH, uint64_cell(epoch)))

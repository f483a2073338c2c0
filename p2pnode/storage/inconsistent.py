"""Inconsistent blobs: those of which this node has checked the proof. What is kept of them lies in the trash.

They come out of it by no lease, are not taken in again, and are retracted as what is lost. A node that has lost its
index has forgotten them, and finds out anew. Runs in worker threads.
"""

from __future__ import annotations

from collections.abc import Iterable

from p2pnode.errors import LeaseError
from p2pnode.protocols.inconsistency import KEPT_MAX, Contradiction
from p2pnode.storage import index, trash
from p2pnode.storage.engine import Engine
from p2pnode.storage.index import PairState
from p2pnode.storage.rows import uint64_cell
from p2pnode.storage.schema import INCONSISTENT
from wire import limits
from wire.codec import decode, encode
from wire.ids import BlobId
from wire.inconsistency import InconsistentBlob


def set_aside(engine: Engine, contradiction: Contradiction) -> int:
    """Keep a checked proof, and move what is held of its blob to the trash; return how many pairs that were.

    The proof first: after a crash in between the same call ends it.
    """
    now = int(engine.clock.wall())
    with engine.writing_disk(), engine.mutation:
        with engine.database.writing() as connection:
            if INCONSISTENT.row(connection, contradiction.blob_id) is None:
                proof = (encode(contradiction.message), contradiction.symbols)
                INCONSISTENT.put(connection, (bytes(contradiction.blob_id), uint64_cell(now), *proof))
            for row in INCONSISTENT.rows(connection, "ORDER BY noted_at DESC, blob_id LIMIT -1 OFFSET ?", (KEPT_MAX,)):
                INCONSISTENT.delete(connection, row[0])
        with engine.database.reading() as connection:
            rows = index.pairs_of_blob(connection, contradiction.blob_id)
        held = [row for row in rows if row.state is PairState.HELD]
        if held:
            trash.put_away(engine, held, at=now)
        engine.has_untold_losses = True
    return len(held)


def load(engine: Engine) -> list[Contradiction]:
    """Return the proofs that are kept, the earliest first."""
    found = []
    with engine.database.reading() as connection:
        for blob_id, _, message, symbols in INCONSISTENT.each(connection, "ORDER BY noted_at, blob_id"):
            assert isinstance(blob_id, bytes)
            assert isinstance(message, bytes)
            assert isinstance(symbols, bytes)
            opened = decode(message, InconsistentBlob, bytes_max=limits.MESSAGE_BYTES_MAX)
            found.append(Contradiction(BlobId(blob_id), opened, symbols))
    return found


def refuse(engine: Engine, blob_ids: Iterable[BlobId]) -> None:
    """Raise `LeaseError` when one of these blobs is inconsistent: nobody is promised anything of it."""
    with engine.database.reading() as connection:
        for blob_id in blob_ids:
            if index.is_inconsistent(connection, blob_id):
                message = f"blob {blob_id} is inconsistent, as this node has checked: it is not kept"
                raise LeaseError(message)

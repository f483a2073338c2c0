"""Member records kept over a restart, so that a node finds its peers again without its bootstrap node."""

from __future__ import annotations

from collections.abc import Sequence

from p2pnode.storage.engine import Engine
from p2pnode.storage.rows import uint64_cell, uint64_of
from p2pnode.storage.schema import MEMBERS
from wire import limits
from wire.codec import decode, encode
from wire.records import Envelope, MemberRecord

_ENVELOPE_BYTES_MAX = limits.RECORD_BYTES_MAX + 1024


def save_members(engine: Engine, envelopes: Sequence[Envelope]) -> None:
    """Keep these records where they are newer than those kept. Raises as `SliverStore.save_members` says."""
    records = [(decode(each.body, MemberRecord, bytes_max=limits.RECORD_BYTES_MAX), each) for each in envelopes]
    with engine.writing_disk(), engine.database.writing() as connection:
        for record, envelope in records:
            row = MEMBERS.row(connection, envelope.signer)
            if row is None or uint64_of(row[1]) < record.sequence:
                cells = (uint64_cell(record.sequence), uint64_cell(record.time), encode(envelope))
                MEMBERS.put(connection, (bytes(envelope.signer), *cells))
        count = connection.execute("SELECT count(*) FROM members").fetchone()[0]
        if count > limits.MEMBERS_KEPT_MAX:
            oldest = MEMBERS.rows(connection, "ORDER BY time, signer LIMIT ?", (count - limits.MEMBERS_KEPT_MAX,))
            for each in oldest:
                MEMBERS.delete(connection, each[0])


def load_members(engine: Engine) -> list[Envelope]:
    """Return the records that are kept, in the order of their signers' keys."""
    with engine.database.reading() as connection:
        rows = MEMBERS.rows(connection, "ORDER BY signer")
    packed = [cell for _, _, _, cell in rows]
    return [decode(cell, Envelope, bytes_max=_ENVELOPE_BYTES_MAX) for cell in packed if isinstance(cell, bytes)]

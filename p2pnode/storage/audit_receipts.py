"""Audit receipts that this node has a part in, kept over a restart: what a ledger will be made from."""

from __future__ import annotations

from collections.abc import Collection

from p2pnode.protocols.audit_receipts import Countersigned
from p2pnode.storage.engine import Engine
from p2pnode.storage.rows import uint64_cell
from p2pnode.storage.schema import AUDIT_RECEIPTS
from wire import limits
from wire.audit_receipts import AuditReceipt
from wire.codec import decode, encode
from wire.ids import Digest, Signature
from wire.records import Envelope


def save_audit_receipts(engine: Engine, new: Collection[Countersigned], gone: Collection[Digest]) -> None:
    """Keep some receipts, and let others go; those that are not kept are none."""
    with engine.writing_disk(), engine.database.writing() as connection:
        for name in gone:
            AUDIT_RECEIPTS.delete(connection, bytes(name))
        for each in new:
            row = (uint64_cell(each.time), encode(each.statement), bytes(each.countersignature))
            AUDIT_RECEIPTS.put(connection, (bytes(each.name), *row))


def load_audit_receipts(engine: Engine) -> list[Countersigned]:
    """Return the receipts that are kept, by time."""
    found = []
    with engine.database.reading() as connection:
        for _, _, data, countersignature in AUDIT_RECEIPTS.each(connection, "ORDER BY time, name"):
            assert isinstance(data, bytes)
            assert isinstance(countersignature, bytes)
            statement = decode(data, Envelope, bytes_max=limits.RECORD_BYTES_MAX)
            record = decode(statement.body, AuditReceipt, bytes_max=limits.RECORD_BYTES_MAX)
            signature = Signature(countersignature)
            found.append(Countersigned(record=record, statement=statement, countersignature=signature))
    return found

"""Successions: an owner's new key acts for its old one, and nothing newer that the old one signs counts.

One is kept only if it is about something here, so that strangers cannot fill the disk with keys that own nothing.
Runs in worker threads.
"""

from __future__ import annotations

import sqlite3

from p2pnode.errors import DiskFullError, QuotaError
from p2pnode.storage import lease_index, succession_index, tombstone_index
from p2pnode.storage.burying import note_end
from p2pnode.storage.engine import Engine
from p2pnode.storage.names import record_name
from p2pnode.storage.recordfile import KeptSuccession, record_bytes
from wire.ids import PublicKey
from wire.ownership import Succession
from wire.records import Envelope
from wire.signed import Signed

SUCCESSIONS_KEPT_MAX = 100_000
"""Owners that keep something here and have rotated their key within a month: about a kilobyte each."""


def succeed(engine: Engine, succession: Signed[Succession], is_needed: bool) -> bool:  # noqa: FBT001 - a worker's call
    """Let an owner's successor act for it, durably. Returns and raises as `SliverStore.succeed` says."""
    with engine.writing_disk(), engine.mutation:
        with engine.database.reading() as connection:
            if succession_index.succession_of(connection, succession.record.predecessor) is not None:
                return True  # The first stands: who has the old key cannot undo it.
            if not is_needed and not _is_about_something(connection, succession.record.predecessor):
                return False
            if succession_index.count(connection) >= SUCCESSIONS_KEPT_MAX:
                message = f"{SUCCESSIONS_KEPT_MAX} successions of owners are kept already"
                raise QuotaError(message)
        name = record_name(succession.digest)
        engine.write_durably(name, record_bytes(KeptSuccession(succession=succession.envelope)))
        try:
            with engine.database.writing() as connection:
                apply_succession(connection, succession)
        except DiskFullError:
            engine.discard(name)
            raise
        return True


def succession(engine: Engine, owner: PublicKey) -> Envelope | None:
    """Return the succession of an owner that is kept here."""
    with engine.database.reading() as connection:
        found = succession_index.succession_of(connection, owner)
    return None if found is None else found.envelope


def apply_succession(connection: sqlite3.Connection, succession: Signed[Succession]) -> None:
    """Keep a succession in the index, and let the predecessors' leases end where a successor has ended them."""
    succession_index.put_succession(connection, succession)
    predecessor = succession.record.predecessor
    for owner in (predecessor, *succession_index.predecessors_of(connection, predecessor)):
        for lease in lease_index.leases_signed_by(connection, owner):
            if tombstone_index.is_buried(connection, lease):
                note_end(connection, lease)


def _is_about_something(connection: sqlite3.Connection, predecessor: PublicKey) -> bool:
    return lease_index.has_lease_of(connection, predecessor) or succession_index.has_predecessor(
        connection, predecessor
    )

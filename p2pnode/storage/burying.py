"""Tombstones: an owner's end of its own lease, kept so that the lease does not come back. Runs in worker threads.

One is kept only if it ends something here: it guards against replays of what this node had, so strangers cannot fill
the disk with tombstones of nothing. What it ends goes to the trash with the next collection.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from p2pnode.errors import DiskFullError, LeaseError
from p2pnode.protocols.lease_merging import is_ended_by, later_tombstone
from p2pnode.protocols.successions import is_too_late
from p2pnode.storage import index, lease_index, succession_index, tombstone_index
from p2pnode.storage.engine import Engine
from p2pnode.storage.index import PairRow
from p2pnode.storage.names import record_name
from p2pnode.storage.recordfile import KeptTombstone, record_bytes
from p2pnode.storage.succession_index import heirs_of
from wire.records import Lease, LeaseKind, Tombstone
from wire.signed import Signed


def bury(engine: Engine, tombstone: Signed[Tombstone]) -> bool:
    """Let a tombstone end its signer's lease, durably. Returns as `SliverStore.bury` says."""
    with engine.writing_disk(), engine.mutation:
        with engine.database.reading() as connection:
            _refuse_predecessor(connection, tombstone)
            earlier = tombstone_index.earlier_tombstone(connection, tombstone)
            is_needed = bool(_ended_leases(connection, tombstone))
        if earlier is not None and later_tombstone(earlier, tombstone) == earlier:
            return True
        if earlier is None and not is_needed:
            return False
        name = record_name(tombstone.digest)
        engine.write_durably(name, record_bytes(KeptTombstone(tombstone=tombstone.envelope)))
        try:
            with engine.database.writing() as connection:
                apply_tombstone(connection, tombstone)
        except DiskFullError:
            engine.discard(name)
            raise
        if earlier is not None:
            engine.discard(record_name(earlier.digest))
        return True


def apply_tombstone(connection: sqlite3.Connection, tombstone: Signed[Tombstone]) -> None:
    """Keep a tombstone in the index, and let the pairs under what it ends have the ends that are left to them."""
    tombstone_index.put_tombstone(connection, tombstone)
    for lease in _ended_leases(connection, tombstone):
        note_end(connection, lease)


def _ended_leases(connection: sqlite3.Connection, tombstone: Signed[Tombstone]) -> list[Signed[Lease]]:
    """Return the leases that a tombstone ends of those that are here."""
    leases = lease_index.leases_of_owner(connection, tombstone)
    heirs = {owner: heirs_of(connection, owner) for owner in {each.signer for each in leases} - {tombstone.signer}}
    return [each for each in leases if is_ended_by(each, tombstone, heirs.get(each.signer, ()))]


def note_end(connection: sqlite3.Connection, lease: Signed[Lease]) -> None:
    """Let a lease's certificates, and the pairs under it, have the ends that are left to them."""
    lease_index.end_certificates(connection, lease.digest, tombstone_index.end_here(connection, lease))
    for row in lease_index.pairs_under(connection, lease.digest):
        index.put_pair(connection, _with_ends(connection, row))


def _refuse_predecessor(connection: sqlite3.Connection, tombstone: Signed[Tombstone]) -> None:
    """Raise `LeaseError` when another key has succeeded a tombstone's signer: it ends nothing any more."""
    if succession_index.succession_of(connection, tombstone.signer) is not None:
        message = "another owner key has succeeded the one that signed this tombstone: sign it with that one"
        raise LeaseError(message)


def refuse_buried(engine: Engine, *leases: Signed[Lease]) -> None:
    """Raise `LeaseError` when one of these leases was ended by its owner: a replay shall not bring it back.

    Or when it is new here and was signed after another key had succeeded its signer.
    """
    with engine.database.reading() as connection:
        for lease in leases:
            _refuse_too_late(connection, lease)
            if tombstone_index.is_buried(connection, lease):
                message = (
                    f"the owner has deleted {lease.record.target.hex()} after this lease with sequence"
                    f" {lease.record.sequence}: store or renew it with a later one"
                )
                raise LeaseError(message)


def _refuse_too_late(connection: sqlite3.Connection, lease: Signed[Lease]) -> None:
    succession = succession_index.succession_of(connection, lease.signer)
    if succession is None or not is_too_late(lease, succession):
        return
    if lease_index.lease(connection, lease.digest) is None:
        message = "another owner key has succeeded the one that signed this lease: sign with that one"
        raise LeaseError(message)


def _with_ends(connection: sqlite3.Connection, row: PairRow) -> PairRow:
    """Return a row whose ends are those of the leases that it is under; that it had a final lease is not forgotten."""
    ends = {LeaseKind.PROVISIONAL: 0, LeaseKind.FINAL: 0}
    for lease, is_effective in lease_index.leases_under(connection, row):
        if is_effective:
            kind = LeaseKind(lease.record.kind)
            ends[kind] = max(ends[kind], tombstone_index.end_here(connection, lease))
    return replace(row, provisional_until=ends[LeaseKind.PROVISIONAL], final_until=ends[LeaseKind.FINAL])

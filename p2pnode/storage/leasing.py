"""Final leases and certificates: what keeps a pair beyond its first day. Runs in worker threads.

Both are signed records with a file of their own, written before the index: a lost index is rebuilt from them.
"""

from __future__ import annotations

from collections.abc import Sequence

from p2pnode.errors import DiskFullError, LeaseError, NotFoundError
from p2pnode.protocols.receipts import pairs_of
from p2pnode.storage import index, lease_index
from p2pnode.storage.engine import Engine
from p2pnode.storage.index import PairRow, PairState
from p2pnode.storage.names import record_name
from p2pnode.storage.recordfile import record_bytes
from p2pnode.storage.writer import keep_lease_record
from wire.messages import CommitLease
from wire.records import Certificate, GroupPage, Lease, ShardSet
from wire.signed import Signed


def commit_lease(engine: Engine, lease: Signed[Lease], page: GroupPage, shard_sets: Sequence[ShardSet]) -> None:
    """Put held pairs under a lease, durably. Raises as `SliverStore.commit_lease` says."""
    record = CommitLease(lease=lease.envelope, page=page, shard_sets=tuple(shard_sets))
    with engine.writing_disk(), engine.mutation:
        rows = _held_rows(engine, record)
        with engine.database.reading() as connection:
            is_known = all(lease_index.has_lease(connection, row, lease.digest) for row in rows)
        if not is_known:
            keep_lease_record(engine, lease, record)


def certify(engine: Engine, certificate: Signed[Certificate], lease: Signed[Lease]) -> None:
    """Keep a certificate, durably, and let its lease take effect. Raises as `SliverStore.certify` says."""
    with engine.writing_disk(), engine.mutation:
        row = lease_index.certificate_row(certificate, lease)
        with engine.database.reading() as connection:
            earlier = lease_index.certificate_of_page(connection, row.lease, row.page_index)
        if earlier is not None and (earlier.digest == row.digest or earlier.holders > row.holders):
            return
        name = record_name(row.digest)
        engine.write_durably(name, record_bytes(certificate.envelope))
        try:
            with engine.database.writing() as connection:
                lease_index.put_certificate(connection, certificate, lease)
        except (DiskFullError, LeaseError):
            engine.discard(name)
            raise
        if earlier is not None:
            engine.discard(record_name(earlier.digest))


def _held_rows(engine: Engine, record: CommitLease) -> list[PairRow]:
    pairs = list(pairs_of(record.page, record.shard_sets))
    with engine.database.reading() as connection:
        rows = [index.pair(connection, blob_id, shard) for blob_id, shard in pairs]
    found = [row for row in rows if row is not None and row.state is PairState.HELD]
    if len(found) < len(pairs):
        held = {(row.blob_id, row.shard) for row in found}
        blob_id, shard = next(pair for pair in pairs if pair not in held)
        message = (
            f"{len(pairs) - len(found)} of {len(pairs)} pairs of the page are not held here,"
            f" the first is shard {shard} of blob {blob_id}"
        )
        raise NotFoundError(message)
    return found

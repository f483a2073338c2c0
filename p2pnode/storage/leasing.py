"""Final leases and certificates: what keeps a pair beyond its first day. Runs in worker threads.

Both are signed records with a file of their own, written before the index: a lost index is rebuilt from them.
"""

from __future__ import annotations

from collections.abc import Sequence

from p2pnode.errors import DiskFullError, LeaseError, NotFoundError
from p2pnode.protocols.owners_cap import OwnersCap
from p2pnode.protocols.page_records import PageRecords
from p2pnode.protocols.receipts import pairs_of
from p2pnode.storage import burying, inconsistent, index, lease_index, owner_tally, page_index, page_store, trash
from p2pnode.storage.engine import Engine
from p2pnode.storage.index import PairRow, PairState
from p2pnode.storage.lease_index import CertificateRow
from p2pnode.storage.names import record_name
from p2pnode.storage.recordfile import KeptRenewal, record_bytes
from p2pnode.storage.writer import keep_lease_record
from wire.messages import CommitLease
from wire.records import Certificate, GroupPage, Lease, ShardSet
from wire.signed import Signed


def commit_lease(
    engine: Engine, lease: Signed[Lease], page: GroupPage, shard_sets: Sequence[ShardSet], cap: OwnersCap | None
) -> None:
    """Put held pairs under a lease, durably. Raises as `SliverStore.commit_lease` says."""
    record = CommitLease(lease=lease.envelope, page=page, shard_sets=tuple(shard_sets))
    with engine.writing_disk(), engine.mutation:
        burying.refuse_buried(engine, lease)
        inconsistent.refuse(engine, {blob_id for blob_id, _ in pairs_of(page, shard_sets)})
        rows = _kept_rows(engine, record)
        with engine.database.reading() as connection:
            is_known = all(lease_index.has_lease(connection, row, lease.digest) for row in rows)
            pairs = [(row.blob_id, row.shard, row.file_bytes) for row in rows]
            owner_tally.refuse_beyond_cap(connection, cap, {lease.signer}, pairs)
            takes_effect = all(lease_index.is_renewal(connection, row, lease) for row in rows)
        _take_back(engine, rows)
        if not is_known:
            keep_lease_record(engine, lease, KeptRenewal(commit=record) if takes_effect else record)


def certify(engine: Engine, certificate: Signed[Certificate], lease: Signed[Lease]) -> None:
    """Keep a certificate, durably, and let its lease take effect. Raises as `SliverStore.certify` says."""
    with engine.writing_disk(), engine.mutation:
        burying.refuse_buried(engine, lease)
        row = lease_index.certificate_row(certificate, lease)
        with engine.database.reading() as connection:
            earlier = lease_index.certificate_of_page(connection, row.lease, row.page_index)
        # All nodes keep the same one, so that they agree about the page.
        if earlier is None or (earlier.holders, earlier.digest) < (row.holders, row.digest):
            _keep_certificate(engine, certificate, lease, earlier)
        if lease.record.end > engine.clock.wall():
            _take_back(engine, _trashed_rows(engine, certificate.record.page))


def _keep_certificate(
    engine: Engine, certificate: Signed[Certificate], lease: Signed[Lease], earlier: CertificateRow | None
) -> None:
    name = record_name(certificate.digest)
    engine.write_durably(name, record_bytes(certificate.envelope))
    try:
        pages = [page_index.page_of(certificate, lease.record)]
        with page_store.changing(engine, pages, PageRecords(certificates=(certificate,))) as connection:
            rows = lease_index.put_certificate(connection, certificate, lease)
            unneeded = lease_index.forget_replaced(connection, rows, lease)
    except (DiskFullError, LeaseError):
        engine.discard(name)
        raise
    for each in [*unneeded, *([earlier.digest] if earlier is not None else [])]:
        engine.discard(record_name(each))


def _take_back(engine: Engine, rows: Sequence[PairRow]) -> None:
    trashed = [row for row in rows if row.state is PairState.TRASHED]
    if trashed:
        trash.take_back(engine, trashed)


def _trashed_rows(engine: Engine, page: GroupPage) -> list[PairRow]:
    """Return the pairs of a page that are intact in the trash."""
    with engine.database.reading() as connection:
        good = [blob_id for blob_id in page.blob_ids if not index.is_inconsistent(connection, blob_id)]
        rows = [row for blob_id in good for row in index.pairs_of_blob(connection, blob_id)]
    return [row for row in rows if row.state is PairState.TRASHED and trash.is_intact(engine, row)]


def _kept_rows(engine: Engine, record: CommitLease) -> list[PairRow]:
    """Return the rows of a record's pairs, each held, or intact in the trash. Raises `NotFoundError` else."""
    pairs = list(pairs_of(record.page, record.shard_sets))
    with engine.database.reading() as connection:
        rows = [index.pair(connection, blob_id, shard) for blob_id, shard in pairs]
    found = [row for row in rows if row is not None and _can_be_promised(engine, row)]
    if len(found) < len(pairs):
        held = {(row.blob_id, row.shard) for row in found}
        blob_id, shard = next(pair for pair in pairs if pair not in held)
        message = (
            f"{len(pairs) - len(found)} of {len(pairs)} pairs of the page are not held here,"
            f" the first is shard {shard} of blob {blob_id}"
        )
        raise NotFoundError(message)
    return found


def _can_be_promised(engine: Engine, row: PairRow) -> bool:
    return row.state is PairState.HELD or (row.state is PairState.TRASHED and trash.is_intact(engine, row))

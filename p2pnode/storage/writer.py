"""Storing pairs: room reserved, file written and fsynced, renamed, directory fsynced, index committed, then told.

A crash before the rename leaves a temporary file that the next start removes; one after it leaves a whole file that
the next start adopts. Runs in worker threads, each pair in one call, so that cancelling the caller tears nothing.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from p2pnode.errors import CallerError, DiskFullError, LeaseError, LocalStorageError
from p2pnode.protocols.owners_cap import OwnersCap
from p2pnode.storage import burying, inconsistent, index, lease_index, owner_tally, reader, trash
from p2pnode.storage.engine import Engine, is_damage, is_full
from p2pnode.storage.index import PairRow, PairState
from p2pnode.storage.names import pair_directory, pair_name, record_name
from p2pnode.storage.pairfile import make_header, sealed_header
from p2pnode.storage.quota import on_disk
from p2pnode.storage.recordfile import KeptRenewal, LeaseRecord, lease_record_digest, record_bytes
from p2pnode.storage.sealed import DamagedFileError, NewerFormatError
from wire.ids import BlobId, ShardIndex
from wire.messages import CommitLease
from wire.records import GroupPage, Lease, MetadataRecord, ShardSet
from wire.signed import Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPair:
    """A pair to store: verified against its blob id by the caller."""

    blob_id: BlobId
    shard: ShardIndex
    metadata: MetadataRecord
    primary: bytes | memoryview
    secondary: bytes | memoryview
    leases: tuple[Signed[Lease], ...]
    cap: OwnersCap | None = None
    """What owners that we do not rely on may have kept here."""

    @property
    def name(self) -> str:
        """The name of its file."""
        return pair_name(self.blob_id, self.shard)


def store_pair(engine: Engine, new: NewPair) -> None:
    """Make a pair durable under its leases. Raises as `SliverStore.store_pair` says."""
    if not 0 <= new.shard < new.metadata.n or not new.leases:
        message = f"shard {new.shard} of n = {new.metadata.n} under {len(new.leases)} leases cannot be stored"
        raise CallerError(message)
    with engine.writing_disk():
        burying.refuse_buried(engine, *new.leases)
        inconsistent.refuse(engine, [new.blob_id])
        _take_out_of_trash(engine, new)
        if _is_held_intact(engine, new) and _add_leases(engine, new):
            return
        with engine.writing_disk():  # Again: it may have failed for good when a loss was to be noted.
            _write(engine, new)


def _take_out_of_trash(engine: Engine, new: NewPair) -> None:
    """Have a pair that is in the trash back, before it is put under new leases; a damaged one is gone then."""
    with engine.mutation:
        with engine.database.reading() as connection:
            row = index.pair(connection, new.blob_id, new.shard)
        if row is None or row.state is not PairState.TRASHED:
            return
        if trash.is_intact(engine, row):
            trash.take_back(engine, [row])
        else:
            trash.drop_damaged(engine, row)


def _is_held_intact(engine: Engine, new: NewPair) -> bool:
    """Look at every byte of the file that is held, so that a receipt is never given for a damaged one."""
    with engine.database.reading() as connection:
        row = index.pair(connection, new.blob_id, new.shard)
    if row is None or row.state is not PairState.HELD:
        return False
    try:
        reader.check_whole_file(engine, row)
    except DamagedFileError as error:
        return not reader.condemn(engine, row, str(error))
    except NewerFormatError as error:
        message = f"{new.name} was written by a newer version of p2pnode: {error}; start that version"
        raise LocalStorageError(message) from error
    except OSError as error:
        if not is_damage(error):
            raise
        return not reader.condemn(engine, row, error.strerror or str(error))
    return True


def _add_leases(engine: Engine, new: NewPair) -> bool:
    """Put a pair that is held under those leases that it is not under yet. Returns False when it is not held."""
    with engine.mutation:
        with engine.database.reading() as connection:
            row = index.pair(connection, new.blob_id, new.shard)
            if row is None or row.state is not PairState.HELD:
                return False
            leases = [each for each in new.leases if not lease_index.has_lease(connection, row, each.digest)]
            _refuse_beyond_cap(connection, new, row.file_bytes)
        for lease in leases:
            keep_lease_record(engine, lease, _lease_record(new, lease))
        return True


def _lease_record(new: NewPair, lease: Signed[Lease]) -> CommitLease:
    """Return what the file's header would have said, had the lease come with the pair."""
    page = GroupPage(page_index=0, blob_ids=(new.blob_id,), path=())
    return CommitLease(lease=lease.envelope, page=page, shard_sets=(ShardSet(shard=new.shard, blobs=b"\x01"),))


def keep_lease_record(engine: Engine, lease: Signed[Lease], record: LeaseRecord) -> None:
    """Write a lease record's file, then put its pairs, all of them held, under the lease. Call it under `mutation`."""
    takes_effect = isinstance(record, KeptRenewal)
    commit = record.commit if isinstance(record, KeptRenewal) else record
    digest = lease_record_digest(record)
    name = record_name(digest)
    with engine.database.reading() as connection:
        was_known = lease_index.has_lease_record(connection, digest)
    engine.write_durably(name, record_bytes(record))
    try:
        with engine.database.writing() as connection:
            lease_index.put_lease_record(connection, digest, lease.digest)
            rows = lease_index.add_lease_to_page(connection, lease, commit, is_certified=takes_effect)
            replaced = lease_index.forget_replaced(connection, rows, lease) if takes_effect else []
    except (DiskFullError, LeaseError):
        if not was_known:  # Other pairs of the page may rely on it.
            engine.discard(name)
        raise
    for each in replaced:
        engine.discard(record_name(each))


def _write(engine: Engine, new: NewPair) -> None:
    header = make_header(
        blob_id=new.blob_id,
        shard=new.shard,
        metadata=new.metadata,
        leases=tuple(lease.envelope for lease in new.leases),
        primary=new.primary,
        secondary=new.secondary,
    )
    start = sealed_header(header)
    file_bytes = len(start) + len(new.primary) + len(new.secondary)
    with engine.database.reading() as connection:
        _refuse_beyond_cap(connection, new, file_bytes)
    # A damaged copy is replaced: its bytes are accounted and become free.
    reservation = engine.quota.reserve(max(0, on_disk(file_bytes) - on_disk(engine.size_or_zero(new.name))))
    try:
        engine.check_disk_room(file_bytes)
        temporary = engine.write_temporary(new.name, [start, new.primary, new.secondary])
    finally:
        reservation.release()
    try:
        with engine.mutation:
            # Somebody else may have stored it meanwhile; or the loss of a damaged copy could not be noted.
            if _is_held_intact(engine, new) and _add_leases(engine, new):
                engine.discard(temporary)
            else:
                with engine.database.reading() as connection:  # Others have written meanwhile.
                    _refuse_beyond_cap(connection, new, file_bytes)
                    _require_noted(connection, new)
                _publish(engine, new, temporary, file_bytes)
    except BaseException:
        engine.discard(temporary)  # No error when it has its own name by now.
        raise


def _require_noted(connection: sqlite3.Connection, new: NewPair) -> None:
    """Refuse while the index still calls a damaged copy held. Raises `DiskFullError`: all else ends the writing."""
    row = index.pair(connection, new.blob_id, new.shard)
    if row is not None and row.state is PairState.HELD:
        message = "the loss of a damaged copy cannot be noted: free some space on the disk, nothing was changed"
        raise DiskFullError(message)


def _refuse_beyond_cap(connection: sqlite3.Connection, new: NewPair, file_bytes: int) -> None:
    owners = {lease.signer for lease in new.leases}
    owner_tally.refuse_beyond_cap(connection, new.cap, owners, [(new.blob_id, new.shard, file_bytes)])


def _keep_earlier_leases(engine: Engine, new: NewPair) -> None:
    """Give each other lease of a damaged pair a file of its own: a lost index would find them in its header only."""
    with engine.database.reading() as connection:
        row = index.pair(connection, new.blob_id, new.shard)
        leases = lease_index.leases_of_pair(connection, row) if row is not None else []
    brought = {lease.digest for lease in new.leases}
    for lease in leases:
        if lease.digest not in brought:
            keep_lease_record(engine, lease, _lease_record(new, lease))


def _publish(engine: Engine, new: NewPair, temporary: str, file_bytes: int) -> None:
    """Give the file its name and commit its row. Nothing stays behind when the disk is full."""
    _keep_earlier_leases(engine, new)
    engine.files.rename(temporary, new.name)
    engine.unwanted.discard(new.name)
    try:
        engine.files.sync_directory(pair_directory(new.blob_id))
        _commit_row(engine, new, file_bytes)
    except (OSError, DiskFullError, LeaseError) as error:
        if not isinstance(error, OSError) or is_full(error):
            engine.discard(new.name)
        raise
    engine.quota.change(pairs=1)


def _commit_row(engine: Engine, new: NewPair, file_bytes: int) -> None:
    with engine.database.writing() as connection:
        earlier = index.pair(connection, new.blob_id, new.shard)
        row = PairRow(
            blob_id=new.blob_id,
            shard=new.shard,
            n=new.metadata.n,
            state=PairState.HELD,
            file_bytes=file_bytes,
            provisional_until=earlier.provisional_until if earlier else 0,
            final_until=earlier.final_until if earlier else 0,
        )
        assert earlier is None or earlier.state in {PairState.LOST, PairState.AWAY}, "else its file is here"
        index.put_metadata(connection, new.blob_id, new.metadata)
        for lease in new.leases:
            row = lease_index.add_lease(connection, row, lease, is_certified=False)
        lease_index.add_certified_leases(connection, row)

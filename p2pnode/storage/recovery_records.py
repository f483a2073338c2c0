"""Making the index agree with the record files: leases that came later, certificates, tombstones, successions.

Their order does not matter: a tombstone ends what is known of its owner's leases, and what becomes known later; so does
a successor's, once the succession is known.
"""

from __future__ import annotations

import logging
import sqlite3

from p2pnode.errors import LeaseError
from p2pnode.protocols.lease_merging import later_tombstone
from p2pnode.protocols.page_records import named_holder
from p2pnode.storage import lease_index, page_index, page_store, succession_index, tombstone_index
from p2pnode.storage.burying import apply_tombstone
from p2pnode.storage.engine import Engine, is_damage
from p2pnode.storage.names import RECORDS_DIRECTORY, is_temporary, parse_record_name, record_name
from p2pnode.storage.receipt_tables import HOLDER_RECORDS, RETRACTION_FILES
from p2pnode.storage.recordfile import (
    KeptRenewal,
    KeptSuccession,
    KeptTombstone,
    LeaseRecord,
    SequenceCeilings,
    StoredRecord,
    kept,
    lease_record_digest,
    read_record,
)
from p2pnode.storage.rows import Table
from p2pnode.storage.schema import CERTIFICATES, LEASE_RECORDS, SUCCESSIONS
from p2pnode.storage.sealed import DamagedFileError, NewerFormatError
from p2pnode.storage.succeeding import apply_succession
from wire.ids import Digest
from wire.messages import CommitLease
from wire.ownership import Succession
from wire.records import Certificate, Envelope, HolderRecord, Lease, RecordBundle, Retraction, Tombstone

log = logging.getLogger(__name__)


def reconcile_records(engine: Engine, prefix: str) -> list[str]:
    """Return the names of files that nobody needs."""
    first = bytes.fromhex(prefix)
    low, high = (first + rest * (Digest.length - 1) for rest in (b"\x00", b"\xff"))
    with engine.database.reading() as connection:
        known = lease_index.records_between(connection, low, high) | page_index.files_between(connection, low, high)
    directory = f"{RECORDS_DIRECTORY}/{prefix}"
    strangers: list[str] = []
    for name in engine.files.names(directory):
        digest = parse_record_name(name)
        if is_temporary(name):
            continue
        if digest is None or not name.startswith(prefix):
            log.warning("%s/%s is no file of ours: it is left alone", directory, name)
        elif known.pop(digest, None) is None:
            strangers.append(f"{directory}/{name}")
    unneeded: list[str] = []
    if strangers or known:
        with engine.database.writing() as connection:
            unneeded += [path for path in strangers if not _adopt_record(engine, connection, path, unneeded)]
            _forget_records(connection, known)
    return unneeded


def _forget_records(connection: sqlite3.Connection, gone: dict[Digest, Table]) -> None:
    for digest, table in gone.items():
        log.error("the file of record %s is gone", digest.hex())
        if table is CERTIFICATES:
            page_index.unsettle(connection, page_index.pages_of_certificate(connection, digest))
            lease_index.delete_certificate(connection, digest)
        elif table is LEASE_RECORDS:
            lease_index.forget_lease_record(connection, digest)
        elif table in (HOLDER_RECORDS, RETRACTION_FILES):
            page_index.forget_file(connection, digest)
        elif table is SUCCESSIONS:
            succession_index.forget_succession(connection, digest)
        else:
            tombstone_index.forget_tombstone(connection, digest)


def _adopt_record(engine: Engine, connection: sqlite3.Connection, path: str, unneeded: list[str]) -> bool:
    """Put a record that the index does not know into it. Returns False when it is of no use.

    A damaged one stays where it is, for whoever looks into it. A better certificate may make another file unneeded.
    """
    try:
        return _adopt(engine, connection, read_record(engine.files.read(path)), unneeded)
    except (DamagedFileError, NewerFormatError) as error:
        log.error("%s cannot be used and is left where it is: %s", path, error)  # noqa: TRY400 - no bug of ours
    except LeaseError as error:
        log.warning("%s is left out: %s", path, error)
    except OSError as error:
        if not is_damage(error):
            raise
        log.error("%s cannot be read and is left where it is: %s", path, error)  # noqa: TRY400 - as above
    return True


def _adopt(engine: Engine, connection: sqlite3.Connection, record: StoredRecord, unneeded: list[str]) -> bool:
    match record:
        case Envelope():
            return _adopt_certificate(connection, record, unneeded)
        case CommitLease() | KeptRenewal():
            return _adopt_lease(connection, record)
        case KeptTombstone():
            return _adopt_tombstone(connection, record, unneeded)
        case KeptSuccession():
            return _adopt_succession(connection, record)
        case HolderRecord() | RecordBundle():
            return _adopt_receipts(engine, connection, record)
        case SequenceCeilings():
            return True


def _adopt_certificate(connection: sqlite3.Connection, envelope: Envelope, unneeded: list[str]) -> bool:
    certificate = kept(envelope, Certificate)
    lease = kept(certificate.record.lease, Lease)
    row = lease_index.certificate_row(certificate, lease)
    earlier = lease_index.certificate_of_page(connection, row.lease, row.page_index)
    if earlier is not None and (earlier.holders, earlier.digest) >= (row.holders, row.digest):
        return False
    lease_index.put_certificate(connection, certificate, lease)
    page_index.unsettle(connection, [page_index.page_of(certificate, lease.record)])
    if earlier is not None:
        unneeded.append(record_name(earlier.digest))
    return True


def _adopt_lease(connection: sqlite3.Connection, record: LeaseRecord) -> bool:
    """Put the pairs of a lease record under its lease; nothing is noted when none of them is here."""
    takes_effect = isinstance(record, KeptRenewal)
    commit = record.commit if isinstance(record, KeptRenewal) else record
    lease = kept(commit.lease, Lease)
    if not lease_index.add_lease_to_page(connection, lease, commit, is_certified=takes_effect):
        return False
    lease_index.put_lease_record(connection, lease_record_digest(record), lease.digest)
    return True


def _adopt_tombstone(connection: sqlite3.Connection, record: KeptTombstone, unneeded: list[str]) -> bool:
    tombstone = kept(record.tombstone, Tombstone)
    earlier = tombstone_index.earlier_tombstone(connection, tombstone)
    if earlier is not None and later_tombstone(earlier, tombstone) == earlier:
        return False
    apply_tombstone(connection, tombstone)
    if earlier is not None:
        unneeded.append(record_name(earlier.digest))
    return True


def _adopt_succession(connection: sqlite3.Connection, record: KeptSuccession) -> bool:
    succession = kept(record.succession, Succession)
    if succession_index.succession_of(connection, succession.record.predecessor) is not None:
        return False
    apply_succession(connection, succession)
    return True


def _adopt_receipts(engine: Engine, connection: sqlite3.Connection, record: HolderRecord | RecordBundle) -> bool:
    """Note a holder record, or the retractions of a file; returns whether the file is of any use."""
    if isinstance(record, HolderRecord):
        page = page_index.note_holder(connection, named_holder(record, kept(record.lease, Lease)))
        page_index.unsettle(connection, [page])
        return True
    retractions = [kept(each, Retraction) for each in record.retractions]
    for each in retractions:
        page_index.unsettle(connection, page_index.pages_of_blob(connection, each.record.blob_id))
    file = page_store.bundle_name(record)
    return bool(page_index.note_retractions(connection, file, retractions, wall=engine.clock.wall()))

"""Opening a store: remove what was never finished, look the index over, and make it agree with the files.

The files are the truth. An index that cannot be read, or that has one row which does not match its checksum, is set
aside and built anew from the headers of the pair files and from the record files. Runs in worker threads.
"""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import replace

from p2pnode.errors import HomeError, LeaseError
from p2pnode.seams import Clock, Files
from p2pnode.storage import index, lease_index, sequences
from p2pnode.storage.database import DamagedIndexError
from p2pnode.storage.engine import Engine, is_damage
from p2pnode.storage.index import PairRow, PairState
from p2pnode.storage.names import (
    PAIRS_DIRECTORY,
    RECORDS_DIRECTORY,
    PairKey,
    is_prefix,
    is_temporary,
    parse_pair_name,
    parse_record_name,
    record_name,
)
from p2pnode.storage.reader import check_whole_file, header_of_file
from p2pnode.storage.recordfile import SequenceCeilings, kept, lease_record_digest, read_record
from p2pnode.storage.rows import Table
from p2pnode.storage.schema import CERTIFICATES, LEASE_RECORDS, PAIRS, check_every_row, create_or_check_schema
from p2pnode.storage.sealed import DamagedFileError, NewerFormatError
from wire import limits
from wire.ids import BLOB_ID_BYTES, Digest
from wire.messages import CommitLease
from wire.records import Certificate, Envelope, Lease

log = logging.getLogger(__name__)

_PARENTS = (PAIRS_DIRECTORY, RECORDS_DIRECTORY)


def open_engine(files: Files, clock: Clock, quota_bytes: int) -> Engine:
    """Return an open store. Raises `HomeError` for a newer index, `DiskFullError` or `LocalStorageError`."""
    engine = Engine(files, clock, quota_bytes=quota_bytes)
    try:
        with engine.writing_disk():
            for directory in _PARENTS:
                files.make_directory(directory)
            _remove_unfinished(files)
            _open_index(engine)
            _reconcile(engine)
    except BaseException:
        engine.database.close()
        raise
    return engine


def rebuild_index(engine: Engine, generation: int) -> None:
    """Set a damaged index aside and build it anew, unless that was done since `generation`. Raises as `open_engine`."""
    with engine.writing_disk(), engine.mutation, engine.database.exclusive():
        if engine.generation != generation:
            return
        _replace_index(engine)
        _reconcile(engine)
        engine.generation += 1


def _remove_unfinished(files: Files) -> None:
    """Remove what a crash left half-written; only at the start, later such files belong to writes under way."""
    for directory in ("", *(f"{parent}/{name}" for parent in _PARENTS for name in sorted(_directories(files, parent)))):
        for name in files.names(directory):
            if is_temporary(name):
                files.remove(f"{directory}/{name}" if directory else name)


def _open_index(engine: Engine) -> None:
    database = engine.database
    try:
        database.open()
        with database.writing() as connection:
            create_or_check_schema(connection)
        with database.reading() as connection:
            check_every_row(connection)
    except DamagedIndexError as error:
        log.error("%s", error)  # noqa: TRY400 - a damaged disk is no bug of ours
        _replace_index(engine)


def _replace_index(engine: Engine) -> None:
    aside = engine.database.set_aside()
    log.error("the index is rebuilt from the files; the damaged one is kept as %s", aside)
    engine.database.open()
    with engine.database.writing() as connection:
        create_or_check_schema(connection)


def _reconcile(engine: Engine) -> None:
    """Make the index agree with the files, one directory and one transaction at a time."""
    used_bytes = pairs = 0
    for prefix in _prefixes(engine, PAIRS_DIRECTORY, PAIRS):
        for row in _reconcile_pairs(engine, prefix):
            used_bytes += row.file_bytes
            pairs += row.state is PairState.HELD
    for prefix in _prefixes(engine, RECORDS_DIRECTORY, CERTIFICATES, LEASE_RECORDS):
        for name in _reconcile_records(engine, prefix):
            engine.files.remove(name)
    engine.quota.reset(used_bytes=used_bytes, pairs=pairs)
    engine.ceilings = sequences.read_ceilings(engine)
    engine.note_disk()


def _prefixes(engine: Engine, parent: str, *tables: Table) -> list[str]:
    """Return the prefixes for which there is a directory or a row, in order."""
    found = _directories(engine.files, parent)
    with engine.database.reading() as connection:
        for table in tables:
            found |= table.first_bytes(connection)
    return sorted(found)


def _directories(files: Files, parent: str) -> set[str]:
    return {name for name in files.names(parent) if is_prefix(name)}


# ------------------------------------------------------------------------------------------------ pairs


def _reconcile_pairs(engine: Engine, prefix: str) -> list[PairRow]:
    """Return the rows of one directory as they are now."""
    known = _known_pairs(engine, prefix)
    found: list[PairRow] = []
    suspects: list[tuple[PairKey, PairRow | None, int]] = []
    directory = f"{PAIRS_DIRECTORY}/{prefix}"
    for name in engine.files.names(directory):
        key = parse_pair_name(name)
        if is_temporary(name):
            continue
        if key is None or not name.startswith(prefix):
            log.warning("%s/%s is no file of ours: it is left alone and not accounted", directory, name)
            continue
        row = known.pop(key, None)
        file_bytes = engine.files.size(f"{directory}/{name}")
        if row is not None and row.state is PairState.HELD and row.file_bytes == file_bytes:
            found.append(row)  # Its bytes are verified when they are read.
        else:
            suspects.append((key, row, file_bytes))
    if suspects or known:
        with engine.database.writing() as connection:
            found += [_checked_row(engine, connection, *suspect) for suspect in suspects]
            found += [_gone_row(connection, row) for row in known.values()]
    return found


def _known_pairs(engine: Engine, prefix: str) -> dict[PairKey, PairRow]:
    first = bytes.fromhex(prefix)
    low, high = (first + rest * (BLOB_ID_BYTES - 1) for rest in (b"\x00", b"\xff"))
    with engine.database.reading() as connection:
        return {PairKey(row.blob_id, row.shard): row for row in index.pairs_between(connection, low, high)}


def _gone_row(connection: sqlite3.Connection, row: PairRow) -> PairRow:
    """Return the row for a file that is not there."""
    if row.state is PairState.HELD:
        log.error("the file of shard %d of blob %s is gone: it counts as lost", row.shard, row.blob_id)
    gone = replace(row, state=PairState.LOST, file_bytes=0)
    if gone != row:
        index.put_pair(connection, gone)
    return gone


def _checked_row(
    engine: Engine, connection: sqlite3.Connection, key: PairKey, row: PairRow | None, file_bytes: int
) -> PairRow:
    """Return the row for a file that the index does not know, or has as lost or of another size."""
    try:
        size = header_of_file(engine, key.blob_id, key.shard)
        if size.file_bytes != file_bytes:
            message = f"the file has {file_bytes} bytes instead of {size.file_bytes}"
            raise DamagedFileError(message)
        if row is not None:  # It was lost, or had another size: it must be looked at whole before it is believed.
            check_whole_file(engine, key.blob_id, key.shard)
        leases = [kept(envelope, Lease) for envelope in size.header.leases]
        if row is not None and not row.n:  # Its leases were guessed; now they are known.
            leases += lease_index.leases_of_pair(connection, row)
            row = None
    except NewerFormatError as error:
        message = f"shard {key.shard} of blob {key.blob_id} was stored by a newer version of p2pnode: {error}; start it"
        raise HomeError(message) from error
    except DamagedFileError as error:
        return _lost_row(engine, connection, key, row, file_bytes, str(error))
    except OSError as error:
        if not is_damage(error):
            raise
        return _lost_row(engine, connection, key, row, file_bytes, error.strerror or str(error))
    metadata = size.header.metadata
    new = replace(row or _unknown_row(key), n=metadata.n, state=PairState.HELD, file_bytes=file_bytes)
    index.put_metadata(connection, key.blob_id, metadata)
    index.put_pair(connection, new)
    for lease in leases:
        new = lease_index.add_lease(connection, new, lease, is_certified=False)
    return lease_index.add_certified_leases(connection, new)


def _lost_row(
    engine: Engine, connection: sqlite3.Connection, key: PairKey, row: PairRow | None, file_bytes: int, reason: str
) -> PairRow:
    log.error("shard %d of blob %s is damaged and counts as lost: %s", key.shard, key.blob_id, reason)
    if row is None:
        # Nobody knows its leases any more. It is told as lost for a day, then collected.
        until = int(engine.clock.wall()) + limits.PROVISIONAL_SECONDS_MAX
        row = replace(_unknown_row(key), provisional_until=until)
    lost = replace(row, state=PairState.LOST, file_bytes=file_bytes)
    index.put_pair(connection, lost)
    return lost


def _unknown_row(key: PairKey) -> PairRow:
    return PairRow(blob_id=key.blob_id, shard=key.shard, n=0, state=PairState.LOST, file_bytes=0)


# ---------------------------------------------------------------------------------------------- records


def _reconcile_records(engine: Engine, prefix: str) -> list[str]:
    """Return the names of files that nobody needs."""
    first = bytes.fromhex(prefix)
    low, high = (first + rest * (Digest.length - 1) for rest in (b"\x00", b"\xff"))
    with engine.database.reading() as connection:
        known = lease_index.records_between(connection, low, high)
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


def _forget_records(connection: sqlite3.Connection, gone: dict[Digest, bool]) -> None:
    for digest, is_certificate in gone.items():
        log.error("the file of record %s is gone", digest.hex())
        if is_certificate:
            lease_index.delete_certificate(connection, digest)
        else:
            lease_index.forget_lease_record(connection, digest)


def _adopt_record(engine: Engine, connection: sqlite3.Connection, path: str, unneeded: list[str]) -> bool:
    """Put a record that the index does not know into it. Returns False when it is of no use.

    A damaged one stays where it is, for whoever looks into it. A better certificate may make another file unneeded.
    """
    try:
        record = read_record(engine.files.read(path))
        match record:
            case Envelope():
                certificate = kept(record, Certificate)
                lease = kept(certificate.record.lease, Lease)
                row = lease_index.certificate_row(certificate, lease)
                earlier = lease_index.certificate_of_page(connection, row.lease, row.page_index)
                if earlier is not None and earlier.holders >= row.holders:
                    return False
                lease_index.put_certificate(connection, certificate, lease)
                if earlier is not None:
                    unneeded.append(record_name(earlier.digest))
                return True
            case CommitLease():
                return _adopt_lease(connection, record)
            case SequenceCeilings():
                return True
    except (DamagedFileError, NewerFormatError) as error:
        log.error("%s cannot be used and is left where it is: %s", path, error)  # noqa: TRY400 - no bug of ours
    except LeaseError as error:
        log.warning("%s is left out: %s", path, error)
    except OSError as error:
        if not is_damage(error):
            raise
        log.error("%s cannot be read and is left where it is: %s", path, error)  # noqa: TRY400 - as above
    return True


def _adopt_lease(connection: sqlite3.Connection, record: CommitLease) -> bool:
    """Put the pairs of a lease record under its lease; nothing is noted when none of them is here."""
    lease = kept(record.lease, Lease)
    if not lease_index.add_lease_to_page(connection, lease, record):
        return False
    lease_index.put_lease_record(connection, lease_record_digest(record), lease.digest)
    return True

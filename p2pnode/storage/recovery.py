"""Opening a store: remove what was never finished, look the index over, and make it agree with the files.

The files are the truth. An index that cannot be read, or that has one row which does not match its checksum, is set
aside and built anew from the headers of the pair files and from the record files. Runs in worker threads.
"""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass, replace

from p2pnode.errors import HomeError
from p2pnode.seams import Clock, Files
from p2pnode.storage import index, lease_index, page_store, sequences
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
    parse_trash_name,
)
from p2pnode.storage.quota import on_disk
from p2pnode.storage.reader import check_whole_file, header_of_file
from p2pnode.storage.receipt_tables import HOLDER_RECORDS, RETRACTION_FILES
from p2pnode.storage.recordfile import kept
from p2pnode.storage.recovery_records import reconcile_records
from p2pnode.storage.rows import Table
from p2pnode.storage.schema import (
    CERTIFICATES,
    LEASE_RECORDS,
    PAIRS,
    check_every_row,
    create_or_check_schema,
)
from p2pnode.storage.sealed import DamagedFileError, NewerFormatError
from wire import limits
from wire.ids import BLOB_ID_BYTES
from wire.records import Lease

log = logging.getLogger(__name__)

_PARENTS = (PAIRS_DIRECTORY, RECORDS_DIRECTORY)


def open_engine(
    files: Files, clock: Clock, quota_bytes: int, trash_s: int, disk_free_min_bytes: int | None = None
) -> Engine:
    """Return an open store. Raises `HomeError` for a newer index, `DiskFullError` or `LocalStorageError`."""
    engine = Engine(files, clock, quota_bytes=quota_bytes, trash_s=trash_s, disk_free_min_bytes=disk_free_min_bytes)
    try:
        engine.accept_directories()
        with engine.writing_disk():
            for directory in _PARENTS:
                engine.files.make_directory(directory)
            _remove_unfinished(engine.files)
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
        engine.has_untold_losses = True
        engine.generation += 1


def look_again(engine: Engine, generation: int) -> None:
    """Make the index agree with the data directories that are here now, unless that was done since `generation`.

    Raises as `open_engine`.
    """
    with engine.mutation, engine.database.exclusive():
        if engine.generation != generation:
            return
        engine.accept_directories()
        with engine.writing_disk():
            for directory in _PARENTS:
                engine.files.make_directory(directory)
            _reconcile(engine)
        engine.has_untold_losses = True
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
    engine.files.measure()
    trash_bytes = pairs = 0
    for prefix in _prefixes(engine, PAIRS_DIRECTORY, PAIRS):
        for row in _reconcile_pairs(engine, prefix):
            trash_bytes += on_disk(row.file_bytes) if row.state is PairState.TRASHED else 0
            pairs += row.state is PairState.HELD
    for prefix in _prefixes(engine, RECORDS_DIRECTORY, CERTIFICATES, LEASE_RECORDS, HOLDER_RECORDS, RETRACTION_FILES):
        for name in reconcile_records(engine, prefix):
            engine.files.remove(name)
    page_store.refresh_missing(engine)
    engine.quota.reset(trash_bytes=trash_bytes, pairs=pairs)
    engine.ceilings = sequences.read_ceilings(engine)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A pair's file as a directory lists it, and what the index says of the pair."""

    key: PairKey
    trashed_at: int
    """0 for one that is not in the trash."""
    file_bytes: int
    row: PairRow | None

    @property
    def is_as_known(self) -> bool:
        """Whether the index says the same; the file's bytes are verified when they are read."""
        row = self.row
        if row is None or row.state is PairState.LOST:
            return False
        return row.trashed_at == self.trashed_at and row.file_bytes == self.file_bytes


def _reconcile_pairs(engine: Engine, prefix: str) -> list[PairRow]:
    """Return the rows of one directory as they are now."""
    known = _known_pairs(engine, prefix)
    found = _found_pairs(engine, prefix, known)
    rows = [each.row for each in found if each.row is not None and each.is_as_known]
    suspects = [each for each in found if not each.is_as_known]
    if suspects or known:
        engine.check_directories()  # Of one that has just gone nothing was listed.
        with engine.database.writing() as connection:
            rows += [_checked_row(engine, connection, suspect) for suspect in suspects]
            rows += [_gone_row(engine, connection, row) for row in known.values()]
    return rows


def _found_pairs(engine: Engine, prefix: str, known: dict[PairKey, PairRow]) -> list[_Found]:
    """Return the pair files of one directory; what they are of is taken out of `known`."""
    found: dict[PairKey, _Found] = {}
    directory = f"{PAIRS_DIRECTORY}/{prefix}"
    for name in engine.files.names(directory):
        if is_temporary(name):
            continue
        key, trashed_at = parse_trash_name(name) or (parse_pair_name(name), 0)
        if key is None or not name.startswith(prefix):
            log.warning("%s/%s is no file of ours: it is left alone and not accounted", directory, name)
        elif key in found:  # Names come sorted: what is left of a damaged file in the trash, beside a new copy.
            engine.files.remove(f"{directory}/{name}")
        else:
            file_bytes = engine.files.size(f"{directory}/{name}")
            found[key] = _Found(key=key, trashed_at=trashed_at, file_bytes=file_bytes, row=known.pop(key, None))
    return list(found.values())


def _known_pairs(engine: Engine, prefix: str) -> dict[PairKey, PairRow]:
    first = bytes.fromhex(prefix)
    low, high = (first + rest * (BLOB_ID_BYTES - 1) for rest in (b"\x00", b"\xff"))
    with engine.database.reading() as connection:
        return {PairKey(row.blob_id, row.shard): row for row in index.pairs_between(connection, low, high)}


def _gone_row(engine: Engine, connection: sqlite3.Connection, row: PairRow) -> PairRow:
    """Return the row for a file that is not there: it may be where nobody can look now."""
    is_away = bool(engine.away) and row.state is not PairState.LOST
    if row.state in {PairState.HELD, PairState.AWAY} and not is_away:
        log.error("the file of shard %d of blob %s is gone: it counts as lost", row.shard, row.blob_id)
    gone = replace(row, state=PairState.AWAY if is_away else PairState.LOST, file_bytes=0, trashed_at=0)
    if gone != row:
        index.put_pair(connection, gone)
    return gone


def _checked_row(engine: Engine, connection: sqlite3.Connection, found: _Found) -> PairRow:
    """Return the row for a file that the index does not know, or has as lost, elsewhere, or of another size."""
    key, row = found.key, found.row
    state = PairState.TRASHED if found.trashed_at else PairState.HELD
    here = replace(row or _unknown_row(key), state=state, file_bytes=found.file_bytes, trashed_at=found.trashed_at)
    try:
        size = header_of_file(engine, here)
        if size.file_bytes != found.file_bytes:
            message = f"the file has {found.file_bytes} bytes instead of {size.file_bytes}"
            raise DamagedFileError(message)
        if row is not None and row.state is not PairState.AWAY:
            # It was lost, or elsewhere: it must be looked at whole before it is believed.
            check_whole_file(engine, here)
        leases = [kept(envelope, Lease) for envelope in size.header.leases]
        if row is not None and not row.n:  # Its leases were guessed; now they are known.
            leases += lease_index.leases_of_pair(connection, row)
            here = replace(here, provisional_until=0, final_until=0)
            row = None
    except NewerFormatError as error:
        message = f"shard {key.shard} of blob {key.blob_id} was stored by a newer version of p2pnode: {error}; start it"
        raise HomeError(message) from error
    except DamagedFileError as error:
        return _lost_row(engine, connection, found, str(error))
    except OSError as error:
        if not is_damage(error):
            raise
        return _lost_row(engine, connection, found, error.strerror or str(error))
    metadata = size.header.metadata
    new = replace(here, n=metadata.n)
    index.put_metadata(connection, key.blob_id, metadata)
    index.put_pair(connection, new)
    for lease in leases:
        new = lease_index.add_lease(connection, new, lease, is_certified=False)
    return lease_index.add_certified_leases(connection, new)


def _lost_row(engine: Engine, connection: sqlite3.Connection, found: _Found, reason: str) -> PairRow:
    key = found.key
    log.error("shard %d of blob %s is damaged and counts as lost: %s", key.shard, key.blob_id, reason)
    row = found.row
    if row is None:
        # Nobody knows its leases any more. It is told as lost for a day, then collected.
        until = int(engine.clock.wall()) + limits.PROVISIONAL_SECONDS_MAX
        row = replace(_unknown_row(key), provisional_until=until)
    here = replace(row, state=PairState.TRASHED, trashed_at=found.trashed_at)
    lost = replace(row, state=PairState.LOST, file_bytes=found.file_bytes, trashed_at=0)
    if found.trashed_at:  # It was promised to nobody, and a lost pair's file has another name.
        engine.files.remove(here.name)
        lost = replace(lost, file_bytes=0)
    index.put_pair(connection, lost)
    return lost


def _unknown_row(key: PairKey) -> PairRow:
    return PairRow(blob_id=key.blob_id, shard=key.shard, n=0, state=PairState.LOST, file_bytes=0)

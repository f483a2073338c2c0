"""Reading: slivers that are verified before they leave, and what the index says of a blob. Runs in worker threads."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from p2pnode.errors import CorruptSliverError, LocalStorageError, NotFoundError
from p2pnode.storage import index, lease_index
from p2pnode.storage.engine import Engine, is_damage
from p2pnode.storage.index import PairRow, PairState
from p2pnode.storage.names import record_name
from p2pnode.storage.pairfile import (
    HEADER_READ_BYTES,
    PairHeaderSize,
    check_sliver,
    header_bytes_of,
    header_of,
    pair_of_shard,
    sliver_place,
    verify_pair_file,
)
from p2pnode.storage.quota import on_disk
from p2pnode.storage.recordfile import read_record
from p2pnode.storage.sealed import DamagedFileError, NewerFormatError
from wire.ids import Axis, BlobId, PairIndex, ShardIndex
from wire.records import Envelope, MetadataRecord

log = logging.getLogger(__name__)

READ_ATTEMPTS_MAX = 3
"""A file may be replaced by an intact copy, or collected, between looking it up and reading it."""

LOST_PAIRS_MAX = 10_000
"""Lost pairs told at a time: enough for a dead disk to be reported in a few rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBlob:
    """What is kept here of a blob."""

    metadata: MetadataRecord
    shards: tuple[ShardIndex, ...]
    """In ascending order; empty when all pairs that were here are damaged."""


def read_sliver(engine: Engine, blob_id: BlobId, axis: Axis, sliver: int) -> bytes:
    """Return a sliver's verified bytes. Raises `NotFoundError`, `CorruptSliverError` or `LocalStorageError`."""
    for _ in range(READ_ATTEMPTS_MAX):
        row = _row_of_sliver(engine, blob_id, axis, sliver)
        try:
            return _read_from_file(engine, row, axis)
        except NewerFormatError as error:
            message = f"{_told(row)} was written by a newer version of p2pnode: {error}; start that version"
            raise LocalStorageError(message) from error
        except DamagedFileError as error:
            reason = str(error)
        except OSError as error:
            if not is_damage(error):
                message = f"cannot read {_told(row)}: {error.strerror}; check the disk and try again"
                raise LocalStorageError(message) from error
            reason = error.strerror or str(error)
        if condemn(engine, row, reason):
            break
    raise _corrupt(blob_id, f"{axis.name.lower()} sliver {sliver}")


def header_of_file(engine: Engine, row: PairRow) -> PairHeaderSize:
    """Read and check a pair file's header. Raises `OSError`, `DamagedFileError` or `NewerFormatError`."""
    start = engine.files.read(row.name, count=HEADER_READ_BYTES)
    header_bytes = header_bytes_of(start)
    if header_bytes > len(start):
        start = engine.files.read(row.name, count=header_bytes)
    return header_of(start, blob_id=row.blob_id, shard=row.shard)


def check_whole_file(engine: Engine, row: PairRow) -> None:
    """Read and check every byte of a pair's file. Raises `OSError`, `DamagedFileError` or `NewerFormatError`."""
    verify_pair_file(engine.files.read(row.name), blob_id=row.blob_id, shard=row.shard)


def condemn(engine: Engine, row: PairRow, reason: str) -> bool:
    """Mark a pair lost whose file was found damaged, unless by now the file is intact or the pair is not kept any more.

    Returns whether it is lost. One in the trash was promised to nobody: it stays there, and is not told as lost.
    """
    with engine.mutation:
        with engine.database.reading() as connection:
            current = index.pair(connection, row.blob_id, row.shard)
        if current is None:
            return False
        if current.state is PairState.LOST:
            return True
        try:
            check_whole_file(engine, current)
        except DamagedFileError:
            pass
        except NewerFormatError:
            return False
        except OSError as error:
            if not is_damage(error):
                return False
        else:
            return False
        log.error("%s is damaged and counts as lost: %s", _told(row), reason)
        if current.state is PairState.HELD:
            _mark_lost(engine, current)
        return True


def held(engine: Engine, blob_id: BlobId) -> HeldBlob | None:
    """Return what is kept of a blob, None when nothing ever was or all of it was collected."""
    with engine.database.reading() as connection:
        metadata = index.metadata(connection, blob_id)
        rows = index.pairs_of_blob(connection, blob_id)
    if metadata is None:
        return None
    return HeldBlob(metadata=metadata, shards=tuple(row.shard for row in rows if row.state is PairState.HELD))


def missing(engine: Engine, pairs: Sequence[tuple[BlobId, ShardIndex]]) -> list[tuple[BlobId, ShardIndex]]:
    """Return those pairs, in their order, that are not held intact as far as is known."""
    found = []
    with engine.database.reading() as connection:
        for blob_id, shard in pairs:
            row = index.pair(connection, blob_id, shard)
            if row is None or row.state is not PairState.HELD:
                found.append((blob_id, shard))
    return found


def lost_pairs(engine: Engine) -> list[tuple[BlobId, ShardIndex]]:
    """Return pairs that were held and are damaged or gone, at most LOST_PAIRS_MAX."""
    with engine.database.reading() as connection:
        return [(row.blob_id, row.shard) for row in index.lost_pairs(connection, LOST_PAIRS_MAX)]


def certificates(engine: Engine, blob_id: BlobId, count_max: int) -> list[Envelope]:
    """Return the certificates of a blob, the longest lease first; one that is damaged on disk is left out."""
    with engine.database.reading() as connection:
        rows = lease_index.certificates_of_blob(connection, blob_id)
    found: list[Envelope] = []
    for row in rows:
        if len(found) == count_max:
            break
        try:
            record = read_record(engine.files.read(record_name(row.digest)))
        except (
            FileNotFoundError
        ):  # Replaced by a better one since the index was asked, or gone: told at the next start.
            continue
        except (DamagedFileError, NewerFormatError) as error:
            log.error("certificate %s cannot be used: %s", row.digest.hex(), error)  # noqa: TRY400 - no bug of ours
            continue
        except OSError as error:
            message = f"cannot read certificate {row.digest.hex()}: {error.strerror}; check the disk"
            raise LocalStorageError(message) from error
        if isinstance(record, Envelope):
            found.append(record)
    return found


def _row_of_sliver(engine: Engine, blob_id: BlobId, axis: Axis, sliver: int) -> PairRow:
    with engine.database.reading() as connection:
        rows = index.pairs_of_blob(connection, blob_id)
    for row in rows:
        wanted = PairIndex(sliver if axis is Axis.PRIMARY else row.n - 1 - sliver)
        if row.n and pair_of_shard(blob_id, shard=row.shard, n=row.n) == wanted:
            if row.state is PairState.LOST:
                raise _corrupt(blob_id, f"{axis.name.lower()} sliver {sliver} (shard {row.shard})")
            if row.state is PairState.AWAY:
                message = f"{_told(row)} is in a data directory that is not here: mount its disk"
                raise LocalStorageError(message)
            return row
    message = f"{axis.name.lower()} sliver {sliver} of blob {blob_id} is not kept here"
    raise NotFoundError(message)


def _read_from_file(engine: Engine, row: PairRow, axis: Axis) -> bytes:
    size = header_of_file(engine, row)
    start, count = sliver_place(size, axis)
    data = engine.files.read(row.name, offset=start, count=count)
    check_sliver(size.header, axis, data)
    return data


def _mark_lost(engine: Engine, row: PairRow) -> None:
    """Write it down; where that fails the next read finds the damage again, so nothing wrong is served."""
    try:
        with engine.writing_disk():
            file_bytes = engine.size_or_zero(row.name)
            with engine.database.writing() as connection:
                index.put_pair(connection, replace(row, state=PairState.LOST, file_bytes=file_bytes))
    except LocalStorageError as error:
        log.warning("cannot note that %s is lost: %s", _told(row), error)
        return
    engine.quota.change(used_bytes=on_disk(file_bytes) - on_disk(row.file_bytes), pairs=-1)
    engine.has_untold_losses = True


def _told(row: PairRow) -> str:
    return f"the file of shard {row.shard} of blob {row.blob_id}"


def _corrupt(blob_id: BlobId, what: str) -> CorruptSliverError:
    message = f"{what} of blob {blob_id} is damaged on this disk and is not served: check the disk; repair replaces it"
    return CorruptSliverError(message)

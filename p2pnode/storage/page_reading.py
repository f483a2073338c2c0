"""Reading what is kept of a page: the index says which records there are; they are remembered, or read from files."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping, Sequence

from p2pnode.protocols.page_records import NamedHolder, PageRecords, named_holder
from p2pnode.storage import page_index
from p2pnode.storage.engine import Engine
from p2pnode.storage.names import record_name
from p2pnode.storage.page_memory import ReadPage
from p2pnode.storage.recordfile import kept, read_record
from p2pnode.storage.rows import Row
from p2pnode.storage.sealed import DamagedFileError, NewerFormatError
from wire.ids import Digest
from wire.records import Certificate, Envelope, HolderRecord, Lease
from wire.signed import Signed

log = logging.getLogger(__name__)

NOTHING_WRITTEN = PageRecords()


def load_page(
    engine: Engine, connection: sqlite3.Connection, page: Digest, written: PageRecords = NOTHING_WRITTEN
) -> PageRecords:
    """Return what is kept of a page; a record that is damaged on disk is left out. `written` are not read again."""
    known = engine.page_memory.get(page)
    certificates = page_index.certificates_of(connection, page)
    holders = page_index.holders_of(connection, page)
    retractions = page_index.retraction_rows(connection, page_index.blobs_of(connection, page))
    if known.has(certificates=certificates, holders=holders, retractions=retractions):
        return known.chosen
    read = _read_page(engine, known.beside(written), certificates, holders, retractions)
    if len(read.certificates) == len(certificates) and len(read.holders) == len(holders):
        engine.page_memory.put(page, read)
    return read.chosen


def _read_page(
    engine: Engine,
    known: ReadPage,
    certificates: Sequence[Digest],
    holders: Sequence[Digest],
    retractions: Mapping[Digest, Row],
) -> ReadPage:
    """Read what is not known yet of the records that the index names."""
    some_certificates: dict[Digest, Signed[Certificate]] = {}
    some_holders: dict[Digest, NamedHolder] = {}
    for name in certificates:
        if name in known.certificates:
            some_certificates[name] = known.certificates[name]
        elif isinstance(found := _read(engine, name), Envelope):
            some_certificates[name] = kept(found, Certificate)
    for name in holders:
        if name in known.holders:
            some_holders[name] = known.holders[name]
        elif isinstance(found := _read(engine, name), HolderRecord):
            some_holders[name] = named_holder(found, kept(found.lease, Lease))
    all_retractions = {
        name: known.retractions.get(name) or page_index.retraction(row) for name, row in retractions.items()
    }
    everything = PageRecords(
        certificates=tuple(some_certificates.values()),
        holders=tuple(some_holders.values()),
        retractions=tuple(all_retractions.values()),
    )
    return ReadPage(
        certificates=some_certificates,
        holders=some_holders,
        retractions=all_retractions,
        chosen=everything.chosen(),
    )


def _read(engine: Engine, digest: Digest) -> object:
    try:
        return read_record(engine.files.read(record_name(digest)))
    except (DamagedFileError, NewerFormatError, OSError) as error:
        log.error("record %s cannot be used: %s", digest.hex(), error)  # noqa: TRY400 - no bug of ours
        return None

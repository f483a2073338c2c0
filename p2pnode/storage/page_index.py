"""The index of the set of receipts: which records there are of which page, and what was retracted.

The functions work inside a transaction of their caller's, as those of `lease_index` do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from p2pnode.protocols.page_records import NamedHolder, page_name
from p2pnode.protocols.retractions import kept_until
from p2pnode.storage.receipt_tables import (
    HOLDER_RECORDS,
    PAGE_BLOBS,
    PAGE_CERTIFICATES,
    PAGES,
    RETRACTION_FILES,
    RETRACTIONS,
)
from p2pnode.storage.rows import Cell, Row, Table, uint64_cell, uint64_of
from wire.codec import decode, encode
from wire.ids import BlobId, Digest
from wire.records import Certificate, Envelope, GroupPage, Lease, Retraction
from wire.signed import Signed

RETRACTION_BYTES_MAX = 1024
"""The envelope of a retraction has about 220 bytes."""


def page_of(certificate: Signed[Certificate], lease: Lease) -> Digest:
    """Return the name of a certificate's page."""
    return page_name(certificate.signer, lease.target, certificate.record.page.page_index)


def note_certificate(connection: sqlite3.Connection, certificate: Signed[Certificate], lease: Lease) -> None:
    """Note that there is a certificate of a page."""
    page = page_of(certificate, lease)
    PAGE_CERTIFICATES.put(connection, (bytes(page), bytes(certificate.digest)))
    _note_blobs(connection, page, certificate.record.page)


def pages_of_certificate(connection: sqlite3.Connection, certificate: Digest) -> list[Digest]:
    """Return the page that a certificate is of; none when it is not kept."""
    return [_digest(row[0]) for row in PAGE_CERTIFICATES.rows(connection, "WHERE certificate = ?", (certificate,))]


def forget_certificate(connection: sqlite3.Connection, certificate: Digest) -> None:
    """Forget a certificate."""
    for page in pages_of_certificate(connection, certificate):
        PAGE_CERTIFICATES.delete(connection, page, certificate)


def unsettle(connection: sqlite3.Connection, pages: Iterable[Digest]) -> None:
    """Let the rows of these pages be made anew, because their records changed while nobody kept up with them."""
    for page in pages:
        PAGES.delete(connection, page)


def note_holder(connection: sqlite3.Connection, holder: NamedHolder) -> Digest:
    """Note a holder record; returns its page."""
    page = page_name(holder.lease.signer, holder.lease.record.target, holder.record.page.page_index)
    HOLDER_RECORDS.put(connection, (bytes(holder.name), bytes(page), uint64_cell(holder.lease.record.end)))
    _note_blobs(connection, page, holder.record.page)
    return page


def forget_holder(connection: sqlite3.Connection, record: Digest) -> None:
    """Forget a holder record."""
    HOLDER_RECORDS.delete(connection, record)


def note_retractions(
    connection: sqlite3.Connection, file: Digest, retractions: Iterable[Signed[Retraction]], *, wall: float
) -> int:
    """Note the retractions in a file that are newer than those known; returns how many."""
    count = last = 0
    for each in retractions:
        record = each.record
        known = RETRACTIONS.row(connection, record.blob_id, record.shard, each.signer)
        if known is not None and (uint64_of(known[4]), _digest(known[3])) >= (record.sequence, each.digest):
            continue
        until = kept_until(record, wall=wall)
        cells: tuple[Cell, ...] = (
            bytes(record.blob_id),
            record.shard,
            bytes(each.signer),
            bytes(each.digest),
            uint64_cell(record.sequence),
            uint64_cell(until),
            bytes(file),
            encode(each.envelope),
        )
        RETRACTIONS.put(connection, cells)
        count, last = count + 1, max(last, until)
    if count:
        RETRACTION_FILES.put(connection, (bytes(file), uint64_cell(last)))
    return count


def retractions_of(connection: sqlite3.Connection, blob_ids: Iterable[BlobId]) -> list[Signed[Retraction]]:
    """Return what is kept of retractions of these blobs' pairs."""
    return [retraction(row) for row in retraction_rows(connection, blob_ids).values()]


def retraction_rows(connection: sqlite3.Connection, blob_ids: Iterable[BlobId]) -> dict[Digest, Row]:
    """Return the rows of the retractions of these blobs' pairs, by their names."""
    found: dict[Digest, Row] = {}
    for blob_id in blob_ids:
        rows = RETRACTIONS.rows(connection, "WHERE blob_id = ? ORDER BY shard, signer", (blob_id,))
        found.update((_digest(row[3]), row) for row in rows)
    return found


def retraction(row: Row) -> Signed[Retraction]:
    """Return the retraction in a row."""
    envelope = decode(_bytes(row[7]), Envelope, bytes_max=RETRACTION_BYTES_MAX)
    return Signed(decode(envelope.body, Retraction, bytes_max=RETRACTION_BYTES_MAX), envelope)


def unused_retraction_files(connection: sqlite3.Connection, *, before: int, count_max: int) -> list[Digest]:
    """Return files of retractions that ended before `before`, or of which each was replaced by a later one."""
    where = "WHERE kept_until < ? OR NOT EXISTS (SELECT 1 FROM retractions WHERE file = retraction_files.file) LIMIT ?"
    return [_digest(row[0]) for row in RETRACTION_FILES.rows(connection, where, (uint64_cell(before), count_max))]


def forget_retractions(connection: sqlite3.Connection, file: Digest) -> None:
    """Forget the retractions of a file."""
    for row in RETRACTIONS.rows(connection, "WHERE file = ?", (file,)):
        RETRACTIONS.delete(connection, *row[:3])
    RETRACTION_FILES.delete(connection, file)


def blobs_of(connection: sqlite3.Connection, page: Digest) -> list[BlobId]:
    """Return the blobs of a page."""
    return [BlobId(_bytes(row[1])) for row in PAGE_BLOBS.rows(connection, "WHERE page = ?", (page,))]


def pages_of_blob(connection: sqlite3.Connection, blob_id: BlobId) -> list[Digest]:
    """Return the pages that a blob is in."""
    return [_digest(row[0]) for row in PAGE_BLOBS.rows(connection, "WHERE blob_id = ?", (blob_id,))]


def certificates_of(connection: sqlite3.Connection, page: Digest) -> list[Digest]:
    """Return the certificates that are kept of a page."""
    return [_digest(row[1]) for row in PAGE_CERTIFICATES.rows(connection, "WHERE page = ?", (page,))]


def holders_of(connection: sqlite3.Connection, page: Digest) -> list[Digest]:
    """Return the holder records that are kept of a page."""
    return [_digest(row[0]) for row in HOLDER_RECORDS.rows(connection, "WHERE page = ?", (page,))]


def expired_holders(connection: sqlite3.Connection, *, before: int, count_max: int) -> list[tuple[Digest, Digest]]:
    """Return holder records whose lease ended before `before`, each with its page."""
    where = "WHERE lease_end < ? ORDER BY lease_end LIMIT ?"
    rows = HOLDER_RECORDS.rows(connection, where, (uint64_cell(before), count_max))
    return [(_digest(row[0]), _digest(row[1])) for row in rows]


def forget_page(connection: sqlite3.Connection, page: Digest) -> None:
    """Forget a page of which no record is left."""
    for row in PAGE_BLOBS.rows(connection, "WHERE page = ?", (page,)):
        PAGE_BLOBS.delete(connection, *row)
    PAGES.delete(connection, page)


def pages_without_row(connection: sqlite3.Connection) -> list[Digest]:
    """Return the pages of which there are records and no row yet."""
    found: set[Digest] = set()
    for table in (PAGE_CERTIFICATES.name, HOLDER_RECORDS.name):
        sql = f"SELECT DISTINCT page FROM {table} WHERE page NOT IN (SELECT page FROM pages)"  # noqa: S608 - ours
        found |= {Digest(row[0]) for row in connection.execute(sql)}
    return sorted(found)


def files_between(connection: sqlite3.Connection, low: bytes, high: bytes) -> dict[Digest, Table]:
    """Return the record files from `low` to `high` that stand in this index, each with the table that knows it."""
    found: dict[Digest, Table] = {}
    for table, column in ((HOLDER_RECORDS, "record"), (RETRACTION_FILES, "file")):
        for row in table.each(connection, f"WHERE {column} BETWEEN ? AND ?", (low, high)):
            found[_digest(row[0])] = table
    return found


def forget_file(connection: sqlite3.Connection, file: Digest) -> None:
    """Forget what a file brought that is gone."""
    holder = HOLDER_RECORDS.row(connection, file)
    if holder is not None:
        unsettle(connection, [_digest(holder[1])])
        forget_holder(connection, file)
    unsettle(connection, pages_of_retractions(connection, file))
    forget_retractions(connection, file)


def pages_of_retractions(connection: sqlite3.Connection, file: Digest) -> list[Digest]:
    """Return the pages of whose pairs a file has retractions, each once."""
    blobs = {BlobId(_bytes(row[0])) for row in RETRACTIONS.rows(connection, "WHERE file = ?", (file,))}
    return sorted({page for blob_id in blobs for page in pages_of_blob(connection, blob_id)})


def _note_blobs(connection: sqlite3.Connection, page: Digest, group: GroupPage) -> None:
    if PAGE_BLOBS.row(connection, page) is None:
        for blob_id in group.blob_ids:
            PAGE_BLOBS.put(connection, (bytes(page), bytes(blob_id)))


def _digest(cell: Cell) -> Digest:
    return Digest(_bytes(cell))


def _bytes(cell: Cell) -> bytes:
    assert isinstance(cell, bytes), "only bytes are written to this column"
    return cell

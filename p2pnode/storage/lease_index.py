"""The index of leases and certificates: which pairs are under which lease, and where each record's file is.

A provisional lease takes effect at once, a final one when its certificate is here, or when it renews one that had taken
effect. What took effect stays in effect until its end or its owner's tombstone, which `lease_merging` weighs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from p2pnode.errors import LeaseError
from p2pnode.protocols.lease_merging import renews, replaces
from p2pnode.protocols.receipts import pairs_of
from p2pnode.storage import owner_tally, page_index
from p2pnode.storage.index import PairRow, pair, pairs_of_blob, put_pair
from p2pnode.storage.recordfile import kept
from p2pnode.storage.rows import Row, Table, uint64_cell, uint64_of
from p2pnode.storage.schema import (
    CERTIFICATE_BLOBS,
    CERTIFICATES,
    LEASE_RECORDS,
    LEASES,
    PAIR_LEASES,
    SUCCESSIONS,
    TOMBSTONES,
)
from p2pnode.storage.succession_index import heirs_of, predecessors_of
from p2pnode.storage.tombstone_index import end_here
from wire import limits
from wire.codec import decode, encode
from wire.ids import BlobId, Digest, PublicKey
from wire.messages import CommitLease
from wire.records import Certificate, Envelope, Lease, LeaseKind, Tombstone
from wire.signed import Signed

LEASES_PER_PAIR_MAX = 64
"""Leases that one pair is kept under at a time: many households may share a blob, nobody may fill the index with it."""

CERTIFICATES_PER_BLOB_MAX = 64
"""Certificates of one blob that are kept, one per lease and page, for the same reason."""

_ENVELOPE_BYTES_MAX = limits.RECORD_BYTES_MAX + 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRow:
    """A certificate whose record file is kept under `digest`."""

    digest: Digest
    lease: Digest
    page_index: int
    lease_end: int
    holders: int


def put_lease(connection: sqlite3.Connection, lease: Signed[Lease]) -> None:
    """Keep a lease."""
    if LEASES.row(connection, lease.digest) is None:
        cells = (encode(lease.envelope), bytes(lease.record.target), bytes(lease.signer))
        LEASES.put(connection, (bytes(lease.digest), *cells))


def lease(connection: sqlite3.Connection, digest: bytes) -> Signed[Lease] | None:
    """Return a lease that is kept."""
    row = LEASES.row(connection, digest)
    return None if row is None else _lease(row)


def leases_of_owner(connection: sqlite3.Connection, tombstone: Signed[Tombstone]) -> list[Signed[Lease]]:
    """Return the leases that are kept of a tombstone's target and its signer, or one of whom the signer succeeded."""
    owners = (tombstone.signer, *predecessors_of(connection, tombstone.signer))
    where, target = "WHERE target = ? AND owner = ?", bytes(tombstone.record.target)
    return [_lease(row) for owner in owners for row in LEASES.rows(connection, where, (target, bytes(owner)))]


def leases_signed_by(connection: sqlite3.Connection, owner: PublicKey) -> list[Signed[Lease]]:
    """Return all leases of one key that are kept."""
    return [_lease(row) for row in LEASES.rows(connection, "WHERE owner = ?", (bytes(owner),))]


def has_lease_of(connection: sqlite3.Connection, owner: PublicKey) -> bool:
    """Tell whether any lease of a key is kept."""
    return bool(LEASES.rows(connection, "WHERE owner = ? LIMIT 1", (bytes(owner),)))


def _lease(row: Row) -> Signed[Lease]:
    assert isinstance(row[1], bytes)
    return _decoded(row[1])


@lru_cache(maxsize=1024)
def _decoded(envelope: bytes) -> Signed[Lease]:
    """Return the lease in a row, whose checksum was checked: those of one file or renewal are looked at many times."""
    return kept(decode(envelope, Envelope, bytes_max=_ENVELOPE_BYTES_MAX), Lease)


def add_lease(connection: sqlite3.Connection, row: PairRow, lease: Signed[Lease], *, is_certified: bool) -> PairRow:
    """Put a pair under a lease and return its new row, written already.

    A provisional lease takes effect at once, a final one only when it is certified, or renews one in effect: the caller
    knows. Raises `LeaseError` when the pair is under LEASES_PER_PAIR_MAX leases already; a certified one is never
    refused, because others count on it.
    """
    is_provisional = lease.record.kind == LeaseKind.PROVISIONAL
    known = PAIR_LEASES.row(connection, row.blob_id, row.shard, lease.digest)
    if known is None and not is_certified:
        count = len(PAIR_LEASES.rows(connection, "WHERE blob_id = ? AND shard = ?", (row.blob_id, row.shard)))
        if count >= LEASES_PER_PAIR_MAX:
            message = (
                f"shard {row.shard} of blob {row.blob_id} is under {count} leases already, the most that are kept;"
                " renew one of them, or try when one has ended"
            )
            raise LeaseError(message)
    put_lease(connection, lease)
    if known is None:
        _count_for_owner(connection, row, lease)
    is_effective = is_provisional or is_certified or (known is not None and bool(known[3]))
    PAIR_LEASES.put(connection, (bytes(row.blob_id), row.shard, bytes(lease.digest), int(is_effective)))
    end = end_here(connection, lease)
    if is_provisional:
        row = replace(row, provisional_until=max(row.provisional_until, end))
    elif is_effective:
        row = replace(row, final_until=max(row.final_until, end))
    put_pair(connection, row)
    return row


def _count_for_owner(connection: sqlite3.Connection, row: PairRow, lease: Signed[Lease]) -> None:
    """Let a pair count for an owner that had no lease on it, at the size that its row has so far."""
    owner = bytes(lease.signer)
    stored = pair(connection, row.blob_id, row.shard)
    if stored is not None and owner not in owner_tally.owners_of(connection, row.blob_id, row.shard):
        owner_tally.count(connection, [owner], before=0, after=stored.file_bytes)


def has_lease(connection: sqlite3.Connection, row: PairRow, lease: Digest) -> bool:
    """Tell whether a pair is under a lease, pending or not."""
    return PAIR_LEASES.row(connection, row.blob_id, row.shard, lease) is not None


def leases_under(connection: sqlite3.Connection, row: PairRow) -> list[tuple[Signed[Lease], bool]]:
    """Return the leases that a pair is under, each with whether it is in effect, in the order of their digests."""
    found = []
    rows = PAIR_LEASES.rows(connection, "WHERE blob_id = ? AND shard = ? ORDER BY lease", (row.blob_id, row.shard))
    for _, _, digest, is_effective in rows:
        assert isinstance(digest, bytes)
        under = lease(connection, digest)
        if under is not None:
            found.append((under, bool(is_effective)))
    return found


def leases_of_pair(connection: sqlite3.Connection, row: PairRow) -> list[Signed[Lease]]:
    """Return the leases that a pair is under, pending or not, in the order of their digests."""
    return [each for each, _ in leases_under(connection, row)]


def pairs_under(connection: sqlite3.Connection, lease: Digest) -> list[PairRow]:
    """Return the pairs under a lease, pending or not."""
    rows = PAIR_LEASES.rows(connection, "WHERE lease = ?", (bytes(lease),))
    found = [pair(connection, BlobId(each[0]), int(each[1])) for each in rows if isinstance(each[0], bytes)]
    return [each for each in found if each is not None]


def is_renewal(connection: sqlite3.Connection, row: PairRow, lease: Signed[Lease]) -> bool:
    """Tell whether a lease renews one that is in effect for a pair."""
    return any(
        is_effective and renews(lease, each, _heirs(connection, each, lease))
        for each, is_effective in leases_under(connection, row)
    )


def forget_replaced(connection: sqlite3.Connection, rows: list[PairRow], lease: Signed[Lease]) -> list[Digest]:
    """Take pairs from under the leases that one in effect replaces. Returns the records that nobody needs now."""
    gone: list[Digest] = []
    for row in rows:
        for each in leases_of_pair(connection, row):
            if replaces(lease, each, _heirs(connection, each, lease)):
                PAIR_LEASES.delete(connection, row.blob_id, row.shard, each.digest)
                _count_no_more(connection, row, each)
                gone.append(each.digest)
    return drop_unused_leases(connection, gone)


def _heirs(connection: sqlite3.Connection, earlier: Signed[Lease], later: Signed[Lease]) -> Sequence[PublicKey]:
    """Return the heirs of a lease's owner; nobody asks for them when the later lease is its own."""
    return () if earlier.signer == later.signer else heirs_of(connection, earlier.signer)


def _count_no_more(connection: sqlite3.Connection, row: PairRow, lease: Signed[Lease]) -> None:
    """Take a pair from the tally of an owner whose last lease on it was replaced: by its successor's."""
    owner = bytes(lease.signer)
    stored = pair(connection, row.blob_id, row.shard)
    if stored is not None and owner not in owner_tally.owners_of(connection, row.blob_id, row.shard):
        owner_tally.count(connection, [owner], before=stored.file_bytes, after=0)


def put_lease_record(connection: sqlite3.Connection, record: Digest, lease: Digest) -> None:
    """Note the file of a lease that came after the pairs."""
    LEASE_RECORDS.put(connection, (bytes(record), bytes(lease)))


def has_lease_record(connection: sqlite3.Connection, record: Digest) -> bool:
    """Tell whether the file of a lease record is known."""
    return LEASE_RECORDS.row(connection, record) is not None


def drop_unused_leases(connection: sqlite3.Connection, leases: list[Digest]) -> list[Digest]:
    """Forget those of these leases that no pair and no certificate speaks of. Returns the records to remove."""
    dropped: list[Digest] = []
    for each in dict.fromkeys(leases):
        if PAIR_LEASES.rows(connection, "WHERE lease = ? LIMIT 1", (each,)):
            continue
        records = LEASE_RECORDS.rows(connection, "WHERE lease = ?", (each,))
        for record in records:
            LEASE_RECORDS.delete(connection, record[0])
            assert isinstance(record[0], bytes)
            dropped.append(Digest(record[0]))
        if not CERTIFICATES.rows(connection, "WHERE lease = ? LIMIT 1", (each,)):
            LEASES.delete(connection, each)
    return dropped


# ----------------------------------------------------------------------------------------- certificates


def _certificate(row: Row) -> CertificateRow:
    digest, lease_digest, page_index, lease_end, holders = row
    assert isinstance(digest, bytes)
    assert isinstance(lease_digest, bytes)
    return CertificateRow(
        digest=Digest(digest),
        lease=Digest(lease_digest),
        page_index=int(page_index),
        lease_end=uint64_of(lease_end),
        holders=int(holders),
    )


def certificate_row(certificate: Signed[Certificate], lease: Signed[Lease]) -> CertificateRow:
    """Return what the index keeps of a certificate."""
    record = certificate.record
    return CertificateRow(
        digest=certificate.digest,
        lease=lease.digest,
        page_index=record.page.page_index,
        lease_end=lease.record.end,
        holders=len(record.holders),
    )


def certificate_of_page(connection: sqlite3.Connection, lease: Digest, page_index: int) -> CertificateRow | None:
    """Return the certificate that is kept for a page of a lease."""
    rows = CERTIFICATES.rows(connection, "WHERE lease = ? AND page_index = ?", (lease, page_index))
    return _certificate(rows[0]) if rows else None


def certificates_of_blob(connection: sqlite3.Connection, blob_id: BlobId) -> list[CertificateRow]:
    """Return a blob's certificates, the longest lease first, among equals the one with more holders."""
    found = []
    for _, digest in CERTIFICATE_BLOBS.rows(connection, "WHERE blob_id = ?", (blob_id,)):
        row = CERTIFICATES.row(connection, digest)
        if row is not None:
            found.append(_certificate(row))
    return sorted(found, key=lambda each: (-each.lease_end, -each.holders, each.digest))


def put_certificate(
    connection: sqlite3.Connection, certificate: Signed[Certificate], lease: Signed[Lease]
) -> list[PairRow]:
    """Keep a certificate in place of the one that was kept for its page, and let its lease take effect.

    Returns the pairs that are here of the page. Raises `LeaseError` when one of the blobs has
    CERTIFICATES_PER_BLOB_MAX of them already.
    """
    row = certificate_row(certificate, lease)
    earlier = certificate_of_page(connection, row.lease, row.page_index)
    if earlier is not None:
        delete_certificate(connection, earlier.digest)
    put_lease(connection, lease)
    _put_certificate_row(connection, replace(row, lease_end=end_here(connection, lease)))
    page_index.note_certificate(connection, certificate, lease.record)
    rows: list[PairRow] = []
    for blob_id in certificate.record.page.blob_ids:
        count = len(CERTIFICATE_BLOBS.rows(connection, "WHERE blob_id = ?", (blob_id,)))
        if count >= CERTIFICATES_PER_BLOB_MAX:
            message = f"blob {blob_id} has {count} certificates here already, the most that are kept"
            raise LeaseError(message)
        CERTIFICATE_BLOBS.put(connection, (bytes(blob_id), bytes(row.digest)))
        rows += [add_lease(connection, each, lease, is_certified=True) for each in pairs_of_blob(connection, blob_id)]
    return rows


def end_certificates(connection: sqlite3.Connection, lease: Digest, end: int) -> None:
    """Note that a lease ends earlier than it says, with all of its certificates."""
    for row in CERTIFICATES.rows(connection, "WHERE lease = ?", (bytes(lease),)):
        _put_certificate_row(connection, replace(_certificate(row), lease_end=end))


def _put_certificate_row(connection: sqlite3.Connection, row: CertificateRow) -> None:
    cells = (bytes(row.digest), bytes(row.lease), row.page_index, uint64_cell(row.lease_end), row.holders)
    CERTIFICATES.put(connection, cells)


def ended_certificates(
    connection: sqlite3.Connection, *, before: int, after: Digest, count_max: int
) -> list[CertificateRow]:
    """Return certificates whose lease ended before `before`, in the order of their digests, from beyond `after` on."""
    where = "WHERE lease_end < ? AND certificate > ? ORDER BY certificate LIMIT ?"
    rows = CERTIFICATES.rows(connection, where, (uint64_cell(before), bytes(after), count_max))
    return [_certificate(row) for row in rows]


def is_certificate_needed(connection: sqlite3.Connection, row: CertificateRow) -> bool:
    """Tell whether a certificate that has ended still says something of a pair that is here.

    While the pair is under its lease, it alone says that the lease was in effect: without it an index that is built
    anew would take a renewal, perhaps out of the trash, for a lease that nobody has certified. And a renewal that was
    not certified anew leaves it the only one that names the holders.
    """
    if pairs_under(connection, row.lease):
        return True
    blobs = [
        BlobId(each[0])
        for each in CERTIFICATE_BLOBS.rows(connection, "WHERE certificate = ?", (bytes(row.digest),))
        if isinstance(each[0], bytes)
    ]
    here = [blob_id for blob_id in blobs if pairs_of_blob(connection, blob_id)]
    return any(certificates_of_blob(connection, blob_id)[0].lease_end <= row.lease_end for blob_id in here)


def delete_certificate(connection: sqlite3.Connection, digest: Digest) -> Digest | None:
    """Forget a certificate; the leases that took effect by it stay in effect. Returns its lease."""
    row = CERTIFICATES.row(connection, digest)
    CERTIFICATES.delete(connection, digest)
    page_index.forget_certificate(connection, digest)
    for blob_id, _ in CERTIFICATE_BLOBS.rows(connection, "WHERE certificate = ?", (digest,)):
        CERTIFICATE_BLOBS.delete(connection, blob_id, digest)
    return None if row is None else _certificate(row).lease


_RECORD_COLUMNS = (
    (CERTIFICATES, "certificate"),
    (LEASE_RECORDS, "record"),
    (TOMBSTONES, "tombstone"),
    (SUCCESSIONS, "record"),
)
"""Where the digest of a record with a file stands."""


def records_between(connection: sqlite3.Connection, low: bytes, high: bytes) -> dict[Digest, Table]:
    """Return the digests from `low` to `high` of all records with a file, each with the table that knows it."""
    found: dict[Digest, Table] = {}
    for table, column in _RECORD_COLUMNS:
        position = [name for name, _ in table.columns].index(column)
        for row in table.each(connection, f"WHERE {column} BETWEEN ? AND ?", (low, high)):
            digest = row[position]
            assert isinstance(digest, bytes)
            found[Digest(digest)] = table
    return found


def forget_lease_record(connection: sqlite3.Connection, record: Digest) -> None:
    """Forget a lease record whose file is gone."""
    LEASE_RECORDS.delete(connection, record)


def add_certified_leases(connection: sqlite3.Connection, row: PairRow) -> PairRow:
    """Put a pair that came after its blob's certificates under their leases; return its new row."""
    for each in certificates_of_blob(connection, row.blob_id):
        certified = lease(connection, each.lease)
        if certified is not None:
            row = add_lease(connection, row, certified, is_certified=True)
    return row


def add_lease_to_page(
    connection: sqlite3.Connection, lease: Signed[Lease], record: CommitLease, *, is_certified: bool
) -> list[PairRow]:
    """Put those pairs of a lease record that have a row under its lease; return them. Raises as `add_lease`."""
    rows = [pair(connection, blob_id, shard) for blob_id, shard in pairs_of(record.page, record.shard_sets)]
    return [add_lease(connection, row, lease, is_certified=is_certified) for row in rows if row is not None]

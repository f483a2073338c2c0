"""The files of signed records and of numbers that must never go back: a sealed body of one known type. Pure.

A certificate's envelope; a lease that pairs were put under after they were stored, as the `CommitLease` that asked for
it, or inside a `KeptRenewal` when it took effect at once; a tombstone; the succession of an owner; a holder record;
retractions, many to a file; or the ceilings below which every sequence number counts as used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar

from crypto.hashing import tagged_hash
from p2pnode.storage.sealed import DamagedFileError, seal, unseal
from wire import limits
from wire.codec import Nested, decode, encode, wire_type
from wire.errors import WireError
from wire.ids import Digest
from wire.messages import CommitLease
from wire.ownership import Succession
from wire.records import Certificate, Envelope, HolderRecord, Lease, RecordBundle, Retraction, Tombstone
from wire.shapes import ListOf, Text, UInt
from wire.signed import Signed

MAGIC = b"p2p-reco"
VERSION = 1

PURPOSES_MAX = 64
"""Purposes that sequence numbers are signed for: the kinds of record that carry one, with room for more."""

PURPOSE_CHARS_MAX = 64
"""A purpose is a short name in our own code."""

BODY_BYTES_MAX = limits.RECORD_BYTES_MAX + 1024
"""A record with its envelope around it."""


@wire_type(0x82)
@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceCeiling:
    """No number above `ceiling` was ever given out for this purpose."""

    purpose: Annotated[str, Text(PURPOSE_CHARS_MAX, low=1)]
    ceiling: Annotated[int, UInt(limits.UINT64_MAX)]


@wire_type(0x81)
@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceCeilings:
    """All of them, in the order of their purposes."""

    ceilings: Annotated[tuple[SequenceCeiling, ...], ListOf(Nested(SequenceCeiling), PURPOSES_MAX)]


@wire_type(0x83)
@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTombstone:
    """An owner's tombstone, kept so that no lease that it ends comes back."""

    tombstone: Annotated[Envelope, Nested(Envelope)]


@wire_type(0x84)
@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRenewal:
    """A renewal that took effect when it came, because the lease that it renews had done so: that one may be gone."""

    commit: Annotated[CommitLease, Nested(CommitLease)]


@wire_type(0x85)
@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSuccession:
    """Who is the owner instead of another key, kept for as long as that one's leases could run."""

    succession: Annotated[Envelope, Nested(Envelope)]


LeaseRecord = CommitLease | KeptRenewal
"""The file of a lease that came after its pairs."""

StoredRecord = Envelope | LeaseRecord | KeptTombstone | KeptSuccession | SequenceCeilings | HolderRecord | RecordBundle
"""What a record file may hold; an `Envelope` is a certificate's, and a bundle is of retractions."""

_KINDS = (
    Envelope,
    CommitLease,
    KeptRenewal,
    KeptTombstone,
    KeptSuccession,
    SequenceCeilings,
    HolderRecord,
    RecordBundle,
)

K = TypeVar("K", Certificate, Lease, Retraction, Succession, Tombstone)


def record_bytes(record: StoredRecord) -> bytes:
    """Return the file's bytes. Raises `WireError` when a field breaks its limit."""
    return seal(MAGIC, VERSION, encode(record))


def read_record(data: bytes) -> StoredRecord:
    """Return the record in a file's bytes. Raises `DamagedFileError` or `NewerFormatError`."""
    body = unseal(data, magic=MAGIC, version=VERSION, body_bytes_max=BODY_BYTES_MAX)
    try:
        record = decode(body, *_KINDS, bytes_max=BODY_BYTES_MAX)
    except WireError as error:
        message = f"the record cannot be read: {error}"
        raise DamagedFileError(message) from error
    assert isinstance(record, StoredRecord)  # The codec returns one of the kinds that it was given.
    return record


def lease_record_digest(record: LeaseRecord) -> Digest:
    """Return the name under which a lease record is kept."""
    return Digest(tagged_hash(b"p2pnode/lease record", encode(record)))


def kept(envelope: Envelope, kind: type[K]) -> Signed[K]:
    """Return a record that we keep as checked: its signature was checked before it was stored, its bytes just now.

    Raises `DamagedFileError` when it is of another kind after all.
    """
    try:
        record: K = decode(envelope.body, kind, bytes_max=limits.RECORD_BYTES_MAX)
    except WireError as error:
        message = f"the stored {kind.__name__.lower()} cannot be read: {error}"
        raise DamagedFileError(message) from error
    return Signed(record, envelope)

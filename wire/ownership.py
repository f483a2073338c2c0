"""What an owner keeps about its own things: signed records of each, and the few messages of the protocol `owner`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from wire import limits
from wire.codec import Nested, wire_type
from wire.ids import BlobId, LeaseTarget, PublicKey
from wire.records import Envelope, Time, Version1
from wire.shapes import Fixed, ListOf, Maybe, Text, UInt

KIND_BLOB, KIND_FILE = 0, 1
"""What the blob id of an owned record or a head names: a blob, or the root manifest of a file."""


@wire_type(0x60)
@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedRecord:
    """One thing that an owner stored, signed with the owner key. It leaves the node sealed only: names are private.

    The sequence rises with each decision of the owner about it (stored, prolonged, removed), not with the renewals that
    follow from one; the lease's own end and sequence tell of those.
    """

    version: Version1 = 1
    kind: Annotated[int, UInt(KIND_FILE)]
    blob_id: Annotated[BlobId, Fixed(BlobId)]
    target: Annotated[LeaseTarget, Fixed(LeaseTarget)]
    blob_count: Annotated[int, UInt(limits.GROUP_BLOBS_MAX, low=1)]
    n: Annotated[int, UInt(limits.SHARDS_MAX, low=limits.SHARDS_MIN)]
    size: Annotated[int, UInt(limits.FILE_BYTES_MAX)]
    name: Annotated[str, Text(limits.TEXT_CHARS_MAX)]
    stored_at: Time
    wanted_until: Time
    lease_sequence: Annotated[int, UInt(limits.UINT64_MAX)]
    lease_end: Time
    renewers: Annotated[tuple[PublicKey, ...], ListOf(Fixed(PublicKey), limits.RENEWERS_MAX)]
    sequence: Annotated[int, UInt(limits.UINT64_MAX)]
    removed_at: Time


@wire_type(0x61)
@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueHead:
    """Where the newest sealed catalogue of an owner is, signed with the owner key; a higher sequence replaces a lower.

    `end` is the end of the lease on what it names: nobody keeps a head for longer.
    """

    version: Version1 = 1
    sequence: Annotated[int, UInt(limits.UINT64_MAX)]
    time: Time
    end: Time
    kind: Annotated[int, UInt(KIND_FILE)]
    blob_id: Annotated[BlobId, Fixed(BlobId)]


@wire_type(0x62)
@dataclass(frozen=True, slots=True, kw_only=True)
class KeepHead:
    """Keep this head and hand it to whoever asks for its owner's; the answer has the newest that is kept now."""

    head: Annotated[Envelope, Nested(Envelope)]


@wire_type(0x63)
@dataclass(frozen=True, slots=True, kw_only=True)
class GetHead:
    """Tell the newest head that you keep of this owner."""

    owner: Annotated[PublicKey, Fixed(PublicKey)]


@wire_type(0x64)
@dataclass(frozen=True, slots=True, kw_only=True)
class HeadKept:
    """The newest head that is kept here of the owner in question; nil for none."""

    head: Annotated[Envelope | None, Maybe(Nested(Envelope))]


@wire_type(0x65)
@dataclass(frozen=True, slots=True, kw_only=True)
class Bury:
    """End the lease of this tombstone's signer on its target."""

    tombstone: Annotated[Envelope, Nested(Envelope)]


@wire_type(0x66)
@dataclass(frozen=True, slots=True, kw_only=True)
class Buried:
    """The tombstone is valid and durable."""


@wire_type(0x67)
@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All that an owner stored: the content of the sealed blob, never sent in the open."""

    version: Version1 = 1
    records: Annotated[tuple[Envelope, ...], ListOf(Nested(Envelope), limits.OWNED_RECORDS_MAX)]


@wire_type(0x68)
@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """That another key is the owner from now on: signed with the predecessor's key, and by the successor inside.

    `consent` is the envelope of the same record, with nil in this field, signed with the successor's key: nobody is
    made responsible for what others have stored.
    """

    version: Version1 = 1
    predecessor: Annotated[PublicKey, Fixed(PublicKey)]
    successor: Annotated[PublicKey, Fixed(PublicKey)]
    time: Time
    consent: Annotated[Envelope | None, Maybe(Nested(Envelope))]


@wire_type(0x69)
@dataclass(frozen=True, slots=True, kw_only=True)
class KeepSuccession:
    """Take this owner's successor for the owner of its leases and heads that you keep."""

    succession: Annotated[Envelope, Nested(Envelope)]


@wire_type(0x6A)
@dataclass(frozen=True, slots=True, kw_only=True)
class GetSuccession:
    """Tell who has succeeded this owner, as far as you know."""

    owner: Annotated[PublicKey, Fixed(PublicKey)]


@wire_type(0x6B)
@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessionKept:
    """The succession that is kept here of the predecessor in question; nil for none."""

    succession: Annotated[Envelope | None, Maybe(Nested(Envelope))]

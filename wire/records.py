"""The signed records, and the few unsigned parts that they carry. Every one has a version of its own.

A record travels inside an `Envelope`: the canonical bytes of the record, the signer's key and the signature. The bytes
are kept as they came, so that a signature can be checked again at any time, by anyone. `wire.signed` opens envelopes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

from crypto.work import WORK_BYTES
from wire import limits
from wire.codec import Nested, wire_type
from wire.ids import BlobId, Digest, FileSalt, LeaseTarget, PeerId, PublicKey, Signature
from wire.shapes import Bool, Fixed, ListOf, Maybe, Packed, Raw, Text, UInt

Time = Annotated[int, UInt(limits.UINT64_MAX)]
"""Whole seconds since 1970 by the signer's wall clock."""

Version1 = Annotated[int, UInt(1, low=1)]
Path = Annotated[tuple[Digest, ...], Packed(Digest, limits.PATH_NODES_MAX)]
"""A Merkle path, bottom-up."""


@wire_type(0x01)
@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A record as its signer sent it. Unchecked: `wire.signed.open_envelope` makes a checked `Signed` of it."""

    body: Annotated[bytes, Raw(limits.RECORD_BYTES_MAX)]
    signer: Annotated[PublicKey, Fixed(PublicKey)]
    signature: Annotated[Signature, Fixed(Signature)]


@wire_type(0x10)
@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataRecord:
    """What a holder must know of a blob: it proves itself, because the blob id is computed from it (spec section 3).

    `pair_hashes` holds n times 64 bytes: hash of primary i, then hash of secondary n - 1 - i.
    """

    version: Version1 = 1
    n: Annotated[int, UInt(limits.SHARDS_MAX, low=limits.SHARDS_MIN)]
    length: Annotated[int, UInt(limits.BLOB_BYTES_MAX)]
    pair_hashes: Annotated[bytes, Raw(64 * limits.SHARDS_MAX, low=64 * limits.SHARDS_MIN)]


class MemberState(enum.IntEnum):
    """What a member says of itself."""

    ACTIVE = 0
    MAINTENANCE = 1
    DRAINING = 2


@wire_type(0x11)
@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRecord:
    """A node's statement about itself, signed with its identity key; a higher sequence replaces a lower one.

    It also binds the owner key to the node: whoever knows the member knows whose leases are its own.
    """

    version: Version1 = 1
    sequence: Annotated[int, UInt(limits.UINT64_MAX)]
    time: Time
    addresses: Annotated[tuple[str, ...], ListOf(Text(limits.ADDRESS_CHARS_MAX, low=1), limits.ADDRESSES_MAX)]
    capacity_bytes: Annotated[int, UInt(limits.UINT64_MAX)]
    free_bytes: Annotated[int, UInt(limits.UINT64_MAX)]
    state: Annotated[int, UInt(max(MemberState))]
    state_until: Time
    work: Annotated[bytes, Raw(WORK_BYTES)]
    owner: Annotated[PublicKey, Fixed(PublicKey)]
    domain_tag: Annotated[str, Text(limits.DOMAIN_TAG_CHARS_MAX)]
    software: Annotated[str, Text(limits.TEXT_CHARS_MAX)]


class LeaseKind(enum.IntEnum):
    """A provisional lease covers an upload for a day; a final one is what the owner asked for."""

    PROVISIONAL = 0
    FINAL = 1


class LeaseScope(enum.IntEnum):
    """What the target of a lease names."""

    BLOB = 0
    FILE = 1


@wire_type(0x13)
@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An owner's statement of how long to keep a blob or a file, signed with the owner key.

    `target` is the blob id itself, or the Merkle root over the `blob_count` blob ids of a file (segments in order, then
    its manifests). `salt` is what placed the blobs of a file, so that holders rank candidates as its writer did; its id
    places a blob. `holders` is empty, except in a renewal, where it names one holder for each shard of a blob.
    """

    version: Version1 = 1
    kind: Annotated[int, UInt(max(LeaseKind))]
    scope: Annotated[int, UInt(max(LeaseScope))]
    target: Annotated[LeaseTarget, Fixed(LeaseTarget)]
    salt: Annotated[FileSalt | None, Maybe(Fixed(FileSalt))]
    blob_count: Annotated[int, UInt(limits.GROUP_BLOBS_MAX, low=1)]
    n: Annotated[int, UInt(limits.SHARDS_MAX, low=limits.SHARDS_MIN)]
    sequence: Annotated[int, UInt(limits.UINT64_MAX)]
    start: Time
    end: Time
    is_deletable: Annotated[bool, Bool()]
    renewers: Annotated[tuple[PublicKey, ...], ListOf(Fixed(PublicKey), limits.RENEWERS_MAX)]
    holders: Annotated[tuple[PeerId, ...], ListOf(Fixed(PeerId), limits.SHARDS_MAX)]


@wire_type(0x14)
@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptBatch:
    """A holder's promise to keep `count` shards until the lease ends, signed once over their Merkle root.

    Leaf k of the root is `receipt_leaf(blob id, shard)`; a batch of one has that leaf's hash as its root. `lease` is
    `Signed.digest` of the lease. Signed only after fsync, with the identity key. Receipts and retractions of one signer
    share their `sequence`: a retraction ends the receipts for its pair that have a lower one, and no later ones.
    """

    version: Version1 = 1
    sequence: Annotated[int, UInt(limits.UINT64_MAX)]
    lease: Annotated[Digest, Fixed(Digest)]
    lease_end: Time
    count: Annotated[int, UInt(limits.RECEIPT_BATCH_MAX, low=1)]
    root: Annotated[Digest, Fixed(Digest)]
    time: Time


@wire_type(0x15)
@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One shard out of a batch: the signed batch and the path from the shard's leaf to its root."""

    version: Version1 = 1
    batch: Annotated[Envelope, Nested(Envelope)]
    blob_id: Annotated[BlobId, Fixed(BlobId)]
    shard: Annotated[int, UInt(limits.SHARDS_MAX - 1)]
    index: Annotated[int, UInt(limits.RECEIPT_BATCH_MAX - 1)]
    path: Path


class RetractionReason(enum.IntEnum):
    """Why a holder ends its own receipt."""

    LOST = 0
    DRAINED = 1


@wire_type(0x16)
@dataclass(frozen=True, slots=True, kw_only=True)
class Retraction:
    """A holder's end of its own receipts for one pair: those with a lower sequence. Signed with its identity key."""

    version: Version1 = 1
    blob_id: Annotated[BlobId, Fixed(BlobId)]
    shard: Annotated[int, UInt(limits.SHARDS_MAX - 1)]
    sequence: Annotated[int, UInt(limits.UINT64_MAX)]
    reason: Annotated[int, UInt(max(RetractionReason))]
    time: Time


@wire_type(0x17)
@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """An owner's end of its own lease, signed with the owner key; it ends no other owner's lease."""

    version: Version1 = 1
    target: Annotated[LeaseTarget, Fixed(LeaseTarget)]
    sequence: Annotated[int, UInt(limits.UINT64_MAX)]
    time: Time


@wire_type(0x1A)
@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSet:
    """For one shard, the blobs of a page: bit k (from the low bit of the first byte) stands for blob k of the page."""

    shard: Annotated[int, UInt(limits.SHARDS_MAX - 1)]
    blobs: Annotated[bytes, Raw(limits.GROUP_PAGE_BLOBS_MAX // 8, low=1)]


@wire_type(0x19)
@dataclass(frozen=True, slots=True, kw_only=True)
class HolderReceipts:
    """One holder's signed batch and the shards that it covers, so that every path in it can be rebuilt.

    The leaves of the batch stand in the order of the shard sets, and within one in the order of the page.
    """

    batch: Annotated[Envelope, Nested(Envelope)]
    shard_sets: Annotated[tuple[ShardSet, ...], ListOf(Nested(ShardSet), limits.SHARD_SETS_MAX, low=1)]


@wire_type(0x1B)
@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPage:
    """An aligned run of the blob ids under a lease, with the path from the run to the lease's target.

    For a lease of one blob it is that blob id and no path.
    """

    page_index: Annotated[int, UInt(limits.GROUP_BLOBS_MAX // limits.GROUP_PAGE_BLOBS_MAX - 1)]
    blob_ids: Annotated[tuple[BlobId, ...], ListOf(Fixed(BlobId), limits.GROUP_PAGE_BLOBS_MAX, low=1)]
    path: Path


@wire_type(0x18)
@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The point of availability: receipts for the final lease on n - f or more distinct shards of every blob of a page.

    The owner signs the list, with the owner key.
    """

    version: Version1 = 1
    lease: Annotated[Envelope, Nested(Envelope)]
    page: Annotated[GroupPage, Nested(GroupPage)]
    holders: Annotated[tuple[HolderReceipts, ...], ListOf(Nested(HolderReceipts), limits.SHARDS_MAX, low=1)]


@wire_type(0x1C)
@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """That the record of a blob changed: the start of its id, its lease's end, and the digest of the record."""

    id_prefix: Annotated[bytes, Raw(8, low=8)]
    lease_end: Time
    record: Annotated[Digest, Fixed(Digest)]


@wire_type(0x1D)
@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementBatch:
    """Announcements gossiped together, signed once with the announcing node's identity key."""

    version: Version1 = 1
    sequence: Annotated[int, UInt(limits.UINT64_MAX)]
    time: Time
    announcements: Annotated[tuple[Announcement, ...], ListOf(Nested(Announcement), limits.ANNOUNCEMENTS_MAX, low=1)]


@wire_type(0x50)
@dataclass(frozen=True, slots=True, kw_only=True)
class HolderRecord:
    """What one holder signed under a lease outside of any certificate: after a repair, or a pair that came back.

    It proves itself: the lease, the page and the batch are checked as those of a certificate are.
    """

    version: Version1 = 1
    lease: Annotated[Envelope, Nested(Envelope)]
    page: Annotated[GroupPage, Nested(GroupPage)]
    holder: Annotated[HolderReceipts, Nested(HolderReceipts)]


@wire_type(0x51)
@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBundle:
    """Records of receipts of one page: envelopes of certificates and of retractions, and holder records."""

    certificates: Annotated[tuple[Envelope, ...], ListOf(Nested(Envelope), limits.CERTIFICATES_PER_MESSAGE_MAX)]
    holders: Annotated[tuple[HolderRecord, ...], ListOf(Nested(HolderRecord), limits.HOLDER_RECORDS_PER_MESSAGE_MAX)]
    retractions: Annotated[tuple[Envelope, ...], ListOf(Nested(Envelope), limits.RETRACTIONS_PER_MESSAGE_MAX)]

"""The messages of our own protocols: what one node asks another, and what it may answer.

A message that announces sliver bytes is followed on the stream by exactly that many raw bytes; `payload_bytes` tells.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

from wire import limits
from wire.codec import Nested, wire_type
from wire.ids import PAGE_BUCKETS, STATE_BYTES, BlobId, Digest, MembersSummary, PageDigests, PeerId
from wire.inconsistency import InconsistentBlob
from wire.records import Envelope, GroupPage, HolderRecord, MetadataRecord, RecordBundle, ShardSet
from wire.repair import RecoveredSymbols
from wire.shapes import Bool, Fixed, ListOf, Maybe, Raw, Text, UInt

SliverBytes = Annotated[int, UInt(limits.SLIVER_BYTES_MAX, low=1)]
Shard = Annotated[int, UInt(limits.SHARDS_MAX - 1)]


class RefusalCode(enum.IntEnum):
    """Why a peer did not do what was asked; the number is the contract, the text is for people."""

    INVALID = 0
    """The request breaks a rule; sending it again is no use."""
    NO_SPACE = 1
    """The quota or the disk is full."""
    BUSY = 2
    """Too much is going on; later or another peer."""
    NOT_HELD = 3
    """The pair, the receipt or the commitment that the request speaks of is not here."""
    DAMAGED = 4
    """It was here, and what the disk gave back was wrong or unreadable."""
    LEASE = 5
    """The lease is too long, over, or not covered."""
    STOPPING = 6
    """The node is going down."""


class DialOutcome(enum.IntEnum):
    """What came of dialling one address back."""

    REACHED = 0
    """The asker answered there and proved that it is itself."""
    REFUSED = 1
    """Nobody listens there, or somebody else."""
    SILENT = 2
    """Nothing came back in time."""
    NOT_TRIED = 3
    """It is none that is dialled for this asker, or there was no time left."""


@wire_type(0x20)
@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The answer to any request that was not done."""

    code: Annotated[int, UInt(max(RefusalCode))]
    reason: Annotated[str, Text(limits.TEXT_CHARS_MAX)]


@wire_type(0x21)
@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeMembers:
    """Here is my record; tell me the member records that you know, in the order of peer ids, those after `after`.

    Those only that may differ from what I know, when there is a summary of that.
    """

    record: Annotated[Envelope, Nested(Envelope)]
    after: Annotated[PeerId | None, Maybe(Fixed(PeerId))]
    known: Annotated[MembersSummary | None, Maybe(Fixed(MembersSummary))]


@wire_type(0x22)
@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Member records; `has_more` when the next ones can be asked for."""

    records: Annotated[tuple[Envelope, ...], ListOf(Nested(Envelope), limits.MEMBERS_PER_MESSAGE_MAX)]
    has_more: Annotated[bool, Bool()]


@wire_type(0x23)
@dataclass(frozen=True, slots=True, kw_only=True)
class StorePair:
    """Keep this sliver pair under these leases. The primary's bytes follow, then the secondary's."""

    leases: Annotated[tuple[Envelope, ...], ListOf(Nested(Envelope), limits.LEASES_PER_MESSAGE_MAX, low=1)]
    metadata: Annotated[MetadataRecord, Nested(MetadataRecord)]
    blob_id: Annotated[BlobId, Fixed(BlobId)]
    shard: Shard
    primary_bytes: SliverBytes
    secondary_bytes: SliverBytes

    @property
    def payload_bytes(self) -> int:
        """The raw bytes that follow."""
        return self.primary_bytes + self.secondary_bytes


@wire_type(0x24)
@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The pair is verified and durable: one signed receipt batch of one for each lease, in their order."""

    batches: Annotated[tuple[Envelope, ...], ListOf(Nested(Envelope), limits.LEASES_PER_MESSAGE_MAX, low=1)]


@wire_type(0x25)
@dataclass(frozen=True, slots=True, kw_only=True)
class CommitLease:
    """Put the pairs that you hold of this page under this final lease; it takes effect with the certificate."""

    lease: Annotated[Envelope, Nested(Envelope)]
    page: Annotated[GroupPage, Nested(GroupPage)]
    shard_sets: Annotated[tuple[ShardSet, ...], ListOf(Nested(ShardSet), limits.SHARD_SETS_MAX, low=1)]


@wire_type(0x26)
@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The receipt for the pairs of a `CommitLease`, leaves in the order of its shard sets."""

    batch: Annotated[Envelope, Nested(Envelope)]


@wire_type(0x27)
@dataclass(frozen=True, slots=True, kw_only=True)
class Certify:
    """The certificate of a page: the final lease takes effect for what you hold of it."""

    certificate: Annotated[Envelope, Nested(Envelope)]


@wire_type(0x28)
@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """The certificate is valid and durable."""


@wire_type(0x29)
@dataclass(frozen=True, slots=True, kw_only=True)
class GetRecord:
    """Tell what you know of this blob."""

    blob_id: Annotated[BlobId, Fixed(BlobId)]
    wants_certificates: Annotated[bool, Bool()]


@wire_type(0x2A)
@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRecord:
    """The metadata, the shards kept here, and if asked for the records of who holds the blob, the best first."""

    metadata: Annotated[MetadataRecord, Nested(MetadataRecord)]
    shards_held: Annotated[tuple[int, ...], ListOf(UInt(limits.SHARDS_MAX - 1), limits.SHARDS_MAX)]
    certificates: Annotated[tuple[Envelope, ...], ListOf(Nested(Envelope), limits.CERTIFICATES_PER_MESSAGE_MAX)]
    holders: Annotated[tuple[HolderRecord, ...], ListOf(Nested(HolderRecord), limits.HOLDER_RECORDS_PER_MESSAGE_MAX)]
    retractions: Annotated[tuple[Envelope, ...], ListOf(Nested(Envelope), limits.RETRACTIONS_PER_MESSAGE_MAX)]


@wire_type(0x2B)
@dataclass(frozen=True, slots=True, kw_only=True)
class NoRecord:
    """Nothing is known of this blob here."""


@wire_type(0x2C)
@dataclass(frozen=True, slots=True, kw_only=True)
class GetSliver:
    """Send this sliver."""

    blob_id: Annotated[BlobId, Fixed(BlobId)]
    axis: Annotated[int, UInt(1)]
    index: Annotated[int, UInt(limits.SHARDS_MAX - 1)]


@wire_type(0x2D)
@dataclass(frozen=True, slots=True, kw_only=True)
class SliverData:
    """The sliver's bytes follow."""

    sliver_bytes: SliverBytes

    @property
    def payload_bytes(self) -> int:
        """The raw bytes that follow."""
        return self.sliver_bytes


@wire_type(0x2E)
@dataclass(frozen=True, slots=True, kw_only=True)
class DialBack:
    """Dial me on a fresh connection at these addresses and tell what came of it; with none, tell where you see me."""

    addresses: Annotated[tuple[str, ...], ListOf(Text(limits.ADDRESS_CHARS_MAX, low=1), limits.DIAL_BACK_ADDRESSES_MAX)]


@wire_type(0x2F)
@dataclass(frozen=True, slots=True, kw_only=True)
class DialledBack:
    """One `DialOutcome` for each address, in their order, and where the asker's connection comes from."""

    outcomes: Annotated[tuple[int, ...], ListOf(UInt(max(DialOutcome)), limits.DIAL_BACK_ADDRESSES_MAX)]
    seen_at: Annotated[str, Text(limits.ADDRESS_CHARS_MAX)]


@wire_type(0x48)
@dataclass(frozen=True, slots=True, kw_only=True)
class GetOwnRecord:
    """Tell me the newest member record of mine that you know. It can be asked, and answered, before one is signed."""


@wire_type(0x49)
@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRecord:
    """The asking node's newest member record, None when none is known."""

    record: Annotated[Envelope | None, Maybe(Nested(Envelope))]


@wire_type(0x52)
@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSets:
    """Is the set of receipts of what we both hold the same with you? `digest` stands for all of mine."""

    digest: Annotated[bytes, Raw(STATE_BYTES, low=STATE_BYTES)]


@wire_type(0x53)
@dataclass(frozen=True, slots=True, kw_only=True)
class SetsCompared:
    """The digests of my pages in buckets; none when all is the same."""

    buckets: Annotated[PageDigests | None, Maybe(Fixed(PageDigests))]


@wire_type(0x54)
@dataclass(frozen=True, slots=True, kw_only=True)
class ListPages:
    """Name the pages that we share, in these buckets, those after `after`."""

    buckets: Annotated[tuple[int, ...], ListOf(UInt(PAGE_BUCKETS - 1), PAGE_BUCKETS, low=1)]
    after: Annotated[Digest | None, Maybe(Fixed(Digest))]


@wire_type(0x55)
@dataclass(frozen=True, slots=True, kw_only=True)
class PageState:
    """A page, and a digest over the names of all records of receipts that are kept of it."""

    page: Annotated[Digest, Fixed(Digest)]
    state: Annotated[bytes, Raw(STATE_BYTES, low=STATE_BYTES)]


@wire_type(0x56)
@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Pages in their order; `has_more` when the next ones can be asked for."""

    pages: Annotated[tuple[PageState, ...], ListOf(Nested(PageState), limits.PAGES_PER_MESSAGE_MAX)]
    has_more: Annotated[bool, Bool()]


@wire_type(0x57)
@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangePage:
    """These records I have of a page; take some of them, and give me what I lack."""

    page: Annotated[Digest, Fixed(Digest)]
    has: Annotated[tuple[Digest, ...], ListOf(Fixed(Digest), limits.PAGE_RECORDS_MAX)]
    records: Annotated[RecordBundle, Nested(RecordBundle)]


@wire_type(0x58)
@dataclass(frozen=True, slots=True, kw_only=True)
class PageExchanged:
    """Records of the page that the asker did not name, as many as fit, and the names of those that I want."""

    wants: Annotated[tuple[Digest, ...], ListOf(Fixed(Digest), limits.PAGE_RECORDS_MAX)]
    records: Annotated[RecordBundle, Nested(RecordBundle)]


_WITH_PAYLOAD = StorePair | SliverData | RecoveredSymbols | InconsistentBlob


def payload_bytes(message: object) -> int:
    """Return how many raw bytes follow this message on its stream."""
    return message.payload_bytes if isinstance(message, _WITH_PAYLOAD) else 0

"""Audit receipts: what an asker and a holder agree on after audits, signed by both of them.

Neither signature is worth anything without the other: an asker alone could make up earnings of a friend, a holder alone
its own.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

from wire import limits
from wire.codec import Nested, wire_type
from wire.ids import BlobId, Digest, PeerId, Signature
from wire.records import Envelope, Time, Version1
from wire.shapes import Fixed, ListOf, UInt


class Outcome(enum.IntEnum):
    """What an audit has shown. Of a question that was not answered, or falsely, there is nothing to agree on."""

    PROVEN = 0
    LOST = 1


@wire_type(0x90)
@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedPair:
    """What one question has shown.

    `lease` names what the pair is kept for, so that its owner is known to whoever has the lease; `base` and `answer`
    what was asked on and what the holder signed as its answer.
    """

    time: Time
    blob_id: Annotated[BlobId, Fixed(BlobId)]
    shard: Annotated[int, UInt(limits.SHARDS_MAX - 1)]
    lease: Annotated[Digest, Fixed(Digest)]
    base: Annotated[Digest, Fixed(Digest)]
    answer: Annotated[Digest, Fixed(Digest)]
    outcome: Annotated[int, UInt(max(Outcome))]
    pair_bytes: Annotated[int, UInt(2 * limits.SLIVER_BYTES_MAX)]


@wire_type(0x7E)
@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReceipt:
    """What came of one question or more to one holder; both sides sign the same bytes, each with its identity key."""

    version: Version1 = 1
    auditor: Annotated[PeerId, Fixed(PeerId)]
    holder: Annotated[PeerId, Fixed(PeerId)]
    audits: Annotated[tuple[AuditedPair, ...], ListOf(Nested(AuditedPair), limits.AUDITS_PER_RECEIPT_MAX, low=1)]


@wire_type(0x7F)
@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAudit:
    """An AuditReceipt as the auditor has signed it, who asks for the holder's signature."""

    statement: Annotated[Envelope, Nested(Envelope)]


@wire_type(0x91)
@dataclass(frozen=True, slots=True, kw_only=True)
class Countersignature:
    """The holder's signature over the same bytes."""

    signature: Annotated[Signature, Fixed(Signature)]

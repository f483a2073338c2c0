"""Audit receipts: what an asker and a holder agree on after an audit, signed by both of them.

Neither signature is worth anything without the other: an asker alone could make up earnings of a friend, a holder alone
its own.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

from wire import limits
from wire.codec import Fixed, Nested, UInt, wire_type
from wire.ids import BlobId, Digest, PeerId
from wire.records import Envelope, Time, Version1


class Outcome(enum.IntEnum):
    """What an audit has shown. Of a question that was not answered, or falsely, there is nothing to agree on."""

    PROVEN = 0
    LOST = 1


@wire_type(0x7E)
@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReceipt:
    """What came of one audit; both sides sign the same bytes, each with its identity key.

    `lease` names what the pair is kept for, so that its owner is known to whoever has the lease; `base` and `answer`
    what was asked on and what the holder signed as its answer.
    """

    version: Version1 = 1
    auditor: Annotated[PeerId, Fixed(PeerId)]
    holder: Annotated[PeerId, Fixed(PeerId)]
    time: Time
    blob_id: Annotated[BlobId, Fixed(BlobId)]
    shard: Annotated[int, UInt(limits.SHARDS_MAX - 1)]
    lease: Annotated[Digest, Fixed(Digest)]
    base: Annotated[Digest, Fixed(Digest)]
    answer: Annotated[Digest, Fixed(Digest)]
    outcome: Annotated[int, UInt(max(Outcome))]
    pair_bytes: Annotated[int, UInt(2 * limits.SLIVER_BYTES_MAX)]


@wire_type(0x7F)
@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAudit:
    """An AuditReceipt as one side has signed it: the auditor's asks for the holder's, which is the answer."""

    statement: Annotated[Envelope, Nested(Envelope)]

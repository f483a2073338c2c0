"""Commitments: what a node says, once an epoch, that it holds, and how it shows what is in it and what is not.

The tree has a leaf for each of 65,536 buckets, by the first two bytes of the blob id: the number of entries in it, as 4
bytes big-endian, and the root over them. So what changed since the last epoch is hashed anew, and little besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from wire import limits
from wire.codec import Nested, wire_type
from wire.ids import BlobId, Digest
from wire.records import Path, Time, Version1
from wire.shapes import Fixed, ListOf, UInt

Count = Annotated[int, UInt(limits.UINT64_MAX)]


@wire_type(0x7A)
@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """Everything that a node held at a time, signed with its identity key: at most one for an epoch.

    It also binds the secrets of the challenges that the node will send in the next epoch.
    """

    version: Version1 = 1
    epoch: Annotated[int, UInt(limits.UINT64_MAX)]
    time: Time
    root: Annotated[Digest, Fixed(Digest)]
    count: Count
    pair_bytes: Count
    secrets: Annotated[Digest, Fixed(Digest)]


@wire_type(0x7B)
@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedEntry:
    """One pair in a commitment, with its place in its bucket."""

    blob_id: Annotated[BlobId, Fixed(BlobId)]
    shard: Annotated[int, UInt(limits.SHARDS_MAX - 1)]
    pair_bytes: Count
    lease_end: Time
    index: Count
    path: Path


@wire_type(0x7C)
@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedBucket:
    """What a commitment says of one pair: its entry, or those that stand where it would be between them."""

    count: Annotated[int, UInt(2**32 - 1)]
    root: Annotated[Digest, Fixed(Digest)]
    path: Path
    entries: Annotated[tuple[CommittedEntry, ...], ListOf(Nested(CommittedEntry), limits.NEIGHBOURS_MAX)]


@wire_type(0x7D)
@dataclass(frozen=True, slots=True, kw_only=True)
class Reveal:
    """Where the secret of a challenge was bound: in which commitment of the asker, and the path from it to there."""

    commitment: Annotated[Digest, Fixed(Digest)]
    path: Path

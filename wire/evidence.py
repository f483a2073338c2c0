"""Evidence: what somebody signed that no honest node signs, and how nodes tell each other of it.

A piece of evidence is complete: whoever has its bytes can check it, and whoever brings it is of no account.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

from wire import limits
from wire.codec import Nested, wire_type
from wire.ids import BlobId, Digest
from wire.records import Envelope, Version1
from wire.shapes import Fixed, ListOf, Maybe, UInt


class EvidenceKind(enum.IntEnum):
    """What the statements show."""

    FALSE_PROOF = 0
    """A signed StorageProof that is no proof."""
    TWO_COMMITMENTS = 1
    """Two different signed Commitments for one epoch."""


class Failure(enum.IntEnum):
    """How an audit failed."""

    WRONG = 0
    ABSENT = 1
    TIMEOUT = 2


@wire_type(0x75)
@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Signed statements that convict their signer."""

    version: Version1 = 1
    kind: Annotated[int, UInt(max(EvidenceKind))]
    statements: Annotated[tuple[Envelope, ...], ListOf(Nested(Envelope), limits.EVIDENCE_STATEMENTS_MAX, low=1)]


@wire_type(0x76)
@dataclass(frozen=True, slots=True, kw_only=True)
class TellVerdict:
    """You failed an audit of mine, about this pair; with the evidence, where your answer convicts you."""

    failure: Annotated[int, UInt(max(Failure))]
    blob_id: Annotated[BlobId, Fixed(BlobId)]
    shard: Annotated[int, UInt(limits.SHARDS_MAX - 1)]
    evidence: Annotated[Evidence | None, Maybe(Nested(Evidence))]


@wire_type(0x77)
@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictHeard:
    """The operator will see it."""


@wire_type(0x78)
@dataclass(frozen=True, slots=True, kw_only=True)
class ListEvidence:
    """Which evidence do you keep besides this? A name is a hash over the kind and the accused."""

    known: Annotated[tuple[Digest, ...], ListOf(Fixed(Digest), limits.EVIDENCE_KEPT_MAX)]


@wire_type(0x79)
@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceList:
    """Some of it; whoever wants more asks again with longer `known`."""

    evidence: Annotated[tuple[Evidence, ...], ListOf(Nested(Evidence), limits.EVIDENCE_PER_MESSAGE_MAX)]

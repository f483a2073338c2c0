"""Challenges: what a node asks of a holder that has signed a receipt, and what the holder answers.

The answer carries everything that is needed to check it: neither side's metadata nor its clock is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from wire import limits
from wire.codec import Nested, OneOf, wire_type
from wire.commitments import CommittedBucket, Reveal
from wire.ids import BlobId, Digest, PeerId
from wire.records import Envelope, Receipt, Time, Version1
from wire.shapes import Fixed, ListOf, Maybe, Packed, Raw, UInt

PAIR_HASHES = Raw(64, low=64)
"""A leaf of a blob's tree: the hash of primary i, then that of secondary n - 1 - i."""

JointProof = Annotated[tuple[Digest, ...], Packed(Digest, limits.JOINT_PROOF_NODES_MAX)]
"""What several leaves of one Merkle tree need together: level by level, from left to right, without empty nodes."""


@wire_type(0x73)
@dataclass(frozen=True, slots=True, kw_only=True)
class NamedReceipt:
    """A receipt that the prover knows as well, by what tells it from its others, and what is asked on instead of it.

    The digest is that of a commitment of the prover. A later receipt for the same pair and lease will do.
    """

    commitment: Annotated[Digest, Fixed(Digest)]
    blob_id: Annotated[BlobId, Fixed(BlobId)]
    shard: Annotated[int, UInt(limits.SHARDS_MAX - 1)]
    lease: Annotated[Digest, Fixed(Digest)]
    sequence: Annotated[int, UInt(limits.UINT64_MAX)]


@wire_type(0x70)
@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """Prove that you hold the pair that you signed this receipt for. What is asked follows from all of the fields."""

    receipt: Annotated[NamedReceipt | Receipt, OneOf((NamedReceipt, Receipt))]
    number: Annotated[int, UInt(limits.UINT64_MAX)]
    secret: Annotated[Digest, Fixed(Digest)]
    deadline: Time
    reveal: Annotated[Reveal | None, Maybe(Nested(Reveal))] = None

    @property
    def commitment(self) -> Digest | None:
        """The digest of the commitment that is asked on; None for a question on the receipt."""
        return self.receipt.commitment if isinstance(self.receipt, NamedReceipt) else None


@wire_type(0x71)
@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """The signed answer to a challenge, and what the commitment that it was asked on says of the pair."""

    proof: Annotated[Envelope, Nested(Envelope)]
    bucket: Annotated[CommittedBucket | None, Maybe(Nested(CommittedBucket))] = None


@wire_type(0x72)
@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """The pair is not here any more; this retraction ends the receipt."""

    retraction: Annotated[Envelope, Nested(Envelope)]
    bucket: Annotated[CommittedBucket | None, Maybe(Nested(CommittedBucket))] = None


@wire_type(0x74)
@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProof:
    """A holder's answer to one challenge, signed with its identity key: it proves itself, or convicts its signer.

    The last pair shows that the blob has exactly n pairs, which the blob's id alone does not tell. One joint proof is
    for both pairs, another for all symbols.
    """

    version: Version1 = 1
    challenger: Annotated[PeerId, Fixed(PeerId)]
    base: Annotated[Digest, Fixed(Digest)]
    number: Annotated[int, UInt(limits.UINT64_MAX)]
    secret: Annotated[Digest, Fixed(Digest)]
    deadline: Time
    blob_id: Annotated[BlobId, Fixed(BlobId)]
    shard: Annotated[int, UInt(limits.SHARDS_MAX - 1)]
    n: Annotated[int, UInt(limits.SHARDS_MAX, low=limits.SHARDS_MIN)]
    length: Annotated[int, UInt(limits.BLOB_BYTES_MAX)]
    pair_hashes: Annotated[bytes, PAIR_HASHES]
    last_pair_hashes: Annotated[bytes | None, Maybe(PAIR_HASHES)]
    pair_proof: JointProof
    symbols: Annotated[
        tuple[bytes, ...], ListOf(Raw(limits.SYMBOL_BYTES_MAX, low=2), limits.CHALLENGE_SYMBOLS_MAX, low=1)
    ]
    symbol_proof: JointProof

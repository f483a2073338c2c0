"""Precomputed: the answers to questions that it has thought up are kept, and the slivers they are made from are not."""

from __future__ import annotations

from typing import ClassVar

from crypto.hashing import tagged_hash
from p2pnode.protocols.challenge import draw
from testnet.sim.habits.half_slivers import HalfSlivers
from wire.challenges import StorageProof
from wire.ids import Axis


class Precomputed(HalfSlivers):
    """Answers a question when all that it asks for is in the answer that was thought up for the sliver."""

    name: ClassVar[str] = "precomputed"

    def is_kept(self, proof: StorageProof, axis: Axis, index: int) -> bool:
        """Tell whether a symbol was asked for in the question that was thought up."""
        seed = tagged_hash(b"testnet/precomputed", proof.blob_id, bytes([proof.shard, axis]))
        return index in draw(seed, n=proof.n, symbol_size=len(proof.symbols[0])).indices

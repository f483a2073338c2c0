"""Replayed proofs: each pair is proven once; from then on its first proof is shown, whatever is asked."""

from __future__ import annotations

from typing import ClassVar

from p2pnode.seams import Stream
from testnet.sim.habits.bending import BadHabit, Spoken
from wire.challenges import Challenge, Proven
from wire.ids import BlobId


class ReplayedProofs(BadHabit):
    """Answers each question about a pair with its answer to the first one."""

    name: ClassVar[str] = "replayed-proofs"

    def __init__(self) -> None:
        """Nothing was proven yet."""
        super().__init__()
        self._first: dict[tuple[BlobId, int], Proven] = {}

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Show what was shown before, if there is anything."""
        del stream
        if not isinstance(asked.message, Challenge) or not isinstance(answer.message, Proven):
            return answer
        receipt = asked.message.receipt
        first = self._first.setdefault((receipt.blob_id, receipt.shard), answer.message)
        if first is not answer.message:
            self.did("answered a challenge with an old proof")
        return Spoken(first)

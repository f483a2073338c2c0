"""A dropped tenth: one pair of ten that it signs for is not kept, and nothing is said when somebody asks for it."""

from __future__ import annotations

from typing import ClassVar

from p2pnode.seams import Stream
from testnet.sim.habits.bending import BadHabit, Spoken
from wire.challenges import Challenge
from wire.ids import BlobId
from wire.messages import GetSliver, Stored, StorePair

KEPT_OF_TEN = 9


class DroppedTenth(BadHabit):
    """Sells a little more room than it has, and owns up to nothing."""

    name: ClassVar[str] = "dropped-tenth"

    def __init__(self) -> None:
        """Nothing was signed for yet; the first pair is dropped."""
        super().__init__()
        self._blobs: dict[BlobId, bool] = {}
        """Those of which a pair was signed for, and whether it was dropped."""

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Be silent about what was dropped; all else is answered as it should be."""
        del stream
        if isinstance(asked.message, StorePair) and isinstance(answer.message, Stored):
            self._blobs.setdefault(asked.message.blob_id, len(self._blobs) % (KEPT_OF_TEN + 1) == 0)
        match asked.message:
            case Challenge():
                blob_id = asked.message.receipt.blob_id
            case GetSliver():
                blob_id = asked.message.blob_id
            case _:
                return answer
        if not self._blobs.get(blob_id, False):
            return answer
        self.did("was silent about a pair that it has dropped")
        return None

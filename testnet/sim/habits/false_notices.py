"""False notices: it says that every blob that it keeps a pair of is inconsistent, and makes a proof up when asked."""

from __future__ import annotations

from typing import ClassVar

import trio

from p2pnode import bft
from p2pnode.coding import symbol_bytes
from p2pnode.seams import Stream
from testnet.sim.habits.bending import MESSAGES, PEER_TROUBLE, BadHabit, Spoken
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire.ids import BlobId, Digest
from wire.inconsistency import ContradictingSymbol, InconsistentBlob, TellInconsistent
from wire.messages import GetRecord, Stored, StorePair
from wire.records import MetadataRecord

ROUND_EVERY_S = 5.0

AUDIT = "audit"


class FalseNotices(BadHabit):
    """Wants others to throw away what is good."""

    name: ClassVar[str] = "false-notices"

    def __init__(self) -> None:
        """It keeps nothing to begin with."""
        super().__init__()
        self._kept: dict[BlobId, MetadataRecord] = {}

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Take note of what is stored here, and give a made-up proof instead of its record."""
        del stream
        if isinstance(asked.message, StorePair) and isinstance(answer.message, Stored):
            self._kept[asked.message.blob_id] = asked.message.metadata
        if isinstance(asked.message, GetRecord) and asked.message.blob_id in self._kept:
            self.did("gave a proof that is none")
            return self._made_up(self._kept[asked.message.blob_id])
        return answer

    def _made_up(self, metadata: MetadataRecord) -> Spoken:
        count = bft.secondary_source(metadata.n)
        path = (Digest(self.rng.randbytes(Digest.length)),) * (metadata.n - 1).bit_length()
        symbols = tuple(ContradictingSymbol(source=source, path=path) for source in range(count))
        payload = self.rng.randbytes(count * symbol_bytes(metadata.length, n=metadata.n))
        message = InconsistentBlob(metadata=metadata, axis=0, index=0, symbols=symbols, symbols_bytes=len(payload))
        return Spoken(message, payload)

    async def run(self, parts: NodeParts, world: World) -> None:
        """Tell somebody else each time, for ever."""
        del world
        requester = self.requester()
        try:
            while True:
                await parts.clock.sleep(ROUND_EVERY_S)
                for peer_id in self.peers() if self._kept else ():
                    told = TellInconsistent(blob_id=self.rng.choice(sorted(self._kept)))
                    try:
                        await requester.request(peer_id, self.protocols[AUDIT], told, expect=MESSAGES)
                    except PEER_TROUBLE:
                        continue
                    self.did("told of a good blob that it is inconsistent")
        finally:
            with trio.CancelScope(deadline=trio.current_time() + 1.0, shield=True):
                await requester.aclose()

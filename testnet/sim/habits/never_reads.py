"""Never reads: many streams, many questions on each, and not one answer is taken."""

from __future__ import annotations

from typing import ClassVar

import trio

from p2pnode.seams import Stream
from testnet.sim.habits.bending import PEER_TROUBLE, READ, BadHabit, Spoken
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire.framing import frame
from wire.ids import Axis, BlobId, PeerId
from wire.messages import GetSliver, StorePair

VICTIMS = 2
"""Peers that are bothered in one round; all of them in turns."""

STREAMS_PER_PEER = 8
"""Half as many as an honest peer may have requests under way: each window that fills holds back as much memory."""

QUESTIONS_PER_STREAM = 16
"""Enough answers of the longest slivers here to fill a stream's window."""

HOLD_S = 50.0
"""How long the streams are held; then others are opened."""

ROUND_EVERY_S = 60.0

BLOBS_KEPT = 2

_SLIVERS_ASKED = 10


class NeverReads(BadHabit):
    """Asks for slivers of blobs that it knows of, and lets the answers lie."""

    name: ClassVar[str] = "never-reads"

    def __init__(self) -> None:
        """No blob is known yet."""
        super().__init__()
        self._blobs: dict[BlobId, int] = {}

    def hear_asked(self, peer_id: PeerId, asked: Spoken) -> None:
        """Remember the longest blobs that our node is asked to keep: others keep some of them too."""
        del peer_id
        if isinstance(asked.message, StorePair):
            self._blobs[asked.message.blob_id] = asked.message.metadata.length
            if len(self._blobs) > BLOBS_KEPT:
                del self._blobs[min(self._blobs, key=self._blobs.__getitem__)]

    async def run(self, parts: NodeParts, world: World) -> None:
        """Hold streams open, for ever."""
        del world
        while True:
            await parts.clock.sleep(ROUND_EVERY_S - HOLD_S)
            if not self._blobs:
                continue
            async with trio.open_nursery() as nursery:
                for peer_id in self.rng.sample(self.peers(), min(VICTIMS, len(self.peers()))):
                    for _ in range(STREAMS_PER_PEER):
                        nursery.start_soon(self._hold, peer_id)

    async def _hold(self, peer_id: PeerId) -> None:
        try:
            stream: Stream = await self.parts.network.open_stream(peer_id, self.protocols[READ])
        except PEER_TROUBLE:
            return
        try:
            with trio.move_on_after(HOLD_S):
                for _ in range(QUESTIONS_PER_STREAM):
                    await stream.send(frame(self._question()))
                    self.did("asked and did not read")
                await trio.sleep_forever()
        except PEER_TROUBLE:
            return
        finally:
            with trio.move_on_after(1, shield=True):
                await stream.reset()

    def _question(self) -> GetSliver:
        blob_id = self.rng.choice(list(self._blobs))
        return GetSliver(blob_id=blob_id, axis=self.rng.choice(list(Axis)), index=self.rng.randrange(_SLIVERS_ASKED))

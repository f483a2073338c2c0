"""Flood: valid and invalid questions, frames that are none, and gossip, some hundred a second, wave after wave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

import trio

from p2pnode.seams import Stream
from testnet.sim.habits.bending import ANNOUNCEMENTS, MEMBERS, MESSAGES, PEER_TROUBLE, READ, STORE, BadHabit
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire import limits
from wire.codec import encode
from wire.framing import frame
from wire.ids import Axis, BlobId, Digest, PeerId
from wire.messages import GetRecord, GetSliver
from wire.records import Announcement, AnnouncementBatch
from wire.signed import sign_record

A_SECOND = 200
WAVE_S = 0.5
PAUSE_S = 15.0
"""Waves rather than a steady stream: a simulated second costs a real one's work, and a wave shows the same faults."""

STREAMS_AT_ONCE = 16
"""As many requests at a time as an honest peer may have; the adapter would refuse more streams."""

LONG_SILENCE_S = 30.0


class Flood(BadHabit):
    """Asks and gossips as fast as it can."""

    name: ClassVar[str] = "flood"

    def __init__(self) -> None:
        """Nothing was sent yet."""
        super().__init__()
        self._sequence = 1_000_000
        self._ways: tuple[Callable[[PeerId], Awaitable[None]], ...] = (
            self._ask_for_records,
            self._ask_for_slivers,
            self._send_garbage,
            self._announce_too_long_a_message,
            self._stop_in_the_middle,
        )

    async def run(self, parts: NodeParts, world: World) -> None:
        """Send wave after wave, for ever."""
        del world
        async with trio.open_nursery() as nursery:
            slots = trio.CapacityLimiter(STREAMS_AT_ONCE)
            while True:
                await parts.clock.sleep(PAUSE_S)
                if not self.peers():
                    continue
                victim = self.rng.choice(self.peers())
                for _ in range(int(A_SECOND * WAVE_S)):
                    await parts.clock.sleep(1 / A_SECOND)
                    if self.rng.randrange(4) == 0:
                        await self._gossip_something()
                    elif slots.available_tokens > slots.statistics().tasks_waiting:
                        nursery.start_soon(self._bother, victim, self.rng.choice(self._ways), slots)

    async def _bother(
        self, victim: PeerId, way: Callable[[PeerId], Awaitable[None]], slots: trio.CapacityLimiter
    ) -> None:
        async with slots:
            try:
                with trio.move_on_after(LONG_SILENCE_S):
                    await way(victim)
            except PEER_TROUBLE:
                return

    async def _gossip_something(self) -> None:
        """Gossip signed announcements too often, and what is no record at all."""
        topic = self.topics[self.rng.choice((MEMBERS, ANNOUNCEMENTS))]
        if self.rng.randrange(2):
            await self.parts.network.publish(topic, self.rng.randbytes(self.rng.randrange(1, 2_000)))
            self.did("gossiped garbage")
            return
        self._sequence += 1
        note = Announcement(
            id_prefix=self.rng.randbytes(8),
            lease_end=self.wall_seconds() + 3600,
            record=Digest(self.rng.randbytes(Digest.length)),
        )
        batch = AnnouncementBatch(sequence=self._sequence, time=self.wall_seconds(), announcements=(note,))
        signed = sign_record(batch, key=self.parts.identity, network=self.network_name)
        await self.parts.network.publish(self.topics[ANNOUNCEMENTS], encode(signed.envelope))
        self.did("gossiped too often")

    async def _ask_for_records(self, victim: PeerId) -> None:
        await self._ask(victim, GetRecord(blob_id=self._some_blob(), wants_certificates=True))

    async def _ask_for_slivers(self, victim: PeerId) -> None:
        await self._ask(victim, GetSliver(blob_id=self._some_blob(), axis=Axis.PRIMARY, index=self.rng.randrange(10)))

    async def _ask(self, victim: PeerId, question: object) -> None:
        self.did("asked for nothing")
        requester = self.requester()
        try:
            await requester.request(victim, self.protocols[READ], question, expect=MESSAGES)
        finally:
            await requester.aclose()

    async def _send_garbage(self, victim: PeerId) -> None:
        garbage = self.rng.randbytes(self.rng.randrange(1, 4_000))
        await self._send(victim, STORE, len(garbage).to_bytes(limits.LENGTH_PREFIX_BYTES, "big") + garbage)

    async def _announce_too_long_a_message(self, victim: PeerId) -> None:
        await self._send(victim, MEMBERS, (2**32 - 1).to_bytes(limits.LENGTH_PREFIX_BYTES, "big") + bytes(1_000))

    async def _stop_in_the_middle(self, victim: PeerId) -> None:
        framed = frame(GetRecord(blob_id=self._some_blob(), wants_certificates=False))
        await self._send(victim, READ, framed[: self.rng.randrange(1, len(framed))])

    async def _send(self, victim: PeerId, protocol: str, data: bytes) -> None:
        """Send bytes and wait until the victim has had enough."""
        self.did("sent what is no message")
        stream: Stream = await self.parts.network.open_stream(victim, self.protocols[protocol])
        try:
            await stream.send(data)
            await stream.receive_exactly(1)
        finally:
            await stream.reset()

    def _some_blob(self) -> BlobId:
        return BlobId(self.rng.randbytes(BlobId.length))

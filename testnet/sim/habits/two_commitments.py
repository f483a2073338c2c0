"""Two commitments: some hear that it holds what it holds, others that it holds nothing, for one and the same epoch."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from p2pnode.protocols.commitments import is_envelope
from p2pnode.protocols.entry_tree import EntryTree
from testnet.sim.habits.bending import BadHabit
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire import limits
from wire.codec import decode, encode
from wire.commitments import Commitment
from wire.records import Envelope
from wire.signed import sign_record

EVIDENCE = "evidence"

LATER_S = 1.0


class TwoCommitments(BadHabit):
    """Signs another commitment for each epoch soon after the first one."""

    name: ClassVar[str] = "two-commitments"

    def __init__(self) -> None:
        """Nothing was committed to yet."""
        super().__init__()
        self._epoch = 0
        self._waiting: list[bytes] = []

    def gossip(self, topic: str, data: bytes) -> bytes:
        """Let the node's own one go out, and think of another."""
        if topic == EVIDENCE and is_envelope(data):
            envelope = decode(data, Envelope, bytes_max=limits.GOSSIP_BYTES_MAX)
            record = decode(envelope.body, Commitment, bytes_max=limits.RECORD_BYTES_MAX)
            if record.epoch == self._epoch:
                return data  # It is the other one.
            self._epoch = record.epoch
            other = replace(record, root=EntryTree().root, count=0, pair_bytes=0, time=record.time + 1)
            self._waiting.append(
                encode(sign_record(other, key=self.parts.identity, network=self.network_name).envelope)
            )
        return data

    async def run(self, parts: NodeParts, world: World) -> None:
        """Tell the others after the first ones."""
        del world
        while True:
            await parts.clock.sleep(LATER_S)
            while self._waiting:
                self.did("signed two commitments for one epoch")
                await parts.network.publish(self.topics[EVIDENCE], self._waiting.pop())

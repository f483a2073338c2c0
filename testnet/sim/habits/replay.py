"""Replay: whatever was said once is said again and again, by the same or by others, to whoever is there."""

from __future__ import annotations

from collections import deque
from typing import ClassVar, TypeVar

import trio

from p2pnode.network.requests import Requester
from testnet.sim.habits.bending import MEMBERS, MESSAGES, PEER_TROUBLE, STORE, BadHabit, Spoken
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire.ids import PeerId
from wire.messages import Certify, CommitLease, ExchangeMembers, StorePair

T = TypeVar("T")

GOSSIP_KEPT = 200
QUESTIONS_KEPT = 40
"""What is remembered; in the simulator a pair with its payload may have some hundred kilobytes."""

ROUND_EVERY_S = 5.0
GOSSIP_A_ROUND = 4
QUESTIONS_A_ROUND = 3

_PROTOCOL_OF = {StorePair: STORE, CommitLease: STORE, Certify: STORE, ExchangeMembers: MEMBERS}


class Replay(BadHabit):
    """Repeats records, leases, certificates and announcements, its own and those of others."""

    name: ClassVar[str] = "replay"

    def __init__(self) -> None:
        """Nothing was heard yet."""
        super().__init__()
        self._gossip: deque[tuple[str, bytes]] = deque(maxlen=GOSSIP_KEPT)
        self._questions: deque[Spoken] = deque(maxlen=QUESTIONS_KEPT)

    def hear_gossip(self, topic: str, data: bytes) -> None:
        """Remember what others gossip."""
        self._gossip.append((topic, data))

    def gossip(self, topic: str, data: bytes) -> bytes:
        """Remember what our node gossips."""
        self._gossip.append((topic, data))
        return data

    def hear_asked(self, peer_id: PeerId, asked: Spoken) -> None:
        """Remember what others ask of our node."""
        del peer_id
        if type(asked.message) in _PROTOCOL_OF:
            self._questions.append(asked)

    async def run(self, parts: NodeParts, world: World) -> None:
        """Say it again, for ever."""
        del world
        requester = self.requester()
        while True:
            await parts.clock.sleep(ROUND_EVERY_S)
            for topic, data in self._some(self._gossip, GOSSIP_A_ROUND):
                await parts.network.publish(self.topics[topic], data)
                self.did("gossiped it again")
            async with trio.open_nursery() as nursery:
                for asked in self._some(self._questions, QUESTIONS_A_ROUND):
                    if peers := self.peers():
                        nursery.start_soon(self._ask_again, requester, self.rng.choice(peers), asked)

    def _some(self, kept: deque[T], count: int) -> list[T]:
        return self.rng.sample(list(kept), min(count, len(kept)))

    async def _ask_again(self, requester: Requester, peer_id: PeerId, asked: Spoken) -> None:
        payload = (asked.payload,) if asked.payload else ()
        protocol = self.protocols[_PROTOCOL_OF[type(asked.message)]]
        self.did("asked it again")
        try:
            await requester.request(peer_id, protocol, asked.message, payload=payload, expect=MESSAGES)
        except PEER_TROUBLE:
            return

"""False work: a member brings records of identities that nobody has worked for, with and without a good stamp."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from crypto.hashing import HASH_BYTES
from crypto.keys import SEED_BYTES, SigningKey
from crypto.work import NONCE_BYTES, STAMP_BYTES, BadWorkError, Task, check_claim
from p2pnode.seams import Stream
from testnet.sim.habits.bending import MEMBERS, BadHabit, Spoken
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire import limits
from wire.codec import decode, encode
from wire.messages import Members
from wire.records import Envelope, MemberRecord
from wire.signed import sign_record

EVERY_S = 0.5
"""How often one is gossiped: far more often than a newcomer comes, so that its turn would never come without a bar."""

BROUGHT = 20
"""Identities in one answer about members."""


class FalseWork(BadHabit):
    """Invents identities."""

    name: ClassVar[str] = "false-work"

    def __init__(self) -> None:
        """Nothing of its own is known yet."""
        super().__init__()
        self._record: MemberRecord | None = None

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Tell of identities that there are not, instead of those that there are."""
        del stream, asked
        if not isinstance(answer.message, Members) or self._record is None:
            return answer
        self.did("told of identities without work")
        return Spoken(Members(records=tuple(self._invent() for _ in range(BROUGHT)), has_more=False))

    def gossip(self, topic: str, data: bytes) -> bytes:
        """Learn from the node what its record looks like."""
        if topic == MEMBERS and self._record is None:
            envelope = decode(data, Envelope, bytes_max=limits.GOSSIP_BYTES_MAX)
            self._record = decode(envelope.body, MemberRecord, bytes_max=limits.RECORD_BYTES_MAX)
        return data

    async def run(self, parts: NodeParts, world: World) -> None:
        """Gossip one invented identity after the other."""
        del world
        while True:
            await parts.clock.sleep(EVERY_S)
            if self._record is not None:
                await parts.network.publish(self.topics[MEMBERS], encode(self._invent()))
                self.did("gossiped an identity without work")

    def _invent(self) -> Envelope:
        assert self._record is not None
        key = SigningKey(self.rng.randbytes(SEED_BYTES))
        record = replace(self._record, time=self.wall_seconds(), work=self._claim(key))
        return sign_record(record, key=key, network=self.network_name).envelope

    def _claim(self, key: SigningKey) -> bytes:
        """Return a solution whose output is made up; mostly its stamp is good, so that only scrypt tells."""
        task = Task(key.public, self.network_name, self.world.profile.admission_work)
        while True:
            claim = self.rng.randbytes(NONCE_BYTES) + bytes(1) + self.rng.randbytes(HASH_BYTES - 1 + STAMP_BYTES)
            if self.rng.randrange(200) == 0:
                return claim
            try:
                check_claim(task, claim)
            except BadWorkError:
                continue
            return claim

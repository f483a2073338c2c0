"""Equivocation: two statements with one sequence, two answers to one question, each for another half of the peers."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import ClassVar

import trio

from p2pnode.network.requests import Requester
from p2pnode.seams import Stream
from testnet.sim.habits.bending import ANNOUNCEMENTS, MEMBERS, PEER_TROUBLE, BadHabit, Spoken
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire import limits
from wire.codec import decode, encode
from wire.ids import Digest, PeerId
from wire.messages import BlobRecord, Certified, ExchangeMembers, Members, NoRecord, RefusalCode, Refused, SliverData
from wire.records import Announcement, AnnouncementBatch, Envelope, MemberRecord
from wire.signed import sign_record

SPEAK_EVERY_S = 20.0
"""How often another pair of statements goes out."""


FIRST_SEQUENCE = 1_000_000
"""Above whatever the node itself has announced."""


class Equivocation(BadHabit):
    """Says one thing here and another there."""

    name: ClassVar[str] = "equivocation"

    def __init__(self) -> None:
        """Nothing was said yet."""
        super().__init__()
        self._greeting: ExchangeMembers | None = None
        """What was said last to one half."""

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Give one half of the peers what is true, and the other half something else."""
        del asked
        if not self.is_of_other_half(stream.peer_id):
            return answer
        match answer.message:
            case BlobRecord():
                self.did("knows a blob, and does not")
                return Spoken(NoRecord())
            case SliverData():
                self.did("holds a sliver, and does not")
                return Spoken(Refused(code=RefusalCode.NOT_HELD, reason="never heard of it"))
            case Certified():
                self.did("took a certificate, and did not")
                return Spoken(Refused(code=RefusalCode.INVALID, reason="no good"))
            case Members() as members:
                return Spoken(replace(members, records=tuple(map(self._other_record, members.records))))
            case _:
                return answer

    async def ask(self, stream: Stream, asked: Spoken) -> Spoken:
        """Greet one half of the peers with another record of ourselves, with the same sequence."""
        if not isinstance(asked.message, ExchangeMembers):
            return asked
        self._greeting = asked.message
        if self.is_of_other_half(stream.peer_id):
            return Spoken(replace(asked.message, record=self._other_record(asked.message.record)))
        return asked

    async def run(self, parts: NodeParts, world: World) -> None:
        """Publish two announcements with one sequence, and tell two records with one, again and again."""
        del world
        requester = self.requester()
        for count in itertools.count(1):
            await parts.clock.sleep(SPEAK_EVERY_S)
            for _ in range(2):
                await parts.network.publish(self.topics[ANNOUNCEMENTS], self._announcement(FIRST_SEQUENCE + count))
            self.did("announced two things with one sequence")
            if self._greeting is None:
                continue
            greeting = self._later(self._greeting)
            async with trio.open_nursery() as nursery:
                for peer_id in self.peers():
                    nursery.start_soon(self._tell, requester, peer_id, greeting)

    def _later(self, greeting: ExchangeMembers) -> ExchangeMembers:
        """Return a greeting with our next record."""
        record = decode(greeting.record.body, MemberRecord, bytes_max=limits.RECORD_BYTES_MAX)
        later = replace(record, sequence=record.sequence + 1, time=self.wall_seconds())
        signed = sign_record(later, key=self.parts.identity, network=self.network_name)
        return replace(greeting, record=signed.envelope)

    async def _tell(self, requester: Requester, peer_id: PeerId, greeting: ExchangeMembers) -> None:
        """Tell one peer our record, or the other one."""
        if self.is_of_other_half(peer_id):
            greeting = replace(greeting, record=self._other_record(greeting.record))
        try:
            await requester.request(peer_id, self.protocols[MEMBERS], greeting, expect=(Members,))
        except PEER_TROUBLE:
            return

    def is_of_other_half(self, peer_id: PeerId) -> bool:
        """Tell whether a peer gets the other story."""
        return bool(peer_id[-1] & 1)

    def _other_record(self, envelope: Envelope) -> Envelope:
        """Return another record of ourselves with the same sequence; those of others as they are."""
        if envelope.signer != self.parts.identity.public:
            return envelope
        record = decode(envelope.body, MemberRecord, bytes_max=limits.RECORD_BYTES_MAX)
        # A place where nobody listens, and a capacity that gives another rank: who believes it looks elsewhere.
        other = replace(
            record,
            capacity_bytes=record.capacity_bytes << 4,
            addresses=("/ip4/99.99.99.99/tcp/9", *record.addresses[1:]),
        )
        self.did("signed two records with one sequence")
        return sign_record(other, key=self.parts.identity, network=self.network_name).envelope

    def _announcement(self, sequence: int) -> bytes:
        note = Announcement(
            id_prefix=self.rng.randbytes(8),
            lease_end=self.wall_seconds() + 3600,
            record=Digest(self.rng.randbytes(Digest.length)),
        )
        batch = AnnouncementBatch(sequence=sequence, time=self.wall_seconds(), announcements=(note,))
        return encode(sign_record(batch, key=self.parts.identity, network=self.network_name).envelope)

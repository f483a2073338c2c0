"""Lies about capacity: endless room that refuses all, no room at all, or room whose receipts never come."""

from __future__ import annotations

import enum
from dataclasses import replace
from typing import ClassVar

from p2pnode.seams import Stream
from testnet.sim.habits.bending import MEMBERS, BadHabit, Spoken
from wire import limits
from wire.codec import decode, encode
from wire.messages import ExchangeMembers, Members, RefusalCode, Refused, Stored
from wire.records import Envelope, MemberRecord
from wire.signed import sign_record

STALL_S = 90.0
"""Longer than anybody waits for a receipt."""

DRIP_S = 2.0
DRIPS = 40
"""A receipt in so many drips is slower than the slowest transfer that is waited for."""

_PIECE_BYTES = 16 * 1024
"""A read of more bytes than this is one of a payload."""


class CapacityLie(enum.StrEnum):
    """What is said of the room, and what comes of it."""

    REFUSES = "refuses"
    """Endless room; refuses whatever comes."""
    STALLS = "stalls"
    """Endless room; takes a pair and never answers."""
    STALLS_HALF_WAY = "stalls-half-way"
    """Endless room; stops reading in the middle of a pair."""
    DRIPS = "drips"
    """Endless room; answers byte by byte."""
    HAS_NONE = "has-none"
    """No room; keeps what comes all the same."""


class CapacityLies(BadHabit):
    """Says something else of its room than what there is."""

    name: ClassVar[str] = "capacity-lies"

    def __init__(self, lie: CapacityLie) -> None:
        """Tell this lie."""
        super().__init__()
        self._lie = lie

    def gossip(self, topic: str, data: bytes) -> bytes:
        """Gossip a record that lies."""
        if topic != MEMBERS:
            return data
        return encode(self._bent_record(decode(data, Envelope, bytes_max=limits.GOSSIP_BYTES_MAX)))

    async def ask(self, stream: Stream, asked: Spoken) -> Spoken:
        """Greet with a record that lies."""
        del stream
        if isinstance(asked.message, ExchangeMembers):
            return Spoken(replace(asked.message, record=self._bent_record(asked.message.record)))
        return asked

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Answer with records that lie, and let no receipt leave in time."""
        del asked
        match answer.message:
            case Members() as members:
                return Spoken(replace(members, records=tuple(map(self._bent_record, members.records))))
            case Stored():
                return await self._receipt(stream, answer)
            case _:
                return answer

    async def before_hearing(self, stream: Stream, count: int) -> None:
        """Stop reading in the middle of a pair."""
        del stream
        if self._lie is CapacityLie.STALLS_HALF_WAY and count > _PIECE_BYTES:
            self.did("stopped reading")
            await self.parts.clock.sleep(STALL_S)

    async def _receipt(self, stream: Stream, answer: Spoken) -> Spoken | None:
        match self._lie:
            case CapacityLie.REFUSES:
                self.did("refused what it had room for")
                return Spoken(Refused(code=RefusalCode.NO_SPACE, reason="no room after all"))
            case CapacityLie.STALLS:
                self.did("never answered")
                await self.parts.clock.sleep(STALL_S)
                return answer
            case CapacityLie.DRIPS:
                self.did("answered byte by byte")
                framed = answer.framed()
                for position in range(DRIPS):
                    await stream.send(framed[position : position + 1])
                    await self.parts.clock.sleep(DRIP_S)
                await stream.send(framed[DRIPS:])
                return None
            case CapacityLie.STALLS_HALF_WAY | CapacityLie.HAS_NONE:
                return answer

    def _bent_record(self, envelope: Envelope) -> Envelope:
        """Return our own record with other figures; those of others as they are."""
        if envelope.signer != self.parts.identity.public:
            return envelope
        room = 0 if self._lie is CapacityLie.HAS_NONE else limits.UINT64_MAX
        record = decode(envelope.body, MemberRecord, bytes_max=limits.RECORD_BYTES_MAX)
        lie = replace(record, capacity_bytes=room, free_bytes=room)
        self.did("lied about its room")
        return sign_record(lie, key=self.parts.identity, network=self.network_name).envelope

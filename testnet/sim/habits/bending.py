"""The common part of all habits: a node whose messages can be looked at and changed on their way in and out.

A habit overrides the hooks of `BadHabit` that it needs. The node behind it is the one that ships: it believes to speak
with its peers, and they hear what the habit makes of it.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import ClassVar

import trio

from p2pnode.config import PUBLIC
from p2pnode.errors import P2PNodeError
from p2pnode.network.requests import Requester
from p2pnode.seams import GossipHandler, Network, Stream, StreamEndedError, StreamHandler, Verdict
from testnet.sim.faults import FaultKind
from testnet.sim.habits.passing import PassingNetwork
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire import limits
from wire.audit_receipts import Countersignature, SignedAudit
from wire.challenges import Absent, Challenge, Proven
from wire.codec import decode
from wire.errors import WireError
from wire.evidence import EvidenceList, ListEvidence, TellVerdict, VerdictHeard
from wire.framing import frame, message_bytes
from wire.ids import PeerId
from wire.inconsistency import InconsistencyHeard, InconsistentBlob, TellInconsistent
from wire.messages import (
    BlobRecord,
    Certified,
    Certify,
    CommitLease,
    Committed,
    CompareSets,
    DialBack,
    DialledBack,
    ExchangeMembers,
    ExchangePage,
    GetOwnRecord,
    GetRecord,
    GetSliver,
    ListPages,
    Members,
    NoRecord,
    OwnRecord,
    PageExchanged,
    Pages,
    Refused,
    SetsCompared,
    SliverData,
    Stored,
    StorePair,
    payload_bytes,
)
from wire.repair import LossNoted, RecoveredSymbols, RecoverSymbols, TakenOver, TakeOver, TellLoss

MESSAGES = (
    Refused,
    Challenge,
    Proven,
    Absent,
    TellVerdict,
    VerdictHeard,
    ListEvidence,
    EvidenceList,
    ExchangeMembers,
    Members,
    StorePair,
    Stored,
    CommitLease,
    Committed,
    Certify,
    Certified,
    GetRecord,
    BlobRecord,
    NoRecord,
    GetSliver,
    SliverData,
    DialBack,
    DialledBack,
    GetOwnRecord,
    OwnRecord,
    CompareSets,
    SetsCompared,
    ListPages,
    Pages,
    ExchangePage,
    PageExchanged,
    RecoverSymbols,
    RecoveredSymbols,
    TellLoss,
    LossNoted,
    TakeOver,
    TakenOver,
    SignedAudit,
    Countersignature,
    InconsistentBlob,
    TellInconsistent,
    InconsistencyHeard,
)
"""Everything that nodes say to each other on streams."""

STORE, READ, MEMBERS = "store", "read", "members"
"""The protocols by their short names; `members` is also the topic of member records."""

ANNOUNCEMENTS = "announcements"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message as it goes over a stream, with the raw bytes that it announces."""

    message: object
    payload: bytes = b""

    def framed(self) -> bytes:
        """Return all of it as it goes over the wire."""
        return frame(self.message) + self.payload


@dataclass(slots=True)
class Follower:
    """Cuts what one side of a stream sends into messages; after something that is none it gives up."""

    _buffer: bytearray = field(default_factory=bytearray)
    is_lost: bool = False

    def feed(self, data: bytes | memoryview) -> list[Spoken]:
        """Return the messages that are complete now."""
        if self.is_lost:
            return []
        self._buffer += data
        found: list[Spoken] = []
        try:
            while (spoken := self._next()) is not None:
                found.append(spoken)
        except WireError:
            self.is_lost = True
            self._buffer.clear()
        return found

    def _next(self) -> Spoken | None:
        start = limits.LENGTH_PREFIX_BYTES
        if len(self._buffer) < start:
            return None
        end = start + message_bytes(bytes(self._buffer[:start]))
        if len(self._buffer) < end:
            return None
        message: object = decode(bytes(self._buffer[start:end]), *MESSAGES, bytes_max=limits.MESSAGE_BYTES_MAX)
        whole = end + payload_bytes(message)
        if len(self._buffer) < whole:
            return None
        spoken = Spoken(message, bytes(self._buffer[end:whole]))
        del self._buffer[:whole]
        return spoken


class BadHabit:
    """A habit of one machine. Its hooks do nothing bad here: a kind of habit overrides some of them."""

    name: ClassVar[str]

    def __init__(self) -> None:
        """Nothing was done yet."""
        self.done: Counter[str] = Counter()
        """How often each kind of misdeed was really done, in all lives of the machine."""
        self.protocols: dict[str, str] = {}
        """The ids of the protocols that the node serves, by their short names."""
        self.topics: dict[str, str] = {}
        """The topics that it takes part in, by their short names."""

    def bend(self, parts: NodeParts, world: World) -> NodeParts:
        """Return what the node is built from instead."""
        self.parts, self.world = parts, world
        self.rng: random.Random = world.generator(f"habit of {parts.network.peer_id.hex()}")
        return replace(parts, network=BentNetwork(parts.network, self))

    async def run(self, parts: NodeParts, world: World) -> None:
        """Do what this peer does beside its node; nothing, unless overridden."""

    # ------------------------------------------------------------------ hooks

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Return what goes out instead of our node's answer; None when it is dealt with, or nothing goes out."""
        del stream, asked
        return answer

    async def ask(self, stream: Stream, asked: Spoken) -> Spoken:
        """Return what goes out instead of our node's question."""
        del stream
        return asked

    async def before_hearing(self, stream: Stream, count: int) -> None:
        """Do something before the node reads `count` more bytes of somebody's question."""

    def hear_asked(self, peer_id: PeerId, asked: Spoken) -> None:
        """Take note of a question that a peer has asked."""

    def hear_gossip(self, topic: str, data: bytes) -> None:
        """Take note of gossip; the short name of its topic comes with it."""

    def gossip(self, topic: str, data: bytes) -> bytes:
        """Return what is gossiped instead of what our node wants to; the topic by its short name."""
        del topic
        return data

    # ------------------------------------------------------------------ for habits

    def did(self, misdeed: str) -> None:
        """Note that it was really done: other nodes meet it."""
        self.done[misdeed] += 1
        self.world.trace.record("misdeed", self.name, misdeed)
        self.world.log.fire(FaultKind.BYZANTINE)

    @property
    def network_name(self) -> str:
        """The name of the network, as it stands in every signed body."""
        return self.protocols[STORE].split("/")[2]

    def wall_seconds(self) -> int:
        """Return the wall clock in whole seconds."""
        return int(self.parts.clock.wall())

    def requester(self) -> Requester:
        """Return a way to ask peers beside the node; close it when it is not needed any more."""
        return Requester(self.parts.network, self.parts.clock, PUBLIC)

    def peers(self) -> list[PeerId]:
        """Return the peers that we are connected with now."""
        return [each.peer_id for each in self.parts.network.connected()]


class BentNetwork(PassingNetwork):
    """A network that shows what goes over it to a habit."""

    def __init__(self, inner: Network, habit: BadHabit) -> None:
        """Ask `habit` about everything."""
        super().__init__(inner)
        self._habit = habit

    def handle(self, protocol: str, handler: StreamHandler) -> None:
        """Serve a protocol, with bent answers."""
        self._habit.protocols[protocol.rpartition("/")[2]] = protocol

        async def serve(stream: Stream) -> None:
            await handler(AnsweringStream(stream, self._habit))

        self._inner.handle(protocol, serve)

    async def open_stream(self, peer_id: PeerId, protocol: str) -> Stream:
        """Open a stream, with bent questions."""
        return AskingStream(await self._inner.open_stream(peer_id, protocol), self._habit)

    def subscribe(self, topic: str, handler: GossipHandler) -> None:
        """Take part in a topic, and let the habit hear it too."""
        name = topic.rpartition("/")[2]
        self._habit.topics[name] = topic

        def hear(via: PeerId, data: bytes) -> Verdict:
            self._habit.hear_gossip(name, data)
            return handler(via, data)

        self._inner.subscribe(topic, hear)

    async def publish(self, topic: str, data: bytes) -> None:
        """Gossip what the habit makes of it."""
        await self._inner.publish(topic, self._habit.gossip(topic.rpartition("/")[2], data))


class _PassingStream:
    """A stream in front of another one."""

    def __init__(self, inner: Stream, habit: BadHabit) -> None:
        self._inner = inner
        self._habit = habit
        self._said = Follower()

    @property
    def peer_id(self) -> PeerId:
        return self._inner.peer_id

    async def receive_exactly(self, count: int) -> bytes:
        return await self._inner.receive_exactly(count)

    async def close(self) -> None:
        await self._inner.close()

    async def reset(self) -> None:
        await self._inner.reset()


class AnsweringStream(_PassingStream):
    """An inbound stream: the answers go out as the habit wants them."""

    def __init__(self, inner: Stream, habit: BadHabit) -> None:
        """Stand between the node and its peer."""
        super().__init__(inner, habit)
        self._heard = Follower()
        self._asked: Spoken | None = None

    async def receive_exactly(self, count: int) -> bytes:
        """Read on, and take note of the question."""
        await self._habit.before_hearing(self._inner, count)
        data = await self._inner.receive_exactly(count)
        for asked in self._heard.feed(data):
            self._asked = asked
            self._habit.hear_asked(self.peer_id, asked)
        return data

    async def send(self, data: bytes | memoryview) -> None:
        """Send nothing before the answer is whole; then what the habit makes of it."""
        for said in self._said.feed(data):
            assert self._asked is not None, "nobody answers what was not asked"
            answer = await self._habit.answer(self._inner, self._asked, said)
            if answer is not None:
                await self._inner.send(answer.framed())


class AskingStream(_PassingStream):
    """An outbound stream: the questions go out as the habit wants them."""

    async def send(self, data: bytes | memoryview) -> None:
        """Send nothing before the question is whole; then what the habit makes of it."""
        for said in self._said.feed(data):
            asked = await self._habit.ask(self._inner, said)
            await self._inner.send(asked.framed())


PEER_TROUBLE = (P2PNodeError, StreamEndedError, WireError, trio.TooSlowError)
"""What a peer's answer, or its absence, may raise in a habit that asks beside its node."""

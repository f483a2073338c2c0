"""Listens on every stream of a world and puts questions and answers together again, as they leave the nodes.

A judge hears of an answer at the moment at which the answering node sends it: what the node promises with it must be
true by then. Bytes that make no sense end the listening on that side of the stream; of an honest node they are noted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from testnet.sim.fabric import Packet
from testnet.sim.world import World
from wire import limits
from wire.audit_receipts import Countersignature, SignedAudit
from wire.challenges import Absent, Challenge, Proven
from wire.codec import decode
from wire.errors import WireError
from wire.framing import message_bytes
from wire.inconsistency import InconsistentBlob
from wire.messages import (
    Certified,
    Certify,
    CommitLease,
    Committed,
    GetSliver,
    Refused,
    SliverData,
    Stored,
    StorePair,
    payload_bytes,
)
from wire.repair import LossNoted, RecoveredSymbols, RecoverSymbols, TellLoss

_WATCHED = (
    StorePair,
    Stored,
    CommitLease,
    Committed,
    Certify,
    Certified,
    GetSliver,
    SliverData,
    Refused,
    Challenge,
    Proven,
    Absent,
    SignedAudit,
    Countersignature,
    RecoverSymbols,
    RecoveredSymbols,
    TellLoss,
    LossNoted,
    InconsistentBlob,
)
"""What the judges want to hear. All messages that are followed by raw bytes are among them."""

_TAGS = frozenset(
    (0x20, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x2C, 0x2D, 0x5A, 0x70, 0x71, 0x72, 0x7F, 0x8A, 0x8C, 0x8D, 0x8E, 0x91)
)
"""The tags of these, so that a page of five hundred member records is not decoded to learn that it is none of them."""

_HEAD_BYTES = limits.LENGTH_PREFIX_BYTES + 2
"""The length, the head of the array that every message is, and the first byte of its tag."""

_LONG_TAG = 0xCC
"""A tag from 128 on begins with this byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An answer that a node has just sent, and the question that it answers."""

    asker: str
    node: str
    """Who answers."""
    stream: int
    question: object
    answer: object
    payload: bytes
    """The raw bytes behind a `SliverData`, complete."""


@dataclass(slots=True)
class _Side:
    """What one side of a stream has sent, cut into messages."""

    buffer: bytearray = field(default_factory=bytearray)
    skip: int = 0
    message: object = None
    """Complete, but its raw bytes are still on their way."""
    parts: list[bytes] = field(default_factory=list)
    missing: int = 0
    nonsense: str = ""
    """What is wrong with what came; nothing is understood from then on."""

    def feed(self, data: bytes) -> list[tuple[object, bytes]]:
        """Return the messages that are complete now, with their raw bytes; None for one of another kind."""
        found: list[tuple[object, bytes]] = []
        if not self.buffer and self.missing > len(data):  # Nearly all packets: the middle of a sliver.
            self._take(data)
            return found
        self.buffer += data
        try:
            while self._step(found):
                pass
        except WireError as error:
            self.nonsense = str(error)
        return found

    def _take(self, data: bytes) -> None:
        self.missing -= len(data)
        if isinstance(self.message, SliverData):
            self.parts.append(data)

    def _step(self, found: list[tuple[object, bytes]]) -> bool:
        if self.message is not None:
            data = bytes(self.buffer[: self.missing])
            del self.buffer[: self.missing]
            self._take(data)
            if not self.missing:
                found.append((self.message, b"".join(self.parts)))
                self.message, self.parts = None, []
            return not self.missing
        skipped = min(self.skip, len(self.buffer))
        del self.buffer[:skipped]
        self.skip -= skipped
        if self.skip or len(self.buffer) < _HEAD_BYTES:
            return False
        return self._next_message(found)

    def _next_message(self, found: list[tuple[object, bytes]]) -> bool:
        start = limits.LENGTH_PREFIX_BYTES
        end = start + message_bytes(bytes(self.buffer[:start]))
        tag = self.buffer[start + 1]
        if tag == _LONG_TAG:
            if len(self.buffer) < _HEAD_BYTES + 1:
                return False
            tag = self.buffer[start + 2]
        if tag not in _TAGS:
            self.skip = end
            found.append((None, b""))
            return True
        if len(self.buffer) < end:
            return False
        message = decode(bytes(self.buffer[start:end]), *_WATCHED, bytes_max=limits.MESSAGE_BYTES_MAX)
        del self.buffer[:end]
        self.missing = payload_bytes(message)
        if self.missing:
            self.message = message
        else:
            found.append((message, b""))
        return True


@dataclass(slots=True)
class _Conversation:
    """A stream: who opened it asks, the other one answers."""

    asker: str
    sides: dict[str, _Side] = field(default_factory=dict)
    questions: deque[object] = field(default_factory=deque)
    """Those without an answer yet: a dishonest peer may ask the next one before it has its answer."""
    is_half_closed: bool = False


class Wiretap:
    """Hears a world. Whoever wants to know puts a function into `listeners`; it must not raise."""

    def __init__(self, world: World) -> None:
        """Listen from now on."""
        self._world = world
        self._streams: dict[int, _Conversation] = {}
        self.listeners: list[Callable[[Told], None]] = []
        self.on_nonsense: list[Callable[[str, str], None]] = []
        """Called with a node and the error when an honest node sends what nobody can read."""
        world.fabric.observers.append(self._see)

    def _see(self, packet: Packet) -> None:
        conversation = self._streams.get(packet.stream)
        if conversation is None:
            conversation = self._streams[packet.stream] = _Conversation(packet.source)
            conversation.sides = {packet.source: _Side(), packet.target: _Side()}
        if not packet.data:
            self._close(packet.stream, conversation)
            return
        side = conversation.sides[packet.source]
        if side.nonsense:
            return
        for message, payload in side.feed(packet.data):
            self._hear(packet, conversation, message, payload)
        self._complain(packet.source, side)

    def _complain(self, node: str, side: _Side) -> None:
        if side.nonsense and self._world.is_honest(node):
            for tell in self.on_nonsense:
                tell(node, side.nonsense)

    def _close(self, number: int, conversation: _Conversation) -> None:
        """Forget a stream that both sides have ended; of one that was reset a few bytes stay until the world ends."""
        if conversation.is_half_closed:
            del self._streams[number]
        conversation.is_half_closed = True

    def _hear(self, packet: Packet, conversation: _Conversation, message: object, payload: bytes) -> None:
        if packet.source == conversation.asker:
            conversation.questions.append(message)
            return
        question = conversation.questions.popleft() if conversation.questions else None
        if message is None:
            return
        told = Told(
            asker=conversation.asker,
            node=packet.source,
            stream=packet.stream,
            question=question,
            answer=message,
            payload=payload,
        )
        for tell in self.listeners:
            tell(told)

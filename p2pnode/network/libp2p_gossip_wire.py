"""GossipSub on the wire: frames read and written with py-libp2p's protobuf classes, and the signature of a message.

Reading is strict where it is cheap: what is too long or too many is refused before anything is done with it. Of a
message only the fields that its author signed are kept, so that nobody on the way can add bytes that we would pass on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from libp2p.crypto.ed25519 import Ed25519PublicKey
from libp2p.crypto.keys import PrivateKey
from libp2p.pubsub.pb import rpc_pb2

from crypto.peer_id import BadPeerIdError, public_key_of
from p2pnode.network import gossip_limits
from wire import limits as wire_limits
from wire.ids import PEER_ID_BYTES, PeerId

PROTOCOLS = ("/meshsub/1.1.0", "/meshsub/1.0.0")
"""The versions that we speak, the better one first."""

NUMBER_BYTES = 8
"""A message's number, big-endian; with its author it names the message."""

NAME_BYTES = PEER_ID_BYTES + NUMBER_BYTES

_SIGNED_PREFIX = b"libp2p-pubsub:"
_SIGNATURE_BYTES = 64
_VARINT_BITS = 7
_VARINT_BYTES_MAX = 10
_NAMES_PER_UNIT = 10
"""Looking up a name is that much cheaper than checking a message."""


class BadFrameError(Exception):
    """A frame that breaks the protocol."""


class BadMessageError(Exception):
    """A message that no honest peer passes on: malformed, too long, or not signed by its author."""


@dataclass(frozen=True, slots=True)
class Message:
    """One gossiped message; its signature is unchecked until `check_signature`."""

    author: PeerId
    number: bytes
    topic: str
    data: bytes
    signature: bytes

    @property
    def name(self) -> bytes:
        """What peers call it: the author and the number, as in all of libp2p."""
        return self.author + self.number

    def check_signature(self) -> None:
        """Raise `BadMessageError` unless the author signed it."""
        try:
            is_good = Ed25519PublicKey.from_bytes(public_key_of(self.author)).verify(self._signed(), self.signature)
        except ValueError as error:  # Bytes that are no key.
            raise BadMessageError(f"no key can check the signature: {error}") from error
        if not is_good:
            raise BadMessageError("the author did not sign this")

    def frame(self) -> bytes:
        """Return the message as a frame of its own."""
        rpc = rpc_pb2.RPC()
        wire = rpc.publish.add()
        wire.from_id, wire.data, wire.seqno = bytes(self.author), self.data, self.number
        wire.topicIDs.append(self.topic)
        wire.signature = self.signature
        return _framed(rpc)

    def _signed(self) -> bytes:
        unsigned = rpc_pb2.Message(from_id=bytes(self.author), data=self.data, seqno=self.number, topicIDs=[self.topic])
        return _SIGNED_PREFIX + unsigned.SerializeToString()


def sign_message(key: PrivateKey, author: PeerId, *, number: int, topic: str, data: bytes) -> Message:
    """Make a message of our own."""
    unsigned = Message(author, number.to_bytes(NUMBER_BYTES, "big"), topic, data, b"")
    signature = key.sign(unsigned._signed())  # noqa: SLF001 - the other half of this file's own class
    return Message(author, unsigned.number, topic, data, signature)


class Frame:
    """A frame of a peer, within its limits."""

    def __init__(self, data: bytes) -> None:
        """Parse a frame without its length. Raises `BadFrameError`."""
        self._rpc = rpc_pb2.RPC()
        try:
            self._rpc.ParseFromString(data)
        except DecodeError as error:
            raise BadFrameError("not a frame of gossip") from error
        control = self._rpc.control
        counts = [len(control.ihave), len(control.iwant), len(control.graft), len(control.prune)]
        if max(len(self._rpc.subscriptions), *counts) > gossip_limits.CONTROL_PER_FRAME_MAX:
            raise BadFrameError("too many entries in one frame")
        if len(self._rpc.publish) > gossip_limits.MESSAGES_PER_FRAME_MAX:
            raise BadFrameError(f"{len(self._rpc.publish)} messages in one frame")
        if self._name_count() > gossip_limits.IDS_PER_FRAME_MAX:
            raise BadFrameError("too many names of messages in one frame")

    @property
    def units(self) -> int:
        """What it costs to look at: one, one for each message, and one for every ten names of messages."""
        return 1 + len(self._rpc.publish) + self._name_count() // _NAMES_PER_UNIT

    def _name_count(self) -> int:
        control = self._rpc.control
        offered = sum(len(entry.messageIDs) for entry in control.ihave)
        return offered + sum(len(entry.messageIDs) for entry in control.iwant)

    def subscriptions(self) -> list[tuple[str, bool]]:
        """Return which topics the peer enters (True) or leaves. Raises `BadFrameError`, as the next four do."""
        return [(_text(entry, "topicid"), bool(entry.subscribe)) for entry in self._rpc.subscriptions]

    def grafts(self) -> list[str]:
        """Return the topics in whose mesh the peer wants us."""
        return [_text(entry, "topicID") for entry in self._rpc.control.graft]

    def prunes(self) -> list[tuple[str, int]]:
        """Return the topics of which we are out of the peer's mesh, and for how many seconds."""
        return [(_text(entry, "topicID"), int(entry.backoff)) for entry in self._rpc.control.prune]

    def offers(self) -> list[tuple[str, list[bytes]]]:
        """Return the topics of which the peer has messages, and their names."""
        return [(_text(entry, "topicID"), list(entry.messageIDs)) for entry in self._rpc.control.ihave]

    def wishes(self) -> list[bytes]:
        """Return the names of the messages that the peer asks for."""
        return [name for entry in self._rpc.control.iwant for name in entry.messageIDs]

    def messages(self) -> Iterator[Message | BadMessageError]:
        """Return the messages one by one, or what is wrong with one."""
        for wire in self._rpc.publish:
            try:
                yield _read_message(wire)
            except BadMessageError as error:
                yield error


def _read_message(wire: rpc_pb2.Message) -> Message:
    try:
        public_key_of(wire.from_id)
    except BadPeerIdError as error:
        raise BadMessageError(str(error)) from error
    topics: list[object] = list(wire.topicIDs)
    topic = topics[0] if len(topics) == 1 else None
    if not isinstance(topic, str) or len(wire.seqno) != NUMBER_BYTES or len(wire.signature) != _SIGNATURE_BYTES:
        raise BadMessageError("a message has one topic, a number of 8 bytes and a signature of 64")
    if len(wire.data) > wire_limits.GOSSIP_BYTES_MAX:
        raise BadMessageError(f"{len(wire.data)} bytes of data")
    return Message(PeerId(wire.from_id), wire.seqno, topic, wire.data, wire.signature)


def _text(entry: object, field: str) -> str:
    text: object = getattr(entry, field)
    if not isinstance(text, str):  # Bytes that are no UTF-8 come as bytes.
        raise BadFrameError("the name of a topic is no text")
    return text


def subscriptions_frame(topics: Iterable[str]) -> bytes:
    """Return the frame that says which topics we take part in: the first one on a stream."""
    return _framed(rpc_pb2.RPC(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid=topic) for topic in topics]))


class ControlFrame:
    """What one peer is told in one frame of control; collected, then written."""

    def __init__(self) -> None:
        """Say nothing yet."""
        self._rpc = rpc_pb2.RPC()

    def __bool__(self) -> bool:
        """Tell whether there is anything to say."""
        return bool(self._rpc.HasField("control"))

    def graft(self, topic: str) -> None:
        """Ask the peer into our mesh."""
        self._rpc.control.graft.add(topicID=topic)

    def prune(self, topic: str) -> None:
        """Tell the peer that it is out of our mesh, and for how long."""
        self._rpc.control.prune.add(topicID=topic, backoff=int(gossip_limits.BACKOFF_S))

    def offer(self, topic: str, names: Sequence[bytes]) -> None:
        """Offer messages."""
        self._rpc.control.ihave.add(topicID=topic, messageIDs=names)

    def wish(self, names: Sequence[bytes]) -> None:
        """Ask for messages."""
        self._rpc.control.iwant.add(messageIDs=names)

    def frame(self) -> bytes:
        """Return the frame."""
        return _framed(self._rpc)


def _framed(rpc: rpc_pb2.RPC) -> bytes:
    body = rpc.SerializeToString()
    length = bytearray()
    rest = len(body)
    while rest >> _VARINT_BITS:
        length.append(rest & 0x7F | 0x80)
        rest >>= _VARINT_BITS
    length.append(rest)
    return bytes(length) + body


def split_length(buffer: bytes | bytearray) -> tuple[int, int] | None:
    """Return the length of the frame that begins here and the bytes that the length itself takes; None: not whole yet.

    Raises `BadFrameError` for a length above the limit, so that nobody makes us wait for what we would not take.
    """
    length = 0
    for index, byte in enumerate(buffer[:_VARINT_BYTES_MAX]):
        length |= (byte & 0x7F) << (_VARINT_BITS * index)
        if length > gossip_limits.FRAME_BYTES_MAX:
            raise BadFrameError(f"a frame of {length} bytes or more")
        if not byte & 0x80:
            return length, index + 1
    if len(buffer) >= _VARINT_BYTES_MAX:
        raise BadFrameError("a length without end")
    return None

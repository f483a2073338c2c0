"""Frames of gossip: limits, signatures, and what is not passed on."""

from __future__ import annotations

import random

import pytest
from libp2p.crypto.ed25519 import Ed25519PrivateKey
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.validators import signature_validator

from crypto.peer_id import peer_id_of
from p2pnode.network import gossip_limits
from p2pnode.network.libp2p_gossip_wire import (
    BadFrameError,
    BadMessageError,
    ControlFrame,
    Frame,
    Message,
    sign_message,
    split_length,
)
from wire import limits as wire_limits
from wire.ids import PeerId


@pytest.fixture
def message(rng: random.Random) -> Message:
    """A message that its author signed."""
    key = Ed25519PrivateKey.new(rng.randbytes(32))
    author = PeerId(peer_id_of(key.get_public_key().to_bytes()))
    return sign_message(key, author, number=7, topic="topic", data=b"data")


def body(frame: bytes) -> bytes:
    """Return a frame without its length."""
    head = split_length(frame)
    assert head is not None
    length, offset = head
    assert len(frame) == length + offset
    return frame[offset:]


def parsed(message: Message) -> rpc_pb2.RPC:
    """Return the protobuf form of a message's frame."""
    rpc = rpc_pb2.RPC()
    rpc.ParseFromString(body(message.frame()))
    return rpc


def only(rpc: rpc_pb2.RPC) -> Message | BadMessageError:
    """Return the one message of a frame."""
    (found,) = Frame(rpc.SerializeToString()).messages()
    return found


def test_a_message_comes_back_as_it_was_and_py_libp2p_takes_its_signature(message: Message) -> None:
    assert only(parsed(message)) == message
    message.check_signature()
    assert signature_validator(parsed(message).publish[0])


@pytest.mark.parametrize("field", ["author", "number", "topic", "data", "signature"])
def test_a_message_that_was_changed_on_the_way_is_not_its_authors(
    message: Message, field: str, rng: random.Random
) -> None:
    parts = {name: getattr(message, name) for name in ("author", "number", "topic", "data", "signature")}
    other = PeerId(peer_id_of(Ed25519PrivateKey.new(rng.randbytes(32)).get_public_key().to_bytes()))
    parts[field] = {"author": other, "topic": "tropic"}.get(field, bytes(len(parts[field])))
    with pytest.raises(BadMessageError):
        Message(**parts).check_signature()


def test_an_author_whose_bytes_are_no_key_is_refused(message: Message) -> None:
    nobody = Message(PeerId(peer_id_of(b"\xff" * 32)), message.number, "topic", b"data", message.signature)
    with pytest.raises(BadMessageError):
        nobody.check_signature()


def test_nothing_that_the_author_did_not_sign_is_passed_on(message: Message) -> None:
    rpc = parsed(message)
    rpc.publish[0].key = bytes(1_000)
    padded = rpc_pb2.RPC()
    padded.ParseFromString(rpc.SerializeToString())
    padded.publish[0].MergeFromString(b"\xfa\x7f\x03pad")  # A field of a number that nobody knows.
    found = only(padded)
    assert isinstance(found, Message)
    assert found.frame() == message.frame()


@pytest.mark.parametrize(
    "change",
    [
        {"from_id": b"short"},
        {"from_id": b"\x12\x20" + bytes(32)},  # The hash of a long key: an RSA key would come beside it.
        {"seqno": bytes(7)},
        {"seqno": b""},
        {"signature": b""},
        {"signature": bytes(65)},
        {"data": bytes(wire_limits.GOSSIP_BYTES_MAX + 1)},
    ],
)
def test_a_malformed_message_is_one_that_no_honest_peer_sends(message: Message, change: dict[str, bytes]) -> None:
    rpc = parsed(message)
    for field, value in change.items():
        setattr(rpc.publish[0], field, value)
    assert isinstance(only(rpc), BadMessageError)


def test_a_message_has_one_topic_and_it_is_text(message: Message) -> None:
    rpc = parsed(message)
    rpc.publish[0].topicIDs.append("second")
    assert isinstance(only(rpc), BadMessageError)
    rpc.publish[0].ClearField("topicIDs")
    assert isinstance(only(rpc), BadMessageError)
    rpc.publish[0].MergeFromString(b"\x22\x01\xff")
    assert isinstance(next(Frame(rpc.SerializeToString()).messages()), BadMessageError)


def test_frames_beyond_a_limit_are_refused_before_anything_is_done_with_them() -> None:
    many = gossip_limits.CONTROL_PER_FRAME_MAX + 1
    subscriptions, grafts, prunes, offers, wishes, messages = (rpc_pb2.RPC() for _ in range(6))
    for _ in range(many):
        subscriptions.subscriptions.add()
        grafts.control.graft.add()
        prunes.control.prune.add()
    offers.control.ihave.add(messageIDs=[b""] * (gossip_limits.IDS_PER_FRAME_MAX + 1))
    wishes.control.iwant.add(messageIDs=[b""] * (gossip_limits.IDS_PER_FRAME_MAX + 1))
    for _ in range(gossip_limits.MESSAGES_PER_FRAME_MAX + 1):
        messages.publish.add()
    for rpc in (subscriptions, grafts, prunes, offers, wishes, messages):
        with pytest.raises(BadFrameError):
            Frame(rpc.SerializeToString())


def test_a_topic_that_is_no_text_breaks_the_frame() -> None:
    for raw in (b"\x0a\x05\x08\x01\x12\x01\xff", b"\x1a\x05\x1a\x03\x0a\x01\xff"):
        frame = Frame(raw)
        with pytest.raises(BadFrameError):
            _ = frame.subscriptions() + [(name, True) for name in frame.grafts()]


def test_garbage_is_a_bad_frame_or_an_empty_one_and_nothing_else(rng: random.Random) -> None:
    for _ in range(3_000):
        try:
            frame = Frame(rng.randbytes(rng.randrange(80)))
            frame.subscriptions(), frame.grafts(), frame.prunes(), frame.offers(), frame.wishes()
            for message in frame.messages():
                assert isinstance(message, Message | BadMessageError)
        except BadFrameError:
            pass


def test_a_mutated_frame_never_raises_anything_else(message: Message, rng: random.Random) -> None:
    control = ControlFrame()
    control.graft("topic")
    control.prune("topic")
    control.offer("topic", [message.name])
    control.wish([message.name])
    whole = body(message.frame()) + body(control.frame())
    for _ in range(3_000):
        broken = bytearray(whole)
        broken[rng.randrange(len(broken))] = rng.randrange(256)
        try:
            frame = Frame(bytes(broken))
            frame.subscriptions(), frame.grafts(), frame.prunes(), frame.offers(), frame.wishes(), frame.units
            for found in frame.messages():
                assert isinstance(found, Message | BadMessageError)
        except BadFrameError:
            pass


def test_lengths_are_read_as_they_come_and_absurd_ones_refused_early() -> None:
    assert split_length(b"") is None
    assert split_length(b"\x80") is None
    assert split_length(b"\x05rest") == (5, 1)
    assert split_length(b"\xac\x02") == (300, 2)
    with pytest.raises(BadFrameError):
        split_length(b"\xff\xff\x7f")
    with pytest.raises(BadFrameError):
        split_length(b"\x80" * 10)

"""Frames of gossip: protobufs of a foreign library, messages that their authors signed, and lengths in front."""

from __future__ import annotations

import p2pnode.network.libp2p_gossip_wire
from p2pnode.network import gossip_limits
from p2pnode.network.libp2p_gossip_wire import (
    BadFrameError,
    BadMessageError,
    ControlFrame,
    Frame,
    Message,
    split_length,
    subscriptions_frame,
)
from testnet.fuzz import honest
from testnet.fuzz.protobuf import edited_message, varint
from testnet.fuzz.target import Target, plain
from testnet.fuzz.values import KEYS
from wire import limits


def targets() -> list[Target]:
    """Return the targets of this file."""
    modules = (p2pnode.network.libp2p_gossip_wire,)
    return [
        Target(
            name="network/gossip-frame",
            open=plain(_gossip_frame),
            errors=(BadFrameError,),
            seeds=lambda _rng: gossip_frames(),
            modules=modules,
            mutate=edited_message,
            framing="BadFrameError: not a frame",
        ),
        Target(
            name="network/gossip-length",
            open=plain(_gossip_length),
            errors=(BadFrameError,),
            seeds=lambda _rng: [varint(number) + b"x" for number in (0, 1, 300, 1 << 21)],
            modules=modules,
        ),
    ]


def _signed_message(number: int) -> Message:
    author = honest.peer_id(number)
    unsigned = Message(author, number.to_bytes(8, "big"), "members", b"data" * number, bytes(64))
    signature = KEYS[number].sign_bytes(unsigned._signed())  # noqa: SLF001 - what an author signs
    return Message(author, unsigned.number, unsigned.topic, unsigned.data, signature)


def _without_length(framed: bytes) -> bytes:
    head = split_length(framed)
    assert head is not None
    return framed[head[1] :]


def gossip_frames() -> list[bytes]:
    """Return honest frames without their lengths: every kind of content, and all of them in one."""
    control = ControlFrame()
    control.graft("members")
    control.prune("announcements")
    control.offer("members", [_signed_message(1).name, b"x"])
    control.wish([_signed_message(2).name])
    frames = [subscriptions_frame(["members", "announcements"]), control.frame()]
    frames += [_signed_message(number).frame() for number in (1, 2, 3)]
    return [*map(_without_length, frames), b"".join(map(_without_length, frames))]


def _gossip_frame(data: bytes) -> str:
    """Only what its author signed comes out, and all counts are within their limits."""
    read = Frame(data)
    assert read.units <= 1 + gossip_limits.MESSAGES_PER_FRAME_MAX + gossip_limits.IDS_PER_FRAME_MAX
    good = bad = 0
    for message in read.messages():
        if isinstance(message, BadMessageError):
            bad += 1
            continue
        assert len(message.data) <= limits.GOSSIP_BYTES_MAX
        try:
            message.check_signature()
            again = list(Frame(_without_length(message.frame())).messages())
            assert again == [message]
            good += 1
        except BadMessageError:
            bad += 1
    counts = [len(read.subscriptions()), len(read.grafts()), len(read.prunes()), len(read.offers()), len(read.wishes())]
    assert max(counts[:4]) <= gossip_limits.CONTROL_PER_FRAME_MAX
    return f"{min(good, 3)} {min(bad, 3)} {[min(each, 3) for each in counts]}"


def _gossip_length(data: bytes) -> str:
    head = split_length(data)
    assert head is None or (0 <= head[0] <= gossip_limits.FRAME_BYTES_MAX and head[1] <= len(data))
    return str(head is not None)

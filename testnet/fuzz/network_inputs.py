"""Malformed handshakes, frames, protocol names and messages, from a seed: structured damage, not only random bytes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from p2pnode.network import limits
from p2pnode.network.negotiation import METHOD, encode_line
from p2pnode.network.yamux_frames import Flag, Header, Kind
from wire.framing import frame
from wire.messages import NoRecord

FOREIGN_PROTOCOLS = ("/meshsub/1.1.0", "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/nobody/speaks/this")
"""What other implementations speak, and what nobody does."""

_VARINTS = (b"\xff" * 12, b"\x80", b"\x00", b"\xff\xff\xff\x7f", b"\x80\x80\x00", b"\x01")


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with one fault: cut, doubled, flipped, stuffed or preceded by another length."""
    position = rng.randrange(len(data) + 1)
    match rng.randrange(5):
        case 0:
            return data[:position]
        case 1:
            return data[:position] + data
        case 2:
            flipped = bytearray(data or b"\x00")
            flipped[position % len(flipped)] ^= 1 << rng.randrange(8)
            return bytes(flipped)
        case 3:
            return data[:position] + rng.randbytes(rng.randrange(1, 60)) + data[position:]
        case _:
            return rng.choice(_VARINTS) + data


def handshake(rng: random.Random) -> bytes:
    """Return what a stranger may say instead of a handshake."""
    hello = encode_line(METHOD) + encode_line("/noise")
    noise = (32).to_bytes(2, "big") + rng.randbytes(32)
    choices = (
        rng.randbytes(rng.randrange(1, 200)),
        damaged(rng, hello),
        damaged(rng, hello + noise),
        hello + noise + damaged(rng, (200).to_bytes(2, "big") + rng.randbytes(200)),
        hello + rng.choice((b"\x00\x00", b"\xff\xff" + rng.randbytes(1_000), b"\x00\x01x")),
        encode_line(METHOD) + b"".join(encode_line(f"/{number}") for number in range(20)),
        encode_line(METHOD) + bytes([5]) + b"\xff\xfe\xfd\xfc\n",
        b"GET / HTTP/1.1\r\n\r\n",
    )
    return rng.choice(choices)


def frames(rng: random.Random) -> bytes:
    """Return frames of which at least one is wrong, or odd."""
    number = rng.choice((0, 1, 2, 3, 999, 2**31, 2**32 - 1))
    flags = Flag(rng.randrange(16))
    length = rng.choice((0, 1, 5, 65_536, limits.STREAM_WINDOW_BYTES + 1, 2**31, 2**32 - 1))
    good = Header(Kind.DATA, Flag.SYN, 1, 5).encode() + b"hello"
    choices = (
        Header(Kind.DATA, flags, number, length).encode() + rng.randbytes(min(length, 100)),
        Header(Kind.WINDOW_UPDATE, flags, number, length).encode(),
        Header(Kind.PING, flags, number, length).encode(),
        Header(Kind.GO_AWAY, flags, number, length).encode(),
        damaged(rng, good),
        good + damaged(rng, good),
        good + Header(Kind.WINDOW_UPDATE, Flag.NONE, 1, 2**32 - 1).encode(),
        Header(Kind.WINDOW_UPDATE, Flag.SYN | Flag.FIN | Flag.RST, 1, 0).encode() * 2,
        bytes([rng.randrange(256) for _ in range(12)]),
    )
    return rng.choice(choices)


def name(rng: random.Random, protocols: Sequence[str] = FOREIGN_PROTOCOLS) -> bytes:
    """Return a protocol negotiation that is none."""
    good = encode_line(METHOD) + encode_line(rng.choice(protocols))
    choices = (
        damaged(rng, good),
        encode_line(METHOD) + bytes([4]) + rng.randbytes(3) + b"\n",
        encode_line(METHOD) + b"\xff\xff\xff\xff",
        encode_line(METHOD) + b"\xff\x07" + b"a" * limits.NEGOTIATION_LINE_BYTES_MAX,
        encode_line(METHOD) + b"\x00",
        encode_line(METHOD) + encode_line("ls"),
        encode_line(METHOD) + encode_line("/" + "\N{SNOWMAN}" * 20),
        rng.randbytes(rng.randrange(1, 100)),
    )
    return rng.choice(choices)


def message(rng: random.Random, protocols: Sequence[str] = FOREIGN_PROTOCOLS) -> bytes:
    """Return a proper negotiation, and garbage in the protocol's own form: lengths, protobufs, our frames."""
    protobuf = b"".join(
        bytes([rng.randrange(1, 30) << 3 & 0xFF | rng.randrange(6)]) + rng.choice(_VARINTS) + rng.randbytes(4)
        for _ in range(rng.randrange(1, 6))
    )
    bodies = (
        bytes([len(protobuf) % 128]) + protobuf,
        rng.choice(_VARINTS) + protobuf,
        b"\x04\x08\x04\x12\x00",
        damaged(rng, frame(NoRecord())),
        rng.randrange(2**32).to_bytes(4, "big") + rng.randbytes(20),
        rng.randbytes(rng.randrange(1, 300)),
        b"",
    )
    return encode_line(METHOD) + encode_line(rng.choice(protocols)) + rng.choice(bodies)

"""The frames of yamux 1.0: a header of twelve bytes, and a body for data. Pure.

Source: the yamux specification (version, type, flags, stream id, length; big-endian). The length of a data frame is
that of its body; of a window update the credit; of a ping an opaque number; of a go-away the reason.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

_HEADER = struct.Struct("!BBHII")
HEADER_BYTES = _HEADER.size
_VERSION = 0
UINT32_MAX = 2**32 - 1

NOISE_PLAINTEXT_BYTES_MAX = 65_535 - 16
"""What fits into one Noise message beside its tag."""

BODY_BYTES_MAX = NOISE_PLAINTEXT_BYTES_MAX - HEADER_BYTES
"""Our largest data body, so that a frame fits into one Noise message: a frame of 64 KiB would be cut into two."""


class Kind(enum.IntEnum):
    """What a frame is for."""

    DATA = 0
    WINDOW_UPDATE = 1
    PING = 2
    GO_AWAY = 3


class Flag(enum.IntFlag):
    """What a frame does to its stream besides."""

    NONE = 0
    SYN = 1
    ACK = 2
    FIN = 4
    RST = 8


class FrameError(Exception):
    """A header that is no yamux header, or a frame that the protocol does not allow."""


@dataclass(frozen=True, slots=True)
class Header:
    """The head of one frame."""

    kind: Kind
    flags: Flag
    stream_id: int
    length: int

    def encode(self) -> bytes:
        """Return the twelve bytes."""
        return _HEADER.pack(_VERSION, self.kind, self.flags, self.stream_id, self.length)


_KNOWN_FLAGS = int(Flag.SYN | Flag.ACK | Flag.FIN | Flag.RST)


def decode_header(data: bytes) -> Header:
    """Read a header. Raises `FrameError` for another version, an unknown kind or an unknown flag."""
    version, kind, flags, stream_id, length = _HEADER.unpack(data)
    if version != _VERSION or kind > Kind.GO_AWAY or flags & ~_KNOWN_FLAGS:
        message = f"version {version}, kind {kind}, flags {flags:#x} are not yamux"
        raise FrameError(message)
    return Header(Kind(kind), Flag(flags), stream_id, length)

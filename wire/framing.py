"""Frames: a length prefix, one canonical message, then the raw sliver bytes that the message announces.

A connection that dies looks like a clean end (libp2p cannot tell), so nothing is complete before its length is there.
"""

from __future__ import annotations

from collections.abc import Iterator

from wire import limits
from wire.codec import encode
from wire.errors import WireError


def frame(message: object) -> bytes:
    """Return the length prefix and the encoded message. Raises `WireError` when it is above MESSAGE_BYTES_MAX."""
    body = encode(message)
    if len(body) > limits.MESSAGE_BYTES_MAX:
        text = f"{type(message).__name__}: {len(body)} bytes, a message may have {limits.MESSAGE_BYTES_MAX}"
        raise WireError(text)
    return len(body).to_bytes(limits.LENGTH_PREFIX_BYTES, "big") + body


def message_bytes(prefix: bytes) -> int:
    """Return the length that a prefix announces. Raises `WireError` when it is empty or above the limit."""
    if len(prefix) != limits.LENGTH_PREFIX_BYTES:
        text = f"a length prefix has {limits.LENGTH_PREFIX_BYTES} bytes, got {len(prefix)}"
        raise WireError(text)
    count = int.from_bytes(prefix, "big")
    if not 1 <= count <= limits.MESSAGE_BYTES_MAX:
        text = f"a message may have 1 to {limits.MESSAGE_BYTES_MAX} bytes, {count} were announced"
        raise WireError(text)
    return count


def pieces(payload: bytes | memoryview) -> Iterator[memoryview]:
    """Cut sliver bytes into pieces of PIECE_BYTES, without copying."""
    view = memoryview(payload).cast("B")  # A view of two-byte symbols would be cut by symbols, not by bytes.
    for start in range(0, len(view), limits.PIECE_BYTES):
        yield view[start : start + limits.PIECE_BYTES]

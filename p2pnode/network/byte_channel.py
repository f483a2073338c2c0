"""What the layers of a connection ask of the layer below: exact reads, whole writes, and one error when it is gone."""

from __future__ import annotations

from typing import Protocol


class ConnectionLostError(Exception):
    """The connection, or the stream on it, is gone; the message says how it ended."""


class ByteChannel(Protocol):
    """A two-way channel of bytes."""

    async def read_some(self, bytes_max: int) -> bytes:
        """Return 1 to `bytes_max` bytes. Raises `ConnectionLostError` at the end or when the channel broke."""
        ...

    async def read_exactly(self, count: int) -> bytes:
        """Return exactly `count` bytes. Raises `ConnectionLostError` when they do not come any more."""
        ...

    async def write(self, data: bytes) -> None:
        """Write all bytes. Raises `ConnectionLostError`."""
        ...

"""Cutting a stream into segments, with a look ahead: how much is coming decides n, and whether it is one blob."""

from __future__ import annotations

from collections.abc import AsyncIterator

from p2pnode.errors import CallerError
from wire import limits


class Cutter:
    """Reads a source no further than it is asked for."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        """Nothing is read yet."""
        self._source = source
        self._buffer = bytearray()
        self._taken = 0
        self._has_ended = False

    async def peek(self, count: int) -> int:
        """Return how many of the next `count` bytes there are, without taking them."""
        while len(self._buffer) < count and not self._has_ended:
            try:
                self._buffer += await anext(self._source)
            except StopAsyncIteration:
                self._has_ended = True
        return min(len(self._buffer), count)

    async def cut(self, count: int) -> bytearray:
        """Take the next `count` bytes, fewer only at the end. Raises `CallerError` beyond FILE_BYTES_MAX."""
        length = await self.peek(count)
        # The shorter part is copied, mostly the end of a chunk of the source: copying a segment would hold others up.
        if length <= len(self._buffer) - length:
            segment = self._buffer[:length]
            del self._buffer[:length]
        else:
            segment, self._buffer = self._buffer, self._buffer[length:]
            del segment[length:]
        self._taken += length
        if self._taken > limits.FILE_BYTES_MAX:
            message = f"a file may have {limits.FILE_BYTES_MAX} bytes; store it in several parts"
            raise CallerError(message)
        return segment

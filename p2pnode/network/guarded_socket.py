"""A connection that notices when it is dead: writes have a deadline, and the last arrival is remembered.

A stopped process or a lost cable closes nothing: reads would wait for ever and a full socket would hold its writer.
"""

from __future__ import annotations

import trio

from p2pnode.network import limits
from p2pnode.network.bandwidth import MeteredStream
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.pace import Turnstile
from p2pnode.network.transport import RawStream


class GuardedSocket:
    """One raw stream. A single task reads; writers take turns above it."""

    def __init__(self, stream: RawStream) -> None:
        """Take over an open stream."""
        self._stream = stream
        self._meter = stream.meter if isinstance(stream, MeteredStream) else None
        self._buffer = memoryview(b"")
        self._reads_in_turn = 0
        self.turnstile: Turnstile | None = None
        """Where whoever reads waits for its turn after each arrival: set while strangers shake hands."""
        self.last_arrival = trio.current_time()
        """When bytes came last, on trio's clock."""
        self.is_relayed = stream.is_relayed
        """Whether `remote` is only where a relay is."""
        self.remote = stream.remote
        """The other end's IP address and port; ("", 0) when it closed before it could be asked."""

    async def read_some(self, bytes_max: int) -> bytes:
        """Return 1 to `bytes_max` bytes. Raises `ConnectionLostError`."""
        if not self._buffer:
            await self._fill()
        elif self._is_long_turn():
            await trio.lowlevel.checkpoint()
        taken = bytes(self._buffer[:bytes_max])
        self._buffer = self._buffer[bytes_max:]
        return taken

    async def read_exactly(self, count: int) -> bytes:
        """Return exactly `count` bytes. Raises `ConnectionLostError`."""
        if len(self._buffer) >= count:
            if self._is_long_turn():
                await trio.lowlevel.checkpoint()
            taken = bytes(self._buffer[:count])
            self._buffer = self._buffer[count:]
            return taken
        parts: list[bytes] = []
        missing = count
        while missing:
            part = await self.read_some(missing)
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    async def write(self, data: bytes) -> None:
        """Write all bytes. Raises `ConnectionLostError` also when the peer takes nothing for WRITE_STALL_S.

        A write that was cut short leaves half a sealed message on the wire, and nothing after it can be read: whatever
        keeps a write from its end, a cancellation too, closes the socket.
        """
        is_written = False
        try:
            for start in range(0, len(data), limits.SOCKET_WRITE_BYTES):
                if self._meter is not None:
                    await self._meter.may_send(min(len(data) - start, limits.SOCKET_WRITE_BYTES))
                with trio.fail_after(limits.WRITE_STALL_S):
                    await self._stream.send_all(memoryview(data)[start : start + limits.SOCKET_WRITE_BYTES])
            is_written = True
        except trio.TooSlowError as error:
            message = f"the peer took no bytes for {limits.WRITE_STALL_S:.0f} s"
            raise ConnectionLostError(message) from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            message = "the connection broke while writing"
            raise ConnectionLostError(message) from error
        finally:
            if not is_written:
                self.abort()

    def abort(self) -> None:
        """Close the socket at once, without a farewell; harmless when it is closed already."""
        self._stream.abort()

    def _is_long_turn(self) -> bool:
        """Tell once in FRAMES_PER_TURN reads: else a buffer of tiny messages would keep the loop for 0.2 s."""
        self._reads_in_turn = (self._reads_in_turn + 1) % limits.FRAMES_PER_TURN
        return self._reads_in_turn == 0

    async def _fill(self) -> None:
        try:
            data = await self._stream.receive_some(limits.SOCKET_READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            message = "the connection broke while reading"
            raise ConnectionLostError(message) from error
        if not data:
            message = "the peer closed the connection"
            raise ConnectionLostError(message)
        self.last_arrival = trio.current_time()
        self._buffer = memoryview(data)
        self._reads_in_turn = 0
        if self.turnstile is not None:
            await self.turnstile.enter()

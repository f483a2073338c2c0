"""The other end of a connection, for code that reads and writes: it says what the input says, then it is gone."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from p2pnode.errors import PeerUnavailableError
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.seams import StreamEndedError
from wire.ids import PeerId

ANSWER_BYTES_MAX = 1 << 24
"""What the code under test may write for one input."""


class FakeChannel:
    """A `ByteChannel`, and the `FrameChannel` below a yamux session."""

    def __init__(self, data: bytes) -> None:
        """Say these bytes."""
        self._left = memoryview(data)
        self.written = 0
        self.is_aborted = False

    @property
    def last_arrival(self) -> float:
        """When bytes came last: just now."""
        return trio.current_time()

    async def read_some(self, bytes_max: int) -> bytes:
        """Return what is left, at most so much. Raises `ConnectionLostError` at the end."""
        await trio.lowlevel.checkpoint()
        taken = bytes(self._left[:bytes_max])
        self._left = self._left[len(taken) :]
        if not taken:
            raise ConnectionLostError("the other side is gone")
        return taken

    async def read_exactly(self, count: int) -> bytes:
        """Return so many bytes. Raises `ConnectionLostError`."""
        if count > len(self._left):
            await trio.lowlevel.checkpoint()
            raise ConnectionLostError("the other side is gone")
        return await self.read_some(count) if count else b""

    async def write(self, data: bytes) -> None:
        """Take an answer."""
        await trio.lowlevel.checkpoint()
        self.written += len(data)
        assert self.written <= ANSWER_BYTES_MAX, "an answer without end"

    async def write_frames(self, frames: Sequence[bytes]) -> None:
        """Take whole frames."""
        await self.write(b"".join(frames))

    def abort(self) -> None:
        """Be gone."""
        self.is_aborted = True
        self._left = memoryview(b"")


class FakeStream:
    """A `Stream` of our seam."""

    def __init__(self, peer_id: PeerId, data: bytes) -> None:
        """Say these bytes, then end cleanly."""
        self._channel = FakeChannel(data)
        self._peer_id = peer_id
        self.answers: list[bytes] = []
        self.is_closed = False
        self.is_reset = False

    @property
    def peer_id(self) -> PeerId:
        """Who is at the other end."""
        return self._peer_id

    async def send(self, data: bytes | memoryview) -> None:
        """Take an answer."""
        await self._channel.write(bytes(data))
        self.answers.append(bytes(data))

    async def receive_exactly(self, count: int) -> bytes:
        """Return so many bytes. Raises as the seam says."""
        is_at_end = not self._channel._left  # noqa: SLF001 - the other half of this file
        try:
            return await self._channel.read_exactly(count)
        except ConnectionLostError as error:
            if is_at_end:
                raise StreamEndedError(str(error)) from error
            raise PeerUnavailableError(str(error)) from error

    async def close(self) -> None:
        """Let it end."""
        self.is_closed = True
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """Abort."""
        self.is_reset = True
        await trio.lowlevel.checkpoint()

"""Connections in memory: two ends of a byte pipe, in the shapes that the layers of the network want."""

from __future__ import annotations

from collections.abc import Sequence

import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_pair

from p2pnode.errors import PeerUnavailableError
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.seams import Stream, StreamEndedError
from wire.ids import PEER_ID_BYTES, PeerId

PEER = PeerId(bytes(PEER_ID_BYTES))


MemoryStream = trio.StapledStream[MemorySendStream, MemoryReceiveStream]


class FramePipe:
    """One end of an unsealed connection, as `YamuxSession` wants it."""

    def __init__(self, stream: MemoryStream) -> None:
        """Take over one end of a pair."""
        self._stream = stream
        self._buffer = b""
        self.last_arrival = trio.current_time()

    async def read_exactly(self, count: int) -> bytes:
        """Return exactly `count` bytes."""
        while len(self._buffer) < count:
            try:
                data = await self._stream.receive_some(65_536)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionLostError("broken") from error
            if not data:
                raise ConnectionLostError("closed")
            self.last_arrival = trio.current_time()
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    async def write_frames(self, frames: Sequence[bytes]) -> None:
        """Write frames."""
        try:
            await self._stream.send_all(b"".join(frames))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionLostError("broken") from error

    def abort(self) -> None:
        """Close both ways at once, without waiting."""
        self._stream.send_stream.close()
        self._stream.receive_stream.close()


def frame_pipes() -> tuple[FramePipe, FramePipe]:
    """Return the two ends of a connection without limit and without delay."""
    one, other = memory_stream_pair()
    return FramePipe(one), FramePipe(other)


class PipeStream:
    """One end of a `Stream` in memory that remembers how it ended."""

    def __init__(
        self,
        stream: MemoryStream,
        *,
        piece_bytes_max: int,
        peer_id: PeerId,
    ) -> None:
        """Hand out at most `piece_bytes_max` bytes at a time."""
        self._stream = stream
        self._piece_bytes_max = piece_bytes_max
        self._peer_id = peer_id
        self.was_reset = False
        self.was_closed = False

    @property
    def peer_id(self) -> PeerId:
        """Who is at the other end."""
        return self._peer_id

    async def send(self, data: bytes | memoryview) -> None:
        """Send all bytes."""
        try:
            for start in range(0, len(data), self._piece_bytes_max):
                await self._stream.send_all(bytes(data[start : start + self._piece_bytes_max]))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise PeerUnavailableError("the pipe broke") from error

    async def receive_exactly(self, count: int) -> bytes:
        """Return exactly `count` bytes."""
        data = b""
        while len(data) < count:
            try:
                part = await self._stream.receive_some(min(count - len(data), self._piece_bytes_max))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise PeerUnavailableError("the pipe broke") from error
            if not part and not data:
                raise StreamEndedError("the other end was closed")
            if not part:
                raise PeerUnavailableError("the other end was closed too early")
            data += part
        return data

    async def close(self) -> None:
        """End our side."""
        self.was_closed = True
        await self._stream.send_stream.aclose()

    async def reset(self) -> None:
        """Break both sides."""
        self.was_reset = True
        await trio.aclose_forcefully(self._stream)


def stream_pipes(*, piece_bytes_max: int = 1 << 20, peer_id: PeerId = PEER) -> tuple[PipeStream, PipeStream]:
    """Return two ends of a stream."""
    one, other = memory_stream_pair()
    return (
        PipeStream(one, piece_bytes_max=piece_bytes_max, peer_id=peer_id),
        PipeStream(other, piece_bytes_max=piece_bytes_max, peer_id=peer_id),
    )


def as_stream(stream: PipeStream) -> Stream:
    """Let the type checker see that the fake has the shape of the seam."""
    return stream

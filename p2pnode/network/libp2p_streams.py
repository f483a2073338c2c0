"""A stream on a connection, in the two shapes that are wanted: that of our seam, and that of py-libp2p."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import trio
from libp2p.abc import IMuxedConn, INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamEOF, StreamReset

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import PeerUnavailableError
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.yamux_stream import StreamEndError, YamuxStream
from p2pnode.seams import StreamEndedError
from wire.ids import PeerId

if TYPE_CHECKING:
    from p2pnode.network.libp2p_connection import Connection


class PeerStream:
    """A stream as the services see it (`seams.Stream`)."""

    def __init__(self, peer_id: PeerId, stream: YamuxStream) -> None:
        """Wrap a stream on which the protocol is agreed."""
        self._peer_id = peer_id
        self._stream = stream

    @property
    def peer_id(self) -> PeerId:
        """The authenticated peer at the other end."""
        return self._peer_id

    async def send(self, data: bytes | memoryview) -> None:
        """Send all bytes; waits while the peer does not read. Raises `PeerUnavailableError`."""
        try:
            await self._stream.write(data)
        except ConnectionLostError as error:
            raise self._unavailable(error) from error

    async def receive_exactly(self, count: int) -> bytes:
        """Return exactly `count` bytes.

        Raises `StreamEndedError` at an end before the first, else `PeerUnavailableError`.
        """
        if not count:
            await trio.lowlevel.checkpoint()
            return b""
        try:
            return await self._stream.read_exactly(count)
        except StreamEndError as error:
            raise StreamEndedError(str(error)) from error
        except ConnectionLostError as error:
            raise self._unavailable(error) from error

    async def close(self) -> None:
        """End our side cleanly and let go of the stream."""
        self._stream.end()
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """Abort at once, for both sides."""
        self._stream.reset()
        await trio.lowlevel.checkpoint()

    def _unavailable(self, error: ConnectionLostError) -> PeerUnavailableError:
        return PeerUnavailableError(f"peer {peer_id_to_text(self._peer_id)} was lost: {error}")


class ForeignStream(INetStream):
    """A stream as py-libp2p's gossip and DHT want it: their exceptions, and `muxed_conn` for the peer's id."""

    def __init__(self, connection: Connection, stream: YamuxStream, protocol: str) -> None:
        """Wrap a stream on which the protocol is agreed."""
        self.connection = connection
        """The connection that the stream is on."""
        self.stream = stream
        """The stream without py-libp2p's shape."""
        self._protocol = TProtocol(protocol)
        self.muxed_conn = cast("IMuxedConn", connection.foreign)
        self.metric_send_channel: trio.MemorySendChannel[Any] | None = None
        self._writing = trio.Lock()

    async def read(self, n: int | None = None) -> bytes:
        """Return 1 to `n` bytes."""
        try:
            return await self.stream.read_some(n if n and n > 0 else 1 << 20)
        except StreamEndError as error:
            raise StreamEOF(str(error)) from error
        except ConnectionLostError as error:
            raise StreamReset(str(error)) from error

    async def write(self, data: bytes) -> None:
        """Send all bytes in one run.

        Gossip writes to one stream from several tasks: without the lock a long message would be cut by a short one. A
        message that is cut by a cancellation makes all that follow unreadable, so the stream is reset.
        """
        async with self._writing:
            is_written = False
            try:
                await self.stream.write(data)
                is_written = True
            except ConnectionLostError as error:
                raise StreamReset(str(error)) from error
            finally:
                if not is_written:
                    self.stream.reset()

    async def close(self) -> None:
        """End our side and let go."""
        self.stream.end()
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """Abort both sides."""
        self.stream.reset()
        await trio.lowlevel.checkpoint()

    def get_protocol(self) -> TProtocol | None:
        """Return the protocol that was agreed."""
        return self._protocol

    def set_protocol(self, protocol_id: TProtocol) -> None:
        """Change the protocol's name; py-libp2p never does."""
        self._protocol = protocol_id

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return the other end's IP address and port."""
        return self.connection.remote

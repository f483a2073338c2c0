"""Streams in memory in the shape that py-libp2p's handlers want."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import trio
from libp2p.abc import IMuxedConn, INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamEOF, StreamReset
from libp2p.peer.id import ID
from trio.testing import memory_stream_pair

from tests.network.pipes import PEER, MemoryStream
from wire.ids import PeerId


class NetStream(INetStream):
    """One end; it remembers how our side ended it."""

    def __init__(self, stream: MemoryStream, peer_id: PeerId) -> None:
        """Take over one end of a pair; `peer_id` is at the other."""
        self._stream = stream
        self.muxed_conn = cast("IMuxedConn", SimpleNamespace(peer_id=ID(bytes(peer_id))))
        self.metric_send_channel: trio.MemorySendChannel[Any] | None = None
        self.was_reset = False
        self.was_closed = False

    async def read(self, n: int | None = None) -> bytes:
        """Return 1 to `n` bytes."""
        try:
            data = bytes(await self._stream.receive_some(n))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise StreamReset("the pipe broke") from error
        if not data:
            raise StreamEOF("the other end was closed")
        return data

    async def write(self, data: bytes) -> None:
        """Send all bytes."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise StreamReset("the pipe broke") from error

    async def close(self) -> None:
        """End our side."""
        self.was_closed = True
        await self._stream.send_stream.aclose()

    async def reset(self) -> None:
        """Break both sides."""
        self.was_reset = True
        await trio.aclose_forcefully(self._stream)

    def get_protocol(self) -> TProtocol | None:
        """Return none: what is tested does not ask."""
        return None

    def set_protocol(self, protocol_id: TProtocol) -> None:
        """Take note of nothing."""

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return none: there is no socket."""
        return None


def net_streams(peer_id: PeerId = PEER) -> tuple[NetStream, NetStream]:
    """Return the two ends of a stream."""
    one, other = memory_stream_pair()
    return NetStream(one, peer_id), NetStream(other, peer_id)

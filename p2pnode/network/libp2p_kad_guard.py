"""What stands between a peer and py-libp2p's DHT handler: a cap on what it reads, and a store that keeps no values."""

from __future__ import annotations

from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.kad_dht.pb.kademlia_pb2 import Record
from libp2p.kad_dht.value_store import ValueStore
from libp2p.network.stream.exceptions import StreamReset

from p2pnode.network import limits


class CappedStream(INetStream):
    """A stream of which only so many bytes are read: more of them end it, so that no message can be longer."""

    def __init__(self, stream: INetStream, bytes_max: int) -> None:
        """Wrap a stream."""
        self._stream = stream
        self._bytes_left = bytes_max
        self.muxed_conn = stream.muxed_conn
        self.metric_send_channel: trio.MemorySendChannel[Any] | None = None

    async def read(self, n: int | None = None) -> bytes:
        """Return 1 to `n` bytes. Raises `StreamReset` when the peer says too much, `trio.TooSlowError` when nothing."""
        if self._bytes_left <= 0:
            message = "the peer said more on one DHT stream than it may"
            raise StreamReset(message)
        with trio.fail_after(limits.DHT_WAIT_S):
            data = await self._stream.read(self._bytes_left if n is None or n < 0 else min(n, self._bytes_left))
        self._bytes_left -= len(data)
        return data

    async def write(self, data: bytes) -> None:
        """Send all bytes."""
        await self._stream.write(data)

    async def close(self) -> None:
        """End our side and let go."""
        await self._stream.close()

    async def reset(self) -> None:
        """Abort both sides."""
        await self._stream.reset()

    def get_protocol(self) -> TProtocol | None:
        """Return the protocol that was agreed."""
        return self._stream.get_protocol()

    def set_protocol(self, protocol_id: TProtocol) -> None:
        """Change the protocol's name; py-libp2p never does."""
        self._stream.set_protocol(protocol_id)

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return the other end's IP address and port."""
        return self._stream.get_remote_address()


class NoValues(ValueStore):
    """A store that stays empty: nobody here asks the DHT for values, so nobody may leave any."""

    def put(self, key: bytes, value: bytes, validity: float = 0.0) -> None:
        """Keep nothing."""

    def put_record(self, key: bytes, record: Record) -> None:
        """Keep nothing."""

"""Peers that flood a node in every way that yamux and our protocols offer; each is proven to be who it is.

A flood goes on until it is cancelled. When the node cuts the connection, which it should, the flood dials again.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Awaitable, Callable

import trio

from benchmarks.network_lab import QUESTION, READ, ask, make_network, running
from crypto.keys import SEED_BYTES, SigningKey
from p2pnode.config import TESTNET
from p2pnode.errors import PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.addresses import Endpoint, parse_bootstrap
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.libp2p_noise import HandshakeError, Handshaker, SealedChannel
from p2pnode.network.negotiation import METHOD, encode_line
from p2pnode.network.requests import Requester
from p2pnode.network.tcp_transport import TcpTransport
from p2pnode.network.yamux_frames import Flag, Header, Kind
from p2pnode.system import SystemClock
from wire.framing import frame
from wire.ids import PeerId

_BATCH = 400
"""Frames that are sealed together: as many of them as a flood can make the victim read at once."""

LINE_RATE_STREAMS = limits.INBOUND_STREAMS_PER_PEER_MAX
_DRAIN_BYTES = 1 << 16


class Raw:
    """A connection without a session of ours: what is written are frames, whatever the protocol says."""

    def __init__(self, channel: SealedChannel) -> None:
        """Take over an authenticated channel."""
        self.channel = channel
        self._next_id = 1

    def next_id(self) -> int:
        """Return a stream number that was not used."""
        self._next_id += 2
        return self._next_id

    async def write(self, *frames: bytes) -> None:
        """Seal frames together, as few messages as possible."""
        data = b"".join(frames)
        size = limits.SOCKET_WRITE_BYTES - _BATCH
        await self.channel.write_frames([data[start : start + size] for start in range(0, len(data), size)])

    async def drain(self) -> None:
        """Read and forget, so that the victim's answers are taken."""
        while True:
            await self.channel.read_some(_DRAIN_BYTES)


def endpoint_of(address: str) -> tuple[Endpoint, PeerId]:
    """Return the TCP endpoint and the peer of a full address of this machine."""
    endpoint, peer_id = parse_bootstrap(address)
    assert isinstance(endpoint, Endpoint), "nodes of a benchmark are dialled directly"
    return endpoint, peer_id


async def pings(raw: Raw) -> None:
    """Ask for answers at line rate."""
    while True:
        await raw.write(*[Header(Kind.PING, Flag.SYN, 0, 7).encode()] * _BATCH)


async def opens(raw: Raw) -> None:
    """Open streams and leave them half open."""
    while True:
        await raw.write(*(Header(Kind.WINDOW_UPDATE, Flag.SYN, raw.next_id(), 0).encode() for _ in range(_BATCH)))


async def resets(raw: Raw) -> None:
    """Open streams and reset them at once."""
    while True:
        frames = []
        for _ in range(_BATCH):
            number = raw.next_id()
            frames.append(Header(Kind.WINDOW_UPDATE, Flag.SYN, number, 0).encode())
            frames.append(Header(Kind.WINDOW_UPDATE, Flag.RST, number, 0).encode())
        await raw.write(*frames)


async def updates(raw: Raw) -> None:
    """Give credit on a stream, one byte at a time."""
    number = raw.next_id()
    await raw.write(Header(Kind.WINDOW_UPDATE, Flag.SYN, number, 0).encode())
    while True:
        await raw.write(*[Header(Kind.WINDOW_UPDATE, Flag.NONE, number, 1).encode()] * _BATCH)


async def tiny_messages(raw: Raw) -> None:
    """Seal every byte of the frames as a message of its own: the most arithmetic for the fewest bytes."""
    data = Header(Kind.WINDOW_UPDATE, Flag.NONE, 1, 1).encode() * _BATCH
    while True:
        await raw.channel.write_frames([data[start : start + 1] for start in range(len(data))])


async def data(raw: Raw) -> None:
    """Send large frames on streams that were never open."""
    body = bytes(limits.SOCKET_WRITE_BYTES - 1_000)
    while True:
        await raw.write(Header(Kind.DATA, Flag.NONE, raw.next_id(), len(body)).encode() + body)


async def questions(raw: Raw) -> None:
    """Ask for more than anybody could, on all streams that one peer may have, without waiting for an answer."""
    line = encode_line(METHOD) + encode_line(READ)
    asked = frame(QUESTION) * 20
    numbers = [raw.next_id() for _ in range(limits.REQUEST_STREAMS_PER_PEER_MAX)]
    for number in numbers:
        await raw.write(Header(Kind.DATA, Flag.SYN, number, len(line)).encode() + line)
    # The window of each stream is kept open and its answers are thrown away by `drain`.
    while True:
        for number in numbers:
            credit = Header(Kind.WINDOW_UPDATE, Flag.NONE, number, 1 << 20).encode()
            await raw.write(credit + Header(Kind.DATA, Flag.NONE, number, len(asked)).encode() + asked)


FRAMES: dict[str, Callable[[Raw], Awaitable[None]]] = {
    flood.__name__.replace("_", " "): flood for flood in (pings, opens, resets, updates, tiny_messages, data, questions)
}


async def _flood_frames(flood: Callable[[Raw], Awaitable[None]], endpoint: Endpoint, peer_id: PeerId) -> None:
    handshaker = Handshaker(SigningKey(os.urandom(SEED_BYTES)))
    while True:
        socket: GuardedSocket | None = None
        try:
            socket = GuardedSocket(await TcpTransport().dial(endpoint))
            raw = Raw(await handshaker.secure_outbound(socket, peer_id))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(raw.drain)
                await flood(raw)
        except* (OSError, HandshakeError, ConnectionLostError):
            await trio.lowlevel.checkpoint()
        finally:
            if socket is not None:
                socket.abort()


async def _flood_handshakes(endpoint: Endpoint) -> None:
    """Begin handshakes at line rate: half of them are garbage, half stop in the middle."""

    async def one(text: bytes) -> None:
        while True:
            try:
                stream = await TcpTransport().dial(endpoint)
                await stream.send_all(text)
                while await stream.receive_some(_DRAIN_BYTES):
                    pass
                stream.abort()
            except (OSError, trio.BrokenResourceError):
                await trio.lowlevel.checkpoint()

    noise = encode_line(METHOD) + encode_line("/noise") + (48).to_bytes(2, "big") + os.urandom(48)
    async with trio.open_nursery() as nursery:
        for _ in range(limits.HANDSHAKES_MAX // 2):
            nursery.start_soon(one, os.urandom(100))
            nursery.start_soon(one, noise)


async def _flood_identities(endpoint: Endpoint, peer_id: PeerId) -> None:
    """Connect as a new stranger each time, and leave."""
    while True:
        socket: GuardedSocket | None = None
        try:
            socket = GuardedSocket(await TcpTransport().dial(endpoint))
            channel = await Handshaker(SigningKey(os.urandom(SEED_BYTES))).secure_outbound(socket, peer_id)
            await channel.read_some(1)
        except (OSError, HandshakeError, ConnectionLostError):
            await trio.lowlevel.checkpoint()
        finally:
            if socket is not None:
                socket.abort()


async def _honest(address: str, workers: int) -> None:
    """Have as many requests under way as an honest busy peer."""
    network = make_network(random.Random(os.getpid()))  # noqa: S311 - keys of a benchmark
    async with running(network):
        peer_id = await network.bootstrap(address)
        requester = Requester(network, SystemClock(), TESTNET)

        async def work() -> None:
            while True:
                try:
                    await ask(requester, peer_id)
                except PeerUnavailableError:
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for _ in range(workers):
                nursery.start_soon(work)


async def load(address: str) -> None:
    """Do what each line of standard input names, until the next line."""
    endpoint, peer_id = endpoint_of(address)
    scope = trio.CancelScope()

    async def run(name: str) -> None:
        with scope:
            if name in FRAMES:
                await _flood_frames(FRAMES[name], endpoint, peer_id)
            elif name == "handshakes":
                await _flood_handshakes(endpoint)
            elif name == "identities":
                await _flood_identities(endpoint, peer_id)
            elif name == "honest":
                await _honest(address, limits.REQUESTS_PER_PEER_MAX)

    async with trio.open_nursery() as nursery:
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            scope.cancel()
            scope = trio.CancelScope()
            nursery.start_soon(run, line.strip())
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(load, sys.argv[1])

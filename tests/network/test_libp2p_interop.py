"""Our sockets, negotiation, Noise and yamux against those of plain py-libp2p: a second witness for the wire format."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from libp2p import create_yamux_muxer_option, new_host
from libp2p.abc import IHost, INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID, Transport
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from crypto.keys import SEED_BYTES
from p2pnode.errors import PeerUnavailableError
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.seams import Stream, StreamEndedError, Verdict
from tests.network.lab import DEADLINE_S, LOOPBACK, make_network, running, until
from wire.ids import PeerId

BULK = "/test/bulk"
BULK_BYTES = 700_000
"""More than a yamux window, so that window updates are needed both ways."""


@asynccontextmanager
async def plain_host(rng: random.Random) -> AsyncIterator[IHost]:
    """Run a host of plain py-libp2p that sends back what it gets on BULK."""
    key_pair = create_new_key_pair(rng.randbytes(SEED_BYTES))
    noise = Transport(key_pair, create_new_noise_key_pair().private_key)
    host = new_host(key_pair=key_pair, sec_opt={PROTOCOL_ID: noise}, muxer_opt=create_yamux_muxer_option())
    host.set_stream_handler(TProtocol(BULK), _plain_bulk)
    with trio.fail_after(DEADLINE_S):
        async with host.run(listen_addrs=[Multiaddr(LOOPBACK)]):
            yield host


async def _read_plain(stream: INetStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.read(count - len(data))
    return data


async def _plain_bulk(stream: INetStream) -> None:
    await stream.write(await _read_plain(stream, BULK_BYTES))
    await stream.close()


async def _our_bulk(stream: Stream) -> None:
    await stream.send(await stream.receive_exactly(BULK_BYTES))


def _plain_address(host: IHost) -> str:
    return str(host.get_addrs()[0])


def _info(network: Libp2pNetwork) -> PeerInfo:
    return PeerInfo(ID(bytes(network.peer_id)), [Multiaddr(address) for address in network.addresses()])


async def test_we_dial_a_plain_host_and_exchange_more_than_a_window(rng: random.Random) -> None:
    network = make_network(rng)
    data = rng.randbytes(BULK_BYTES)
    async with plain_host(rng) as host, running(network):
        peer_id = await network.bootstrap(_plain_address(host))
        for _ in range(3):
            stream = await network.open_stream(peer_id, BULK)
            await stream.send(data)
            assert await stream.receive_exactly(BULK_BYTES) == data
            with pytest.raises(StreamEndedError):
                await stream.receive_exactly(1)
            await stream.close()
        with pytest.raises(PeerUnavailableError, match="speaks none"):
            await network.open_stream(peer_id, "/test/unknown")


async def test_a_plain_host_dials_us_and_exchanges_more_than_a_window(rng: random.Random) -> None:
    network = make_network(rng)
    network.handle(BULK, _our_bulk)
    data = rng.randbytes(BULK_BYTES)
    async with plain_host(rng) as host, running(network):
        await host.connect(_info(network))
        for _ in range(3):
            stream = await host.new_stream(ID(bytes(network.peer_id)), [TProtocol("/test/none"), TProtocol(BULK)])
            await stream.write(data)
            assert await _read_plain(stream, BULK_BYTES) == data
            with pytest.raises(StreamEOF):
                await stream.read(1)
            await stream.close()


async def test_a_plain_host_identifies_us_by_our_concrete_address(rng: random.Random) -> None:
    network = make_network(rng, listen=["/ip4/0.0.0.0/tcp/0"])
    async with plain_host(rng) as host, running(network):
        peer = ID(bytes(network.peer_id))
        await host.connect(_info(network))
        await until(lambda: bool(host.get_peerstore().get_protocols(peer)))
        assert "/ipfs/id/1.0.0" in host.get_peerstore().get_protocols(peer)
        told = {str(address).partition("/p2p/")[0] for address in host.get_peerstore().addrs(peer)}
        assert told == set(network.addresses())


async def test_gossip_crosses_between_a_plain_host_and_us_both_ways(rng: random.Random) -> None:
    heard: list[bytes] = []

    def hear(_peer: PeerId, data: bytes) -> Verdict:
        heard.append(data)
        return Verdict.ACCEPT

    network = make_network(rng)
    network.subscribe("topic", hear)
    async with plain_host(rng) as host, running(network):
        router = GossipSub([TProtocol("/meshsub/1.1.0")], 6, 4, 12, heartbeat_interval=1)
        pubsub = Pubsub(host, router)
        async with background_trio_service(router), background_trio_service(pubsub):
            await pubsub.wait_until_ready()
            subscription = await pubsub.subscribe("topic")
            await network.bootstrap(_plain_address(host))
            while b"from the plain host" not in heard:
                await pubsub.publish("topic", b"from the plain host")
                await trio.sleep(0.02)
            await network.publish("topic", b"from us")
            while (await subscription.get()).data != b"from us":
                pass

"""What a stranger can do to py-libp2p's DHT handler: little, briefly, and only to itself."""

# ruff: noqa: ARG001 - the clock works by being asked for.

from __future__ import annotations

import random

import pytest
import trio
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from libp2p.network.stream.exceptions import StreamReset
from libp2p.utils.varint import encode_varint_prefixed
from multiaddr import Multiaddr
from trio.testing import MockClock

from p2pnode.errors import PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_kad_guard import CappedStream
from p2pnode.network.libp2p_providers import provider_key
from p2pnode.seams import Stream, StreamEndedError
from tests.network.lab import NAMES, full_address, make_network, running
from tests.network.net_streams import net_streams
from wire.ids import PeerId

KAD = NAMES.protocol("kad")
KEY = provider_key(b"something")
PING = Message(type=Message.MessageType.PING)


async def tell(network: Libp2pNetwork, peer_id: PeerId, message: Message) -> bool:
    """Send one DHT message on a stream of its own; whether there was an answer."""
    stream = await network.open_stream(peer_id, KAD)
    return await say(stream, message)


async def say(stream: Stream, message: Message) -> bool:
    try:
        await stream.send(encode_varint_prefixed(message.SerializeToString()))
        await stream.receive_exactly(1)
    except (PeerUnavailableError, StreamEndedError):
        return False
    finally:
        await stream.close()
    return True


def add_provider(peer_id: PeerId, addresses: list[str], *, key: bytes = KEY) -> Message:
    message = Message(type=Message.MessageType.ADD_PROVIDER, key=key)
    message.providerPeers.add(id=bytes(peer_id), addrs=[Multiaddr(address).to_bytes() for address in addresses])
    return message


async def test_a_peer_provides_in_its_own_name_only(rng: random.Random) -> None:
    liar, victim, node = (make_network(rng) for _ in range(3))
    async with running(liar, victim, node):
        node_id = await liar.bootstrap(full_address(node))
        assert await tell(liar, node_id, add_provider(victim.peer_id, ["/ip4/127.0.0.1/tcp/1"]))
        assert await node.find_providers(b"something") == {}
        assert await tell(liar, node_id, add_provider(liar.peer_id, ["/ip4/127.0.0.1/tcp/1"]))
        assert set(await node.find_providers(b"something")) == {liar.peer_id}


async def test_nobody_leaves_a_value_in_a_node(rng: random.Random) -> None:
    """py-libp2p stores values of a MiB each for whoever sends them, though it is told not to take any."""
    stranger, node = make_network(rng), make_network(rng)
    async with running(stranger, node):
        node_id = await stranger.bootstrap(full_address(node))
        message = Message(type=Message.MessageType.PUT_VALUE, key=b"key")
        message.record.key, message.record.value = b"key", rng.randbytes(10_000)
        await tell(stranger, node_id, message)
        assert node._dht._table.value_store.size() == 0


async def test_a_message_longer_than_the_limit_is_never_parsed(rng: random.Random) -> None:
    """Half a million addresses in one message would hold up the whole node for seconds."""
    stranger, node = make_network(rng), make_network(rng)
    flood = [f"/ip4/127.0.0.1/tcp/{port % 60_000 + 1}" for port in range(limits.DHT_STREAM_BYTES_MAX // 8)]
    async with running(stranger, node):
        node_id = await stranger.bootstrap(full_address(node))
        assert not await tell(stranger, node_id, add_provider(stranger.peer_id, flood))
        assert await node.find_providers(b"something") == {}


async def test_one_peer_never_takes_all_streams_of_the_dht(rng: random.Random) -> None:
    """py-libp2p serves twelve at a time and resets the others, whoever has the twelve."""
    greedy, honest, node = (make_network(rng) for _ in range(3))
    async with running(greedy, honest, node):
        node_id = await greedy.bootstrap(full_address(node))
        await honest.bootstrap(full_address(node))
        held = [await greedy.open_stream(node_id, KAD) for _ in range(limits.DHT_STREAMS_PER_PEER_MAX + 1)]
        assert not await say(held[-1], PING)
        for _ in range(3 * limits.DHT_STREAMS_PER_PEER_MAX):
            assert await tell(honest, node_id, PING)
        assert await say(held[0], PING)


async def test_a_stream_on_which_nothing_is_said_is_given_up(autojump_clock: MockClock) -> None:
    ours, _theirs = net_streams()
    with pytest.raises(trio.TooSlowError):
        await CappedStream(ours, 100).read(1)
    assert trio.current_time() == pytest.approx(limits.DHT_WAIT_S)


async def test_a_capped_stream_passes_what_is_allowed_and_no_byte_more() -> None:
    ours, theirs = net_streams()
    capped = CappedStream(ours, 100)
    await theirs.write(bytes(150))
    assert len(await capped.read(60)) == 60
    assert len(await capped.read(60)) == 40
    with pytest.raises(StreamReset, match="more on one"):
        await capped.read(1)
    await capped.write(b"an answer")
    assert await theirs.read(100) == b"an answer"
    await capped.reset()
    assert ours.was_reset

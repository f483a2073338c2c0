"""Pings are answered, within limits."""

# ruff: noqa: ARG001 - the clock works by being asked for.

from __future__ import annotations

import random

import pytest
import trio
from libp2p.io.utils import read_exactly
from libp2p.network.stream.exceptions import StreamEOF
from trio.testing import MockClock

from p2pnode.errors import PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_ping import PING, PING_BYTES, serve_pings
from p2pnode.seams import Stream
from tests.network.lab import full_address, make_network, running
from tests.network.net_streams import NetStream, net_streams
from wire.ids import PeerId


async def ask(stream: NetStream, data: bytes) -> None:
    await stream.write(data)
    assert await read_exactly(stream, PING_BYTES) == data


async def test_a_node_answers_pings_of_another_until_that_ends_the_stream(rng: random.Random) -> None:
    asker, answerer = make_network(rng), make_network(rng)
    async with running(asker, answerer):
        peer_id = await asker.bootstrap(full_address(answerer))
        for _ in range(2 * limits.PING_STREAMS_PER_PEER_MAX):
            stream = await asker.open_stream(peer_id, PING)
            for _ in range(2):
                data = rng.randbytes(PING_BYTES)
                await stream.send(data)
                assert await stream.receive_exactly(PING_BYTES) == data
            await stream.close()


async def test_a_stream_beyond_the_share_of_a_peer_is_reset_until_another_ends(rng: random.Random) -> None:
    asker, answerer = make_network(rng), make_network(rng)
    async with running(asker, answerer):
        peer_id = await asker.bootstrap(full_address(answerer))
        streams = [await asker.open_stream(peer_id, PING) for _ in range(limits.PING_STREAMS_PER_PEER_MAX)]
        for stream in streams:
            await ping(stream)
        assert not await is_served(asker, peer_id)
        await streams[0].close()
        while not await is_served(asker, peer_id):  # noqa: ASYNC110 - it sets no event
            await trio.sleep(0.01)
        for stream in streams[1:]:
            await ping(stream)


async def ping(stream: Stream) -> None:
    await stream.send(bytes(PING_BYTES))
    assert await stream.receive_exactly(PING_BYTES) == bytes(PING_BYTES)


async def is_served(asker: Libp2pNetwork, peer_id: PeerId) -> bool:
    stream = await asker.open_stream(peer_id, PING)
    try:
        await ping(stream)
    except PeerUnavailableError as error:
        assert "reset" in str(error)  # noqa: PT017 - both ends are expected here, at their own time
        return False
    return True


async def test_a_peer_that_pings_without_a_pause_is_slowed_down(autojump_clock: MockClock) -> None:
    ours, theirs = net_streams()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_pings, ours)
        started = trio.current_time()
        for _ in range(limits.PING_BURST):
            await ask(theirs, bytes(PING_BYTES))
        assert trio.current_time() == started
        for _ in range(100):
            await ask(theirs, bytes(PING_BYTES))
        assert trio.current_time() - started == pytest.approx(100 * limits.PING_PAUSE_S)
        await theirs.close()


async def test_a_peer_that_sends_half_a_ping_is_waited_for_no_longer_than_the_limit(autojump_clock: MockClock) -> None:
    ours, theirs = net_streams()
    await theirs.write(bytes(PING_BYTES // 2))
    await serve_pings(ours)
    assert trio.current_time() == pytest.approx(limits.PING_WAIT_S)
    assert ours.was_closed
    with pytest.raises(StreamEOF):
        await theirs.read(1)

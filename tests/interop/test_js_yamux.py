"""Our yamux against js-yamux under load: slow readers, many streams, half-closed ones, resets."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Awaitable, Callable

import pytest
import trio

from p2pnode.errors import PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_ping import PING, PING_BYTES
from p2pnode.seams import Stream, StreamEndedError
from tests.interop.js_peer import DIGEST, SLOW_DIGEST, JsPeer, js_peer, text_of
from tests.network.lab import make_network, running, until
from wire.ids import PeerId

pytestmark = pytest.mark.interop

BULK_BYTES = 10 * limits.MIB
PIECE_BYTES = 64 * limits.KIB
REST_BYTES = limits.STREAM_WINDOW_INITIAL_BYTES
PREFIX_BYTES = 8
DIGEST_BYTES = 32
STREAMS = 48
"""At once each way; our limit leaves room beside them for gossip and the peer's own protocols."""

HALF_CLOSED = "/interop/half-closed"
HOLD = "/interop/hold"


async def answer_digest(stream: Stream, rest: Callable[[], Awaitable[None]] | None = None) -> None:
    """Answer with the hash of what comes; `rest` is awaited after each REST_BYTES, without reading meanwhile."""
    missing = int.from_bytes(await stream.receive_exactly(PREFIX_BYTES), "big")
    digest = hashlib.sha256()
    since_rest = 0
    while missing:
        part = await stream.receive_exactly(min(missing, PIECE_BYTES))
        digest.update(part)
        missing -= len(part)
        since_rest += len(part)
        if rest is not None and since_rest >= REST_BYTES:
            since_rest = 0
            await rest()
    await stream.send(digest.digest())
    await stream.close()


async def ask_digest(network: Libp2pNetwork, peer_id: PeerId, protocol: str, data: bytes) -> None:
    """Send data and demand its hash."""
    stream = await network.open_stream(peer_id, protocol)
    await stream.send(len(data).to_bytes(PREFIX_BYTES, "big"))
    await stream.send(data)
    assert await stream.receive_exactly(DIGEST_BYTES) == hashlib.sha256(data).digest()
    await stream.close()


async def ping(network: Libp2pNetwork, peer_id: PeerId) -> None:
    """Exchange a ping on a stream of its own: what others do must not hold it up."""
    stream = await network.open_stream(peer_id, PING)
    await stream.send(bytes(PING_BYTES))
    assert await stream.receive_exactly(PING_BYTES) == bytes(PING_BYTES)
    await stream.close()


async def assert_same_connection(network: Libp2pNetwork, peer: JsPeer) -> None:
    """Demand that streams still work, on the one connection that there was."""
    await peer.ask("ping", peer=text_of(network))
    assert await peer.ask("connections", peer=text_of(network)) == {"count": 1}


async def test_ten_megabytes_from_js_to_a_slow_reader_of_ours(rng: random.Random) -> None:
    """The reader rests while the window is full; each rest lasts as long as a ping beside it takes."""
    network = make_network(rng)

    async def read_slowly(stream: Stream) -> None:
        await answer_digest(stream, rest=lambda: ping(network, stream.peer_id))

    network.handle(SLOW_DIGEST, read_slowly)
    async with running(network), js_peer() as peer:
        await peer.dial(network)
        assert await peer.ask("digest", peer=text_of(network), protocol=SLOW_DIGEST, bytes=BULK_BYTES) == {"right": 1}
        await assert_same_connection(network, peer)


async def test_ten_megabytes_from_us_to_a_slow_reader_of_theirs(rng: random.Random) -> None:
    network = make_network(rng)
    async with running(network), js_peer() as peer:
        await peer.dial(network)
        await ask_digest(network, peer.peer_id, SLOW_DIGEST, rng.randbytes(BULK_BYTES))
        await assert_same_connection(network, peer)


async def test_ten_megabytes_each_way_at_once(rng: random.Random) -> None:
    network = make_network(rng)
    network.handle(DIGEST, answer_digest)
    async with running(network), js_peer() as peer, trio.open_nursery() as nursery:
        await peer.dial(network)
        nursery.start_soon(ask_digest, network, peer.peer_id, DIGEST, rng.randbytes(BULK_BYTES))
        assert await peer.ask("digest", peer=text_of(network), protocol=DIGEST, bytes=BULK_BYTES) == {"right": 1}


async def test_many_streams_at_once_each_way(rng: random.Random) -> None:
    network = make_network(rng)
    network.handle(DIGEST, answer_digest)
    async with running(network), js_peer() as peer, trio.open_nursery() as nursery:
        await peer.dial(network)
        for _ in range(STREAMS):
            nursery.start_soon(ask_digest, network, peer.peer_id, DIGEST, rng.randbytes(PIECE_BYTES))
        answers = await peer.ask("digest", peer=text_of(network), protocol=DIGEST, bytes=PIECE_BYTES, count=STREAMS)
        assert answers == {"right": STREAMS}


async def test_streams_beyond_the_limit_are_refused_and_the_others_live(rng: random.Random) -> None:
    network = make_network(rng)
    network.handle(HOLD, _wait_for_the_end)
    wanted = limits.INBOUND_STREAMS_PER_PEER_MAX + 30
    async with running(network), js_peer() as peer:
        await peer.dial(network)
        answer = await peer.ask("hold", peer=text_of(network), protocol=HOLD, count=wanted)
        assert STREAMS < answer["held"] <= limits.INBOUND_STREAMS_PER_PEER_MAX
        await assert_same_connection(network, peer)


async def _wait_for_the_end(stream: Stream) -> None:
    await stream.receive_exactly(1)


async def test_a_stream_whose_other_half_is_closed_still_carries_data(rng: random.Random) -> None:
    network = make_network(rng)

    async def answer_after_the_end(stream: Stream) -> None:
        with pytest.raises(StreamEndedError):
            await stream.receive_exactly(1)
        await stream.send(bytes(limits.MIB))
        await stream.close()

    network.handle(HALF_CLOSED, answer_after_the_end)
    async with running(network), js_peer() as peer:
        await peer.dial(network)
        answer = await peer.ask("countUntilEnd", peer=text_of(network), protocol=HALF_CLOSED)
        assert answer == {"count": limits.MIB}
        await assert_same_connection(network, peer)


async def test_a_stream_that_js_aborts_midway_is_lost_for_us_alone(rng: random.Random) -> None:
    network = make_network(rng)
    failures: list[str] = []

    async def answer(stream: Stream) -> None:
        try:
            await answer_digest(stream)
        except PeerUnavailableError as error:
            failures.append(str(error))
            raise

    network.handle(DIGEST, answer)
    async with running(network), js_peer() as peer:
        await peer.dial(network)
        await peer.ask("abort", peer=text_of(network), protocol=DIGEST, bytes=limits.MIB)
        await until(lambda: bool(failures))
        assert "reset" in failures[0]
        assert await peer.ask("digest", peer=text_of(network), protocol=DIGEST, bytes=PIECE_BYTES) == {"right": 1}
        await assert_same_connection(network, peer)


async def test_a_stream_that_we_reset_midway_is_lost_for_js_alone(rng: random.Random) -> None:
    network = make_network(rng)
    async with running(network), js_peer() as peer:
        await peer.dial(network)
        stream = await network.open_stream(peer.peer_id, DIGEST)
        await stream.send(limits.MIB.to_bytes(PREFIX_BYTES, "big") + bytes(PIECE_BYTES))
        await stream.reset()
        assert await peer.ask("resets", protocol=DIGEST) == {"protocol": DIGEST, "error": "StreamResetError"}
        await ask_digest(network, peer.peer_id, DIGEST, rng.randbytes(PIECE_BYTES))
        await assert_same_connection(network, peer)

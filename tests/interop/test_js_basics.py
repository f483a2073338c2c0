"""A js-libp2p peer dials us, identifies, pings, speaks a protocol of our own, and gossips: each of it both ways."""

from __future__ import annotations

import random

import pytest
import trio

from p2pnode.errors import PeerUnavailableError
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_ping import PING, PING_BYTES
from p2pnode.seams import Verdict
from tests.interop.js_peer import JsPeer, JsPeerError, js_peer, text_of
from tests.network.lab import ECHO, NAMES, make_network, running, until
from wire.ids import PeerId
from wire.limits import GOSSIP_BYTES_MAX

pytestmark = pytest.mark.interop

TOPIC = NAMES.topic("news")


async def test_a_js_peer_dials_us_over_noise_and_yamux_and_identifies_us(rng: random.Random) -> None:
    network = make_network(rng)
    async with running(network), js_peer() as peer:
        assert await peer.dial(network) == {
            "peer": text_of(network),
            "security": "/noise",
            "muxer": "/yamux/1.0.0",
        }
        told = await peer.ask("identified", peer=text_of(network))
        assert told["agent"] == "p2pnode"
        assert {NAMES.protocol("kad"), PING, "/ipfs/id/1.0.0"} <= set(told["protocols"])
        assert told["addresses"] == list(network.addresses())


async def test_we_dial_a_js_peer_and_learn_where_it_listens(rng: random.Random) -> None:
    network = make_network(rng)
    async with running(network), js_peer() as peer:
        assert await network.bootstrap(peer.address) == peer.peer_id
        while not (addresses := await network.find_addresses(peer.peer_id)):  # noqa: ASYNC110 - it sets no event
            await trio.sleep(0.02)
        assert addresses == (peer.address.partition("/p2p/")[0],)


async def test_pings_are_answered_both_ways(rng: random.Random) -> None:
    network = make_network(rng)
    async with running(network), js_peer() as peer:
        await peer.dial(network)
        for _ in range(3):
            assert (await peer.ask("ping", peer=text_of(network)))["milliseconds"] < 5_000
        stream = await network.open_stream(peer.peer_id, PING)
        for _ in range(3):
            data = rng.randbytes(PING_BYTES)
            await stream.send(data)
            assert await stream.receive_exactly(PING_BYTES) == data
        await stream.close()


async def test_a_protocol_that_one_side_does_not_speak_is_refused_and_the_connection_stays(rng: random.Random) -> None:
    network = make_network(rng)
    async with running(network), js_peer() as peer:
        await peer.dial(network)
        with pytest.raises(PeerUnavailableError, match="speaks none"):
            await network.open_stream(peer.peer_id, ECHO)
        with pytest.raises(JsPeerError, match="UnsupportedProtocolError"):
            await peer.ask("digest", peer=text_of(network), protocol="/interop/unknown", bytes=1)
        await peer.ask("ping", peer=text_of(network))
        assert await peer.ask("connections", peer=text_of(network)) == {"count": 1}


class Ears:
    """Hears gossip and remembers it."""

    def __init__(self) -> None:
        """Start with nothing heard."""
        self.heard: list[tuple[PeerId, bytes]] = []

    def hear(self, forwarder: PeerId, data: bytes) -> Verdict:
        """Take a message."""
        self.heard.append((forwarder, data))
        return Verdict.ACCEPT

    async def wait_for(self, forwarder: PeerId, text: str) -> None:
        """Wait for a message from this peer."""
        await until(lambda: (forwarder, text.encode()) in self.heard)


async def test_signed_gossip_crosses_both_ways_up_to_the_largest_message(rng: random.Random) -> None:
    ears = Ears()
    network = make_network(rng)
    network.subscribe(TOPIC, ears.hear)
    largest = "x" * GOSSIP_BYTES_MAX
    async with running(network), js_peer() as peer:
        await meet_in_topic(peer, network)
        for text in ("from js", largest):
            sent = await peer.ask("publish", topic=TOPIC, text=text)
            assert sent["recipients"] == [text_of(network)]
            await ears.wait_for(peer.peer_id, text)
        for text in ("from us", largest):
            await network.publish(TOPIC, text.encode())
            message = await peer.ask("heard", topic=TOPIC, text=text)
            assert (message["type"], message["from"]) == ("signed", text_of(network))


async def test_unsigned_gossip_is_never_heard(rng: random.Random) -> None:
    ears = Ears()
    network = make_network(rng)
    network.subscribe(TOPIC, ears.hear)
    async with running(network), js_peer(signing="StrictNoSign") as anonymous, js_peer() as honest:
        await meet_in_topic(anonymous, network)
        await meet_in_topic(honest, network)
        sent = await anonymous.ask("publish", topic=TOPIC, text="believe me")
        assert text_of(network) in sent["recipients"]
        await anonymous.ask("ping", peer=text_of(network))
        await honest.ask("publish", topic=TOPIC, text="signed")
        await ears.wait_for(honest.peer_id, "signed")
        assert ears.heard == [(honest.peer_id, b"signed")]


async def meet_in_topic(peer: JsPeer, network: Libp2pNetwork) -> None:
    """Connect, and wait until the peer knows that we take part in the topic."""
    await peer.ask("subscribe", topic=TOPIC)
    await peer.dial(network)
    await peer.ask("subscriber", topic=TOPIC, peer=text_of(network))

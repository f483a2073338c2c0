"""The DHT across implementations: peers and providers are found through our nodes by js-libp2p, and the reverse."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio

from p2pnode.network.libp2p_adapter import Libp2pNetwork
from tests.interop.js_peer import JsPeer, JsPeerError, js_peer, js_peers, text_of
from tests.network.lab import full_address, make_network, running, until
from wire.ids import PeerId

pytestmark = pytest.mark.interop

NAME = "blobs that start with 5e"


async def join(peer: JsPeer, network: Libp2pNetwork) -> None:
    """Connect a js peer to one of our nodes and wait until each has the other in its routing table."""
    await peer.dial(network)
    await peer.ask("routes", count=1)
    await until_found(network, peer.peer_id)


async def until_found(network: Libp2pNetwork, peer_id: PeerId) -> tuple[str, ...]:
    """Ask until our node can say where a peer listens; the test's deadline bounds it."""
    while not (addresses := await network.find_addresses(peer_id)):  # noqa: ASYNC110 - what is waited for sets no event
        await trio.sleep(0.02)
    return addresses


def listening(peer: JsPeer) -> str:
    return without_peer(peer.address)


def without_peer(address: str) -> str:
    return address.partition("/p2p/")[0]


def told(found: dict[str, Any]) -> tuple[str, set[str]]:
    """Return whom js found, and where; it repeats an address that it was told twice, with and without the peer id."""
    return found["peer"], {without_peer(address) for address in found["addresses"]}


async def test_js_finds_a_node_of_ours_and_a_js_peer_through_our_dht(rng: random.Random) -> None:
    middle, target = make_network(rng), make_network(rng)
    async with running(middle, target), js_peers(2) as (asker, other):
        await target.bootstrap(full_address(middle))
        await until_found(middle, target.peer_id)
        await join(other, middle)
        await join(asker, middle)
        found = await asker.ask("findPeer", peer=text_of(target))
        assert told(found) == (text_of(target), set(target.addresses()))
        found = await asker.ask("findPeer", peer=other.text)
        assert told(found) == (other.text, {listening(other)})


async def test_we_find_a_js_peer_through_another_js_peer(rng: random.Random) -> None:
    network = make_network(rng)
    async with running(network), js_peers(2) as (middle, target):
        await middle.ask("dial", address=target.address)
        await middle.ask("routes", count=1)
        await join(middle, network)
        assert await until_found(network, target.peer_id) == (listening(target),)


async def test_js_finds_a_js_provider_through_our_dht_when_only_our_record_is_left_of_it(rng: random.Random) -> None:
    """The provider is gone before the one that asks for it comes, so that nobody but our node can answer."""
    network = make_network(rng)
    async with running(network):
        async with js_peer() as provider:
            await join(provider, network)
            await provider.ask("provide", text=NAME)
            await until(lambda: len(network._dht._served.table) == 1)
        assert await network.find_providers(NAME.encode()) == {provider.peer_id: (listening(provider),)}
        async with js_peer() as asker:
            await join(asker, network)
            (found,) = (await asker.ask("findProviders", text=NAME))["providers"]
            assert told(found) == (provider.text, {listening(provider)})


async def test_what_we_provide_is_found_by_js_and_what_js_provides_by_us(rng: random.Random) -> None:
    network, other_network = make_network(rng), make_network(rng)
    async with running(network, other_network), js_peer() as peer:
        await join(peer, network)
        await other_network.bootstrap(peer.address)
        await until_found(other_network, peer.peer_id)
        assert await network.provide(NAME.encode())
        (found,) = (await peer.ask("findProviders", text=NAME))["providers"]
        assert told(found) == (text_of(network), set(network.addresses()))
        await peer.ask("provide", text="more")
        expected = {peer.peer_id: (listening(peer),)}
        assert await other_network.find_providers(b"more") == expected


async def test_a_js_peer_of_another_network_finds_nothing_in_our_dht(rng: random.Random) -> None:
    """Same wire, other name: it is connected and identified, and yet there is nobody whom it could ask."""
    network = make_network(rng)
    async with running(network), js_peer() as member, js_peer(kad="/p2pnode/another/1/0/kad") as stranger:
        await join(member, network)
        await stranger.dial(network)
        await stranger.ask("identified", peer=text_of(network))
        with pytest.raises(JsPeerError, match="NotFoundError"):
            await stranger.ask("findPeer", peer=member.text)

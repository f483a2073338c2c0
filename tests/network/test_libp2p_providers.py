"""Provider records are served and bounded, and hearsay is never kept."""

from __future__ import annotations

import hashlib
import random

import trio
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from p2pnode.network import limits
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_providers import ProviderTable, endpoint_texts, provider_key
from tests.network.lab import full_address, make_network, running
from wire.ids import PEER_ID_BYTES, PeerId

ADDRESS = "/ip4/192.0.2.1/tcp/4710"
NAME = b"something"


def peer(number: int) -> PeerId:
    return PeerId(number.to_bytes(PEER_ID_BYTES, "big"))


def key(number: int) -> bytes:
    return provider_key(str(number).encode())


def providers_of(table: ProviderTable, of_key: bytes, *, now: float = 0.0) -> list[PeerId]:
    return [peer_id for peer_id, _ in table.of(of_key, now=now)]


def test_a_key_is_the_multihash_of_the_name() -> None:
    assert provider_key(NAME) == bytes([0x12, 32]) + hashlib.sha256(NAME).digest()


def test_a_record_lives_until_its_time_and_a_renewal_starts_it_again() -> None:
    table = ProviderTable()
    table.add(key(0), peer(1), [ADDRESS], now=0.0)
    assert table.of(key(0), now=limits.PROVIDER_RECORD_S - 1) == [(peer(1), (ADDRESS,))]
    table.add(key(0), peer(1), [], now=limits.PROVIDER_RECORD_S - 1)
    assert table.of(key(0), now=limits.PROVIDER_RECORD_S + 1) == [(peer(1), ())]
    assert table.of(key(0), now=2 * limits.PROVIDER_RECORD_S) == []
    assert len(table) == 0


def test_expiry_leaves_nothing_behind_and_takes_nothing_early() -> None:
    table = ProviderTable()
    for number in range(10):
        table.add(key(number), peer(number % 3), [ADDRESS], now=float(number))
    table.expire(now=limits.PROVIDER_RECORD_S + 4)
    assert [number for number in range(10) if table._keys.get(key(number))] == [5, 6, 7, 8, 9]
    table.expire(now=2 * limits.PROVIDER_RECORD_S)
    assert (len(table), table._keys, table._peers) == (0, {}, {})
    assert not any(table._by_count)


def test_a_key_keeps_those_providers_that_renewed_last() -> None:
    table = ProviderTable()
    for number in range(limits.PROVIDERS_PER_KEY_MAX):
        table.add(key(0), peer(number), [], now=0.0)
    table.add(key(0), peer(0), [], now=1.0)
    table.add(key(0), peer(1000), [], now=2.0)
    assert len(providers_of(table, key(0))) == limits.PROVIDERS_PER_KEY_MAX
    assert peer(1) not in providers_of(table, key(0))
    assert {peer(0), peer(1000)} <= set(providers_of(table, key(0)))


def test_a_peer_beyond_its_share_loses_its_own_oldest_record() -> None:
    table = ProviderTable()
    for number in range(limits.PROVIDER_RECORDS_PER_PEER_MAX + 1):
        table.add(key(number), peer(1), [], now=0.0)
    assert len(table) == limits.PROVIDER_RECORDS_PER_PEER_MAX
    assert providers_of(table, key(0)) == []
    assert providers_of(table, key(1)) == [peer(1)]


def test_a_flood_never_costs_an_honest_peer_its_records(rng: random.Random) -> None:
    """Sybils that fill the table several times over lose to each other what they add."""
    table = ProviderTable()
    honest = [(key(-number - 1), peer(number)) for number in range(100)]
    for of_key, peer_id in honest:
        table.add(of_key, peer_id, [ADDRESS], now=0.0)
    for number in range(3 * limits.PROVIDER_RECORDS_MAX):
        table.add(key(number), peer(10_000 + rng.randrange(200)), [ADDRESS], now=1.0)
    assert len(table) == limits.PROVIDER_RECORDS_MAX
    assert all(providers_of(table, of_key, now=1.0) == [peer_id] for of_key, peer_id in honest)


def test_the_counts_agree_with_the_records_whatever_happens(rng: random.Random) -> None:
    table = ProviderTable()
    for step in range(3_000):
        table.add(key(rng.randrange(40)), peer(rng.randrange(30)), [], now=float(step))
        if not rng.randrange(100):
            table.expire(now=step + limits.PROVIDER_RECORD_S - rng.randrange(300))
    records = {(of_key, peer_id) for of_key, found in table._keys.items() for peer_id in found}
    assert len(table) == len(records)
    assert {(of_key, peer_id) for peer_id, keys in table._peers.items() for of_key in keys} == records
    assert {peer_id: len(keys) for peer_id, keys in table._peers.items()} == {
        peer_id: count for count, peers in enumerate(table._by_count) for peer_id in peers
    }


def test_addresses_are_cleaned_and_bounded(rng: random.Random) -> None:
    good = [Multiaddr(f"/ip4/192.0.2.1/tcp/{port}") for port in range(1, 100)]
    network = make_network(rng)
    assert endpoint_texts([Multiaddr("/unix/tmp"), Multiaddr(f"{ADDRESS}/p2p/{network.peer_id}")]) == [ADDRESS]
    assert len(endpoint_texts(good)) == limits.ADDRESSES_KEPT_MAX


async def meet(one: Libp2pNetwork, other: Libp2pNetwork) -> None:
    """Connect, and wait until each has the other in its routing table; the test's deadline bounds it."""
    await one.bootstrap(full_address(other))
    for asker, asked in ((one, other), (other, one)):
        while not await asker.find_addresses(asked.peer_id):  # noqa: ASYNC110 - it sets no event
            await trio.sleep(0.02)


async def test_a_provider_is_found_through_a_third_node_and_nobody_else_is(rng: random.Random) -> None:
    provider, middle, asker = (make_network(rng) for _ in range(3))
    async with running(provider, middle, asker):
        await meet(provider, middle)
        await meet(asker, middle)
        assert await provider.provide(NAME)
        expected = {provider.peer_id: provider.addresses()}
        while await middle.find_providers(NAME) != expected:  # noqa: ASYNC110 - what was sent arrives a little later
            await trio.sleep(0.02)
        assert await asker.find_providers(NAME) == expected
        assert await asker.find_providers(b"something else") == {}


async def test_a_node_that_provides_says_so_when_it_is_asked_itself(rng: random.Random) -> None:
    provider, asker = make_network(rng), make_network(rng)
    async with running(provider, asker):
        await meet(asker, provider)
        await provider.provide(NAME)
        assert await asker.find_providers(NAME) == {provider.peer_id: provider.addresses()}


async def test_what_others_answer_is_never_passed_on(rng: random.Random) -> None:
    liar, middle = make_network(rng), make_network(rng)
    async with running(liar, middle):
        await meet(middle, liar)
        victim = PeerInfo(ID(bytes(peer(7))), [Multiaddr(ADDRESS)])
        liar._dht._served.add_provider(provider_key(NAME), victim)
        assert set(await middle.find_providers(NAME)) == {peer(7)}
        assert len(middle._dht._served.table) == 0


async def test_nobody_is_told_when_there_is_nobody(rng: random.Random) -> None:
    network = make_network(rng)
    async with running(network):
        assert not await network.provide(NAME)
        assert await network.find_providers(NAME) == {}

"""Claims about what the real network knows as time goes by: its own addresses, and its routing table."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import trio

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_of
from p2pnode.config import TESTNET
from p2pnode.network import limits
from p2pnode.network.addresses import Endpoint
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.tcp_transport import TcpListener, TcpTransport
from p2pnode.system import SystemClock, SystemRng
from tests.network.lab import LOOPBACK, NAMES, full_address, make_network, running, until
from wire.ids import PeerId

DEAD = "/ip4/127.0.0.1/tcp/9"
"""Nothing listens on the discard port of this machine."""


class MovingTransport(TcpTransport):
    """Sockets on loopback that pretend to listen on every interface of a machine whose addresses change."""

    def __init__(self) -> None:
        """Start at one address."""
        self.hosts = ["10.1.1.1"]

    async def listen(self, endpoints: Sequence[Endpoint]) -> TcpListener:
        """Listen as asked, and say that it is on all interfaces."""
        listener = await super().listen(endpoints)
        listener.endpoints = [Endpoint("ip4", "0.0.0.0", each.port) for each in listener.endpoints]  # noqa: S104
        return listener

    def interface_addresses(self) -> list[str]:
        """Return the addresses of the moment."""
        return list(self.hosts)


def moving_network(rng: random.Random, transport: MovingTransport, *, announce: Sequence[str] = ()) -> Libp2pNetwork:
    """Return a network on such a machine."""
    return Libp2pNetwork(
        key=SigningKey(rng.randbytes(SEED_BYTES)),
        names=NAMES,
        profile=TESTNET,
        clock=SystemClock(),
        rng=SystemRng(),
        listen=[LOOPBACK],
        announce=announce,
        transport=transport,
    )


def hosts_of(addresses: Sequence[str]) -> list[str]:
    """Return the hosts of multiaddrs."""
    return [address.split("/")[2] for address in addresses]


async def test_a_machine_that_gets_other_addresses_says_so(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ADDRESS_CHECK_S", 0.02)
    transport = MovingTransport()
    network = moving_network(rng, transport)
    async with running(network):
        assert hosts_of(network.addresses()) == ["10.1.1.1"]
        transport.hosts = ["10.2.2.2", "10.3.3.3"]
        await until(lambda: hosts_of(network.addresses()) == ["10.2.2.2", "10.3.3.3"])
        assert network.local_addresses() == network.addresses()


async def test_announced_addresses_stay_whatever_the_machine_has(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ADDRESS_CHECK_S", 0.02)
    transport = MovingTransport()
    announced = "/ip4/10.9.9.9/tcp/4710"
    network = moving_network(rng, transport, announce=[announced])
    other = moving_network(rng, transport)
    assert network.local_addresses() == ()  # It does not run yet.
    async with running(network, other):
        transport.hosts = ["10.2.2.2"]
        await until(lambda: hosts_of(other.addresses()) == ["10.2.2.2"])
        assert network.addresses() == (announced,)
        assert hosts_of(network.local_addresses()) == ["10.2.2.2"]


async def test_an_inbound_peer_is_known_by_where_it_came_from(rng: random.Random) -> None:
    one, other = make_network(rng), make_network(rng)
    async with running(one, other):
        await one.bootstrap(full_address(other))
        await until(lambda: len(other.connected()) == 1)
        (outbound,), (inbound,) = one.connected(), other.connected()
        assert (outbound.address, outbound.source) == (other.addresses()[0], "")
        assert (inbound.address, inbound.source) == ("", "/ip4/127.0.0.1")


async def test_members_known_by_their_records_are_in_the_routing_table_and_those_that_are_gone_leave_it(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart: one connection, and records of members that were not met yet in this life."""
    monkeypatch.setattr(limits, "DHT_FIRST_REFRESH_S", 0.05)
    restarted, friend, member = make_network(rng), make_network(rng), make_network(rng)
    gone = PeerId(peer_id_of(SigningKey(rng.randbytes(SEED_BYTES)).public))
    seen: set[bytes] = set()
    real = restarted._dht.add

    async def add(peer_id: PeerId, addresses: Sequence[str]) -> None:
        await real(peer_id, addresses)
        seen.update(restarted._dht.entries())

    monkeypatch.setattr(restarted._dht, "add", add)
    async with running(restarted, friend, member):
        restarted.learn_addresses(member.peer_id, member.addresses())
        restarted.learn_addresses(gone, [DEAD])
        await restarted.bootstrap(full_address(friend))
        await until(lambda: gone in seen)
        await until(lambda: restarted._dht.entries() == {bytes(friend.peer_id), bytes(member.peer_id)})


async def test_an_entry_that_nobody_happens_to_ask_leaves_the_routing_table_too_when_it_is_dead(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library drops a dead entry when a look-up meets it; here no look-up does."""

    async def look_up_nothing() -> None:
        await trio.lowlevel.checkpoint()

    network, alive = make_network(rng), make_network(rng)
    monkeypatch.setattr(network._dht._table, "refresh_routing_table", look_up_nothing)
    gone = PeerId(peer_id_of(SigningKey(rng.randbytes(SEED_BYTES)).public))
    async with running(network, alive):
        network.learn_addresses(alive.peer_id, alive.addresses())
        await network._dht._look_around([(gone, [DEAD]), (alive.peer_id, alive.addresses())])
        assert network._dht.entries() == {bytes(alive.peer_id)}


async def test_members_put_into_the_routing_table_are_bounded(rng: random.Random) -> None:
    network = make_network(rng)
    latest = []
    async with running(network):
        for number in range(2 * limits.DHT_MEMBERS_ADDED_MAX):
            latest.append(PeerId(peer_id_of(SigningKey(rng.randbytes(SEED_BYTES)).public)))
            network.learn_addresses(latest[-1], [f"/ip4/10.0.0.1/tcp/{1 + number}"])
        network.learn_addresses(latest[0], ["/ip4/0.0.0.0/tcp/1"])  # Nowhere to dial.
        members = [peer_id for peer_id, _ in network._members_for_dht()]
        assert members == latest[-limits.DHT_MEMBERS_ADDED_MAX + 1 :]


async def test_a_moved_peer_is_asked_for_in_the_network_although_we_believe_to_know(rng: random.Random) -> None:
    one, friend, moved = make_network(rng), make_network(rng), make_network(rng)
    async with running(one, friend, moved):
        await one._dht.add(moved.peer_id, [DEAD])  # Where it was before.
        await moved.bootstrap(full_address(friend))
        await one.bootstrap(full_address(friend))
        await until(lambda: bytes(moved.peer_id) in friend._dht.entries())
        await until(lambda: bytes(friend.peer_id) in one._dht.entries())
        assert await one.find_addresses(moved.peer_id) == moved.addresses()

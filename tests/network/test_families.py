"""IPv4 and IPv6 on real sockets: each alone, both on one port, and names."""

from __future__ import annotations

import random
import socket

import trio

from p2pnode.network.addresses import parse_endpoint
from p2pnode.network.names import resolve
from tests.capabilities import requires
from tests.network.lab import DEADLINE_S, LOOPBACK, assert_echoes, full_address, make_network, running

IPV6_LOOPBACK = "/ip6/::1/tcp/0"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


@requires("ipv6")
async def test_nodes_with_nothing_but_ipv6_talk_and_reach_each_other(rng: random.Random) -> None:
    one, other = make_network(rng, listen=[IPV6_LOOPBACK]), make_network(rng, listen=[IPV6_LOOPBACK])
    async with running(one, other):
        assert [address.split("/")[1] for address in other.addresses()] == ["ip6"]
        await one.bootstrap(full_address(other))
        await assert_echoes(one, other)
        (seen,) = other.seen_at(one.peer_id)
        assert seen.startswith("/ip6/::1/tcp/")
        await other.dial_back(one.peer_id, one.addresses()[0])


@requires("ipv6")
async def test_both_families_listen_on_one_port_at_once_and_each_is_its_own(rng: random.Random) -> None:
    port = free_port()
    both = make_network(rng, listen=[f"/ip6/::/tcp/{port}", f"/ip4/0.0.0.0/tcp/{port}"])
    v4, v6 = make_network(rng, listen=[LOOPBACK]), make_network(rng, listen=[IPV6_LOOPBACK])
    async with running(both, v4, v6):
        announced = both.addresses()
        assert f"/ip4/127.0.0.1/tcp/{port}" in announced
        assert f"/ip6/::1/tcp/{port}" in announced
        assert not [address for address in announced if "/ip4/0." in address or "/fe80" in address or "/::/" in address]
        await v4.dial_back(both.peer_id, f"/ip4/127.0.0.1/tcp/{port}")
        await v6.dial_back(both.peer_id, f"/ip6/::1/tcp/{port}")
        for network in (v4, v6):
            network.learn_addresses(both.peer_id, both.addresses())
            await network.connect(both.peer_id)
            await assert_echoes(network, both)


@requires("ipv6")
async def test_an_ipv6_listener_leaves_the_port_of_ipv4_to_others(rng: random.Random) -> None:
    port = free_port()
    v6, v4 = make_network(rng, listen=[f"/ip6/::/tcp/{port}"]), make_network(rng, listen=[f"/ip4/0.0.0.0/tcp/{port}"])
    async with running(v6, v4):
        await v6.dial_back(v4.peer_id, f"/ip4/127.0.0.1/tcp/{port}")
        await v4.dial_back(v6.peer_id, f"/ip6/::1/tcp/{port}")


async def test_a_node_listens_on_several_addresses(rng: random.Random) -> None:
    network = make_network(rng, listen=[LOOPBACK, LOOPBACK])
    other = make_network(rng)
    async with running(network, other):
        assert len(set(network.addresses())) == 2
        for address in network.addresses():
            await other.dial_back(network.peer_id, address)


async def test_a_name_is_announced_as_it_is_and_can_be_dialled(rng: random.Random) -> None:
    port = free_port()
    name = f"/dns4/localhost/tcp/{port}"
    network = make_network(rng, listen=[f"/ip4/127.0.0.1/tcp/{port}"], announce=[name])
    other = make_network(rng)
    async with running(network, other):
        assert network.addresses() == (name,)
        assert await network.resolve(name) == (f"/ip4/127.0.0.1/tcp/{port}",)
        other.learn_addresses(network.peer_id, network.addresses())
        await other.connect(network.peer_id)
        await assert_echoes(other, network)


async def test_a_name_that_nobody_knows_leads_nowhere(rng: random.Random) -> None:
    with trio.fail_after(DEADLINE_S):
        assert await resolve(parse_endpoint("/dns4/no-such-host.invalid/tcp/1")) == ()
        assert await make_network(rng).resolve("/ip4/9.9.9.9/tcp/1/p2p/x/p2p-circuit") == ()

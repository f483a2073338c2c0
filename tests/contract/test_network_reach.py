"""What every `Network` promises to those who find out whether a node can be reached."""

from __future__ import annotations

import pytest

from p2pnode.errors import PeerUnavailableError
from tests.contract.network_lab import PROTOCOL, Lab, Run, ask_echo, is_connected, two


def ip_of(address: str) -> str:
    return address.split("/")[2]


def test_each_side_sees_where_the_other_is(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await two(lab)
        assert one.seen_at(other.peer_id)[0] == other.addresses()[0], "it was dialled there"
        assert ip_of(other.seen_at(one.peer_id)[0]) == ip_of(one.addresses()[0])
        stranger = (await lab.start()).network
        assert one.seen_at(stranger.peer_id) == ()

    run_network(claim)


def test_a_peer_is_dialled_back_without_leaving_a_connection(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = (await lab.start()).network, (await lab.start()).network
        await one.dial_back(other.peer_id, other.addresses()[0])
        assert not is_connected(one, other)

    run_network(claim)


def test_dialling_back_leaves_the_connection_alone_that_exists(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await two(lab)
        for _ in range(6):  # More than the connections that one peer may have.
            await other.dial_back(one.peer_id, one.addresses()[0])
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        assert await ask_echo(stream, b"still there") == b"still there"
        await stream.close()

    run_network(claim)


def test_where_somebody_else_listens_a_peer_is_not(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other, third = [(await lab.start()).network for _ in range(3)]
        with pytest.raises(PeerUnavailableError):
            await one.dial_back(third.peer_id, other.addresses()[0])

    run_network(claim)


def test_where_nobody_listens_a_peer_is_not(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, gone = (await lab.start()).network, await lab.start()
        address = gone.network.addresses()[0]
        await gone.die()
        with pytest.raises(PeerUnavailableError):
            await one.dial_back(gone.network.peer_id, address)

    run_network(claim)


def test_other_addresses_count_as_ours_until_they_are_taken_back(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        network = (await lab.start()).network
        own = network.addresses()
        network.announce_also(["/ip4/8.8.4.4/tcp/4710"])
        assert network.addresses() == (*own, "/ip4/8.8.4.4/tcp/4710")
        network.announce_also([])
        assert network.addresses() == own

    run_network(claim)


def test_an_ip_address_is_itself(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        network = (await lab.start()).network
        assert await network.resolve("/ip4/8.8.4.4/tcp/4710") == ("/ip4/8.8.4.4/tcp/4710",)

    run_network(claim)

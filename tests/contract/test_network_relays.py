"""Claims about relays that hold for every network."""

from __future__ import annotations

import pytest
import trio

from p2pnode.errors import PeerUnavailableError
from p2pnode.network import limits
from tests.contract.network_lab import (
    LABORATORIES,
    PROTOCOL,
    VIRTUAL_LABORATORIES,
    Lab,
    ask_echo,
    echo,
    introduce,
    is_connected,
    wait_until,
)

everywhere = pytest.mark.parametrize("laboratory", LABORATORIES)


@everywhere
def test_a_peer_is_reached_through_its_relay_alone(laboratory: str) -> None:
    async def claim(lab: Lab) -> None:
        relay, source, target = [await lab.start({PROTOCOL: echo}) for _ in range(3)]
        await introduce(target.network, relay.network)
        addresses = await target.network.reserve_relay(relay.network.peer_id)
        assert addresses
        assert set(addresses) <= set(target.network.addresses())
        assert target.network.relays() == (relay.network.peer_id,)
        source.network.learn_addresses(target.network.peer_id, addresses)
        stream = await source.network.open_stream(target.network.peer_id, PROTOCOL)
        assert await ask_echo(stream, b"by way of another") == b"by way of another"
        await stream.close()
        assert target.network.seen_at(source.network.peer_id) == ()

    LABORATORIES[laboratory](claim, 1)


@everywhere
def test_nobody_is_reached_through_a_relay_that_was_given_back(laboratory: str) -> None:
    async def claim(lab: Lab) -> None:
        relay, source, target = [await lab.start({PROTOCOL: echo}) for _ in range(3)]
        await introduce(target.network, relay.network)
        addresses = await target.network.reserve_relay(relay.network.peer_id)
        target.network.release_relay(relay.network.peer_id)
        assert not set(addresses) & set(target.network.addresses())
        source.network.learn_addresses(target.network.peer_id, addresses)
        with pytest.raises(PeerUnavailableError):
            await source.network.connect(target.network.peer_id)

    LABORATORIES[laboratory](claim, 2)


@everywhere
def test_a_relay_that_is_gone_takes_its_circuits_and_its_addresses_along(laboratory: str) -> None:
    async def claim(lab: Lab) -> None:
        relay, source, target = [await lab.start({PROTOCOL: echo}) for _ in range(3)]
        await introduce(target.network, relay.network)
        addresses = await target.network.reserve_relay(relay.network.peer_id)
        source.network.learn_addresses(target.network.peer_id, addresses)
        await source.network.connect(target.network.peer_id)
        await wait_until(lambda: is_connected(target.network, source.network))
        await relay.die()
        await wait_until(lambda: not source.network.connected() and not target.network.connected())
        assert target.network.relays() == ()
        assert not set(addresses) & set(target.network.addresses())

    LABORATORIES[laboratory](claim, 3)


@everywhere
def test_a_peer_without_a_connection_is_no_relay(laboratory: str) -> None:
    async def claim(lab: Lab) -> None:
        relay, target = [await lab.start() for _ in range(2)]
        with pytest.raises(PeerUnavailableError):
            await target.network.reserve_relay(relay.network.peer_id)
        assert target.network.relays() == ()

    LABORATORIES[laboratory](claim, 4)


@pytest.mark.parametrize("laboratory", VIRTUAL_LABORATORIES)
def test_a_circuit_lasts_longer_than_a_short_question(laboratory: str) -> None:
    async def claim(lab: Lab) -> None:
        relay, source, target = [await lab.start({PROTOCOL: echo}) for _ in range(3)]
        await introduce(target.network, relay.network)
        addresses = await target.network.reserve_relay(relay.network.peer_id)
        source.network.learn_addresses(target.network.peer_id, addresses)
        stream = await source.network.open_stream(target.network.peer_id, PROTOCOL)
        later = trio.current_time() + 10 * limits.FOREIGN_STREAM_S
        await wait_until(lambda: trio.current_time() >= later)
        assert await ask_echo(stream, b"still here") == b"still here"
        await stream.close()

    LABORATORIES[laboratory](claim, 5)

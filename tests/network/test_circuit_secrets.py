"""Circuits in a network with a secret: both the relay and the end of the circuit ask for it."""

from __future__ import annotations

import random

import pytest
import trio

from crypto.keys import SEED_BYTES, SigningKey
from p2pnode.errors import PeerUnavailableError
from p2pnode.network.libp2p_noise import Handshaker
from tests.network.lab import assert_echoes, full_address, running
from tests.network.test_circuit_networks import make, relayed_connections, reserve
from wire.network_secret import SECRET_BYTES, NetworkSecret


def test_members_with_a_secret_meet_through_a_member_and_strangers_do_not(rng: random.Random) -> None:
    secret, wrong = NetworkSecret(rng.randbytes(SECRET_BYTES)), NetworkSecret(rng.randbytes(SECRET_BYTES))
    relay, source, target = make(rng, secret=secret), *(make(rng, listen=(), secret=secret) for _ in range(2))
    stranger = make(rng, listen=(), secret=wrong)

    async def main() -> None:
        async with running(relay, source, target, stranger):
            addresses = await reserve(target, relay)
            source.learn_addresses(target.peer_id, addresses)
            await assert_echoes(source, target)
            assert relayed_connections(source, target) == 1
            stranger.learn_addresses(target.peer_id, addresses)
            with pytest.raises(PeerUnavailableError):
                await stranger.connect(target.peer_id)
            assert {each.peer_id for each in target.connected()} == {relay.peer_id, source.peer_id}

    trio.run(main)


def test_the_secret_is_asked_for_at_the_end_of_the_circuit_too(rng: random.Random) -> None:
    """A relay that left the network, or never was in it, cannot bring in anybody who is not."""
    secret = NetworkSecret(rng.randbytes(SECRET_BYTES))
    relay, source, target = make(rng, secret=secret), *(make(rng, listen=(), secret=secret) for _ in range(2))
    other_key = Handshaker(SigningKey(rng.randbytes(SEED_BYTES)), shared_key=bytes(32))

    async def main() -> None:
        async with running(relay, source, target):
            source.learn_addresses(target.peer_id, await reserve(target, relay))
            await source.bootstrap(full_address(relay))
            source.connections._handshaker = other_key
            with pytest.raises(PeerUnavailableError, match="not in this network"):
                await source.connect(target.peer_id)
            assert [each.peer_id for each in target.connected()] == [relay.peer_id]

    trio.run(main)

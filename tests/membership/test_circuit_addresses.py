"""Addresses that lead through a relay."""

from __future__ import annotations

import random

import pytest

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.membership.circuit_addresses import CircuitAddress, is_circuit, parse_dialable, without_peer
from p2pnode.membership.endpoints import BadAddressError, Endpoint, parse_endpoint
from wire.ids import PeerId


def _peers(rng: random.Random, count: int) -> list[PeerId]:
    return [PeerId(peer_id_of(SigningKey(rng.randbytes(SEED_BYTES)).public)) for _ in range(count)]


def test_a_circuit_is_read_and_written_unchanged(rng: random.Random) -> None:
    (relay,) = _peers(rng, 1)
    text = f"/ip4/192.0.2.7/tcp/4710/p2p/{peer_id_to_text(relay)}/p2p-circuit"
    address = parse_dialable(text)
    assert address == CircuitAddress(parse_endpoint("/ip4/192.0.2.7/tcp/4710"), relay)
    assert address.text() == text
    assert is_circuit(text)
    assert isinstance(parse_dialable("/ip4/192.0.2.7/tcp/4710"), Endpoint)


def test_a_circuit_is_as_private_and_as_unspecified_as_its_relay(rng: random.Random) -> None:
    (relay,) = _peers(rng, 1)
    at_home = CircuitAddress(parse_endpoint("/ip4/192.168.1.7/tcp/4710"), relay)
    nowhere = CircuitAddress(parse_endpoint("/ip4/0.0.0.0/tcp/4710"), relay)
    outside = CircuitAddress(parse_endpoint("/ip4/8.8.8.8/tcp/4710"), relay)
    assert at_home.is_private
    assert nowhere.is_unspecified
    assert not outside.is_private
    assert not outside.is_unspecified
    assert not outside.is_link_local
    assert CircuitAddress(parse_endpoint("/ip4/169.254.1.1/tcp/4710"), relay).is_link_local


@pytest.mark.parametrize(
    "text",
    [
        "/p2p-circuit",
        "/ip4/192.0.2.7/tcp/4710/p2p-circuit",
        "/ip4/192.0.2.7/tcp/4710/p2p/nobody/p2p-circuit",
        "/ip4/192.0.2.7/udp/4710/p2p/{relay}/p2p-circuit",
        "/ip4/192.0.2.7/tcp/4710/p2p/{relay}/p2p-circuit/p2p/{relay}/p2p-circuit",
        "/dns4/{long}/tcp/4710/p2p/{relay}/p2p-circuit",
    ],
)
def test_what_is_no_circuit_raises(rng: random.Random, text: str) -> None:
    (relay,) = _peers(rng, 1)
    with pytest.raises(BadAddressError):
        parse_dialable(text.format(relay=peer_id_to_text(relay), long="a" * 300))


def test_a_peer_id_at_the_end_is_cut_off_and_that_of_a_relay_is_not(rng: random.Random) -> None:
    relay, peer = (peer_id_to_text(each) for each in _peers(rng, 2))
    circuit = f"/ip4/192.0.2.7/tcp/4710/p2p/{relay}/p2p-circuit"
    assert without_peer(f"{circuit}/p2p/{peer}") == circuit
    assert without_peer(circuit) == circuit
    assert without_peer(f"/ip4/192.0.2.7/tcp/4710/p2p/{peer}") == "/ip4/192.0.2.7/tcp/4710"
    assert without_peer("/ip4/192.0.2.7/tcp/4710") == "/ip4/192.0.2.7/tcp/4710"

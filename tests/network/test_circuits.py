"""What a relay grants, and how fast it carries."""

from __future__ import annotations

import random

import pytest

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_of
from p2pnode.network import limits
from p2pnode.network.circuits import Grant, RelayBudget, RelayDesk
from wire.ids import PeerId


def _peers(rng: random.Random, count: int) -> list[PeerId]:
    return [PeerId(peer_id_of(SigningKey(rng.randbytes(SEED_BYTES)).public)) for _ in range(count)]


def test_reservations_are_bounded_in_all_and_renewing_takes_no_further_place(rng: random.Random) -> None:
    desk = RelayDesk()
    peers = _peers(rng, limits.RELAY_RESERVATIONS_MAX + 1)
    for number, peer_id in enumerate(peers[:-1]):
        assert desk.reserve(peer_id, prefix=f"net {number}", now=0.0) is Grant.OK
    assert desk.reserve(peers[-1], prefix="another", now=1.0) is Grant.TOO_MANY
    assert desk.reserve(peers[0], prefix="net 0", now=1.0) is Grant.OK
    desk.release(peers[1])
    assert desk.reserve(peers[-1], prefix="another", now=1.0) is Grant.OK


def test_one_network_cannot_take_all_reservations(rng: random.Random) -> None:
    desk = RelayDesk()
    *crowd, extra, other = _peers(rng, limits.RELAY_RESERVATIONS_PER_PREFIX_MAX + 2)
    for peer_id in crowd:
        assert desk.reserve(peer_id, prefix="192.0.2.0/24", now=0.0) is Grant.OK
    assert desk.reserve(extra, prefix="192.0.2.0/24", now=0.0) is Grant.TOO_MANY
    assert desk.reserve(other, prefix="198.51.100.0/24", now=0.0) is Grant.OK
    assert desk.reserve(extra, prefix="", now=0.0) is Grant.OK  # Private addresses belong to no network of the world.


def test_a_reservation_ends_with_its_time_and_makes_room(rng: random.Random) -> None:
    desk = RelayDesk()
    source, target = _peers(rng, 2)
    assert desk.may_connect(source, target, now=0.0) is Grant.NO_RESERVATION
    desk.reserve(target, prefix="", now=0.0)
    assert desk.may_connect(source, target, now=limits.RELAY_RESERVATION_S - 1) is Grant.OK
    assert desk.may_connect(source, target, now=limits.RELAY_RESERVATION_S) is Grant.NO_RESERVATION
    assert desk.reservation_count == 0
    desk.release(target)


def test_circuits_are_bounded_from_a_peer_to_a_peer_and_in_all(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RELAY_CIRCUITS_FROM_PEER_MAX", 2)
    monkeypatch.setattr(limits, "RELAY_CIRCUITS_TO_PEER_MAX", 3)
    monkeypatch.setattr(limits, "RELAY_CIRCUITS_MAX", 4)
    desk = RelayDesk()
    one, two, three, target, other = _peers(rng, 5)
    for peer_id in (target, other):
        desk.reserve(peer_id, prefix="", now=0.0)
    with desk.circuit(one, target), desk.circuit(one, target):
        assert desk.may_connect(one, other, now=0.0) is Grant.TOO_MANY
        with desk.circuit(two, target):
            assert desk.may_connect(three, target, now=0.0) is Grant.TOO_MANY
            assert desk.may_connect(three, other, now=0.0) is Grant.OK
            with desk.circuit(two, other):
                assert desk.may_connect(three, other, now=0.0) is Grant.TOO_MANY
    assert desk.circuit_count == 0
    assert desk.may_connect(one, target, now=0.0) is Grant.OK


def test_a_circuit_that_fails_leaves_its_place(rng: random.Random) -> None:
    desk = RelayDesk()
    source, target = _peers(rng, 2)
    with pytest.raises(LookupError), desk.circuit(source, target):
        raise LookupError
    assert desk.circuit_count == 0


def test_the_budget_lets_a_burst_through_and_then_no_more_than_its_rate() -> None:
    budget = RelayBudget()
    assert budget.wait_s(limits.RELAY_BURST_BYTES, now=0.0) == 0.0
    assert budget.wait_s(limits.RELAY_BYTES_PER_S, now=0.0) == pytest.approx(1.0)
    assert budget.wait_s(limits.RELAY_BYTES_PER_S, now=2.0) == pytest.approx(0.0)
    assert budget.wait_s(limits.RELAY_BURST_BYTES, now=1000.0) == 0.0
    assert budget.wait_s(1, now=1000.0) > 0.0


def test_who_asks_too_often_is_refused_for_as_long_as_it_does_and_others_are_served(rng: random.Random) -> None:
    desk = RelayDesk()
    flood, honest, target = _peers(rng, 3)
    desk.reserve(target, prefix="", now=0.0)
    granted = [desk.may_connect(flood, target, now=0.0) for _ in range(1000)].count(Grant.OK)
    assert granted == limits.RELAY_ASKS_BURST
    assert desk.may_connect(honest, target, now=0.0) is Grant.OK
    assert desk.may_connect(flood, target, now=1.0) is Grant.OK, "what was refused is not owed"


def test_many_sources_together_never_offer_a_target_more_than_it_takes_for_an_attack(rng: random.Random) -> None:
    desk = RelayDesk()
    target, *crowd = _peers(rng, 40)
    desk.reserve(target, prefix="", now=0.0)
    grants = [desk.may_connect(each, target, now=0.0) for each in crowd for _ in range(10)]
    assert grants.count(Grant.OK) == limits.RELAY_OFFERS_BURST < limits.STREAM_RESETS_BURST


def test_the_memory_of_who_asked_is_bounded(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RELAY_SOURCES_KEPT_MAX", 3)
    desk = RelayDesk()
    target, *crowd = _peers(rng, 9)
    for each in crowd:
        desk.may_connect(each, target, now=0.0)
    assert len(desk._asks) == 3

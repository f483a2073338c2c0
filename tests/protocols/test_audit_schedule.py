"""Whom to audit when: everybody now and then, whoever has just signed soon, and nobody more than that."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from p2pnode.protocols import audit_schedule
from p2pnode.protocols.audit_schedule import SOON_PER_PEER_MAX, AuditSchedule, whom_to_ask
from tests.factories import digest, peer_id

EVERY_S = 1_800.0
PEERS = [peer_id(number) for number in range(1, 9)]


def schedule() -> AuditSchedule:
    return AuditSchedule(every_s=EVERY_S, soon_s=(300, 900))


def test_a_neighbour_is_asked_at_most_once_in_an_interval_and_never_forgotten(rng: random.Random) -> None:
    target = schedule()
    asked: dict[object, list[float]] = {each: [] for each in PEERS}
    for now in range(0, 200_000, 60):
        target.meet(PEERS, now=now, chance=rng.random())
        for due in target.due(now=now, chance=rng.random()):
            assert due.page is None
            asked[due.peer_id].append(now)
    for times in asked.values():
        gaps = [later - sooner for sooner, later in pairwise(times)]
        assert min(gaps) >= EVERY_S
        assert max(gaps) <= 1.5 * EVERY_S + 60


def test_neighbours_that_come_together_are_not_all_asked_at_once() -> None:
    target = schedule()
    target.meet(PEERS, now=0, chance=0.3)
    first = target.due(now=1.25 * EVERY_S, chance=0)
    assert 0 < len(first) < len(PEERS)


def test_whoever_is_gone_is_not_asked_and_gets_a_new_date_later() -> None:
    target = schedule()
    target.meet(PEERS[:1], now=0, chance=0)
    target.meet([], now=10, chance=0)
    assert len(target) == 0
    target.meet(PEERS[:1], now=20, chance=0)
    assert not target.due(now=EVERY_S, chance=0)
    assert [each.peer_id for each in target.due(now=EVERY_S + 20, chance=0)] == PEERS[:1]


def test_a_new_receipt_is_asked_about_once_within_its_bounds() -> None:
    target = schedule()
    target.signed(PEERS[0], digest(1), now=0, chance=0.0)
    target.signed(PEERS[1], digest(2), now=0, chance=1.0)
    assert not target.due(now=299, chance=0)
    assert [(each.peer_id, each.page) for each in target.due(now=300, chance=0)] == [(PEERS[0], digest(1))]
    assert [(each.peer_id, each.page) for each in target.due(now=900, chance=0)] == [(PEERS[1], digest(2))]
    assert not target.due(now=10**6, chance=0)


def test_no_holder_is_asked_soon_more_often_than_it_will_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    target = schedule()
    for _ in range(2 * SOON_PER_PEER_MAX):
        target.signed(PEERS[0], digest(1), now=0, chance=0)
    assert len(target) == SOON_PER_PEER_MAX
    assert len(target.due(now=300, chance=0)) == SOON_PER_PEER_MAX
    target.signed(PEERS[0], digest(1), now=300, chance=0)
    monkeypatch.setattr(audit_schedule, "SOON_MAX", 2)
    target.signed(PEERS[1], digest(1), now=300, chance=0)
    target.signed(PEERS[2], digest(1), now=300, chance=0)
    assert len(target) == 2


def test_the_writer_asks_all_others_and_each_holder_the_next() -> None:
    holders = sorted(PEERS)
    assert whom_to_ask([*holders, holders[0]], own=holders[0], is_writer=True) == holders[1:]
    assert whom_to_ask(holders, own=peer_id(99), is_writer=True) == holders
    asked = [whom_to_ask(holders, own=each, is_writer=False) for each in holders]
    assert sorted(peer for found in asked for peer in found) == holders  # Each by exactly one.
    assert whom_to_ask(holders, own=peer_id(99), is_writer=False) == []
    assert whom_to_ask(holders[:1], own=holders[0], is_writer=False) == []

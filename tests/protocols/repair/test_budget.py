"""Rates with credit that carries over, and symbols that are given twice at most."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnode.protocols.repair import budget
from p2pnode.protocols.repair.budget import TIMES_SERVED_MAX, Credit, ServedSymbols
from tests.factories import blob_id, peer_id
from wire.ids import ShardIndex

PAIR = (blob_id(1), ShardIndex(2))


def test_credit_carries_over_and_may_be_overdrawn_once() -> None:
    credit = Credit(per_s=10, carried_s=6, now=100)
    assert credit.wait_s(100) == 0
    credit.spend(160, 100)
    assert credit.wait_s(100) == 10
    assert credit.wait_s(105) == 5
    assert credit.wait_s(1000) == 0
    credit.spend(61, 1000)
    assert credit.wait_s(1000) == pytest.approx(0.1)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 50)), max_size=30))
def test_in_the_long_run_no_more_is_spent_than_the_rate_allows(steps: list[tuple[float, float]]) -> None:
    credit = Credit(per_s=10, carried_s=6, now=0)
    now = spent = largest = 0.0
    for wait_s, amount in steps:
        now += wait_s
        if credit.wait_s(now) <= 0:
            credit.spend(amount, now)
            spent, largest = spent + amount, max(largest, amount)
    assert spent <= 10 * now + 60 + largest + 1e-6


def test_the_symbols_of_a_pair_are_given_twice_in_a_long_grace() -> None:
    served = ServedSymbols(for_s=100)
    for _ in range(TIMES_SERVED_MAX):
        assert served.take(peer_id(1), PAIR, 2, of=2, now=0)
    assert not served.take(peer_id(1), PAIR, 1, of=2, now=99)
    assert served.take(peer_id(2), PAIR, 2, of=2, now=99)
    assert served.take(peer_id(1), PAIR, 2, of=2, now=100)


def test_only_so_many_nodes_and_pairs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SERVED_MAX", 2)
    served = ServedSymbols(for_s=100)
    for number in range(5):
        assert served.take(peer_id(number), PAIR, 2, of=2, now=0)
    assert len(served) == 2

"""What a holder spends on challenges is bounded: by asker, and in bytes read."""

from __future__ import annotations

import pytest

from p2pnode.protocols import prover_budget
from p2pnode.protocols.prover_budget import QUESTIONS_PER_EPOCH_MAX, READ_BYTES_MAX, READ_BYTES_PER_S, ProverBudget
from tests.factories import peer_id


def test_an_asker_gets_so_many_answers_an_epoch_and_takes_none_from_others() -> None:
    budget = ProverBudget(epoch_s=60)
    answers = [budget.take_question(peer_id(1), now=10) for _ in range(QUESTIONS_PER_EPOCH_MAX + 1)]
    assert answers == [True] * QUESTIONS_PER_EPOCH_MAX + [False]
    assert budget.take_question(peer_id(2), now=10)
    assert not budget.take_question(peer_id(1), now=59)
    assert budget.take_question(peer_id(1), now=60)


def test_bytes_are_read_at_a_pace_and_a_refusal_costs_nothing() -> None:
    budget = ProverBudget(epoch_s=60)
    assert budget.take_bytes(READ_BYTES_MAX, now=0)
    assert not budget.take_bytes(1, now=0)
    assert budget.take_bytes(READ_BYTES_PER_S, now=1)
    assert not budget.take_bytes(READ_BYTES_MAX + 1, now=10**6)
    assert budget.take_bytes(READ_BYTES_MAX, now=10**6)


def test_askers_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prover_budget, "ASKERS_MAX", 3)
    budget = ProverBudget(epoch_s=60)
    for number in range(10):
        budget.take_question(peer_id(number), now=0)
    assert len(budget) == 3

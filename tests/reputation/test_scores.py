"""Which verdicts speak against a peer: broken promises do, a bad line does not, and being busy only so often."""

from __future__ import annotations

import pytest

from p2pnode.reputation import scores as module
from p2pnode.reputation.score import NEW, Score
from p2pnode.reputation.scores import DAY_S, Scores, Verdict
from tests.factories import peer_id

PEER = peer_id(1)


@pytest.mark.parametrize("verdict", [Verdict.WRONG, Verdict.ABSENT, Verdict.TIMEOUT])
def test_broken_promises_cost(verdict: Verdict) -> None:
    scores = Scores()
    assert scores.note(PEER, verdict, now=0) is verdict
    assert scores.of(PEER) == NEW.after(passed=False)


def test_a_pass_counts_for_a_peer_and_for_no_other() -> None:
    scores = Scores()
    scores.note(PEER, Verdict.OK, now=0)
    assert scores.of(PEER) == NEW.after(passed=True)
    assert scores.of(peer_id(2)) == NEW


def test_being_away_costs_nothing() -> None:
    scores = Scores()
    for _ in range(1_000):
        scores.note(PEER, Verdict.OFFLINE, now=0)
    assert scores.of(PEER) == NEW


def test_being_busy_for_ever_counts_as_silence() -> None:
    scores = Scores()
    verdicts = [scores.note(PEER, Verdict.BUSY, now=now) for now in range(4)]
    assert verdicts == [Verdict.BUSY, Verdict.BUSY, Verdict.TIMEOUT, Verdict.TIMEOUT]
    assert scores.of(PEER) == NEW.after(passed=False).after(passed=False)


def test_being_busy_for_a_tenth_of_a_day_costs_nothing_and_each_day_begins_anew() -> None:
    scores = Scores()
    for number in range(100):
        verdict = Verdict.BUSY if number % 10 == 9 else Verdict.OK
        assert scores.note(PEER, verdict, now=number) is verdict
    for _ in range(2):
        assert scores.note(PEER, Verdict.BUSY, now=DAY_S) is Verdict.BUSY


def test_scores_outlive_a_restart() -> None:
    scores = Scores()
    for number in (2, 1):
        scores.note(peer_id(number), Verdict.WRONG, now=0)
    later = Scores()
    later.remember(scores.known())
    assert later.known() == scores.known() == sorted(scores.known(), key=lambda row: row[0])
    assert later.of(PEER) == NEW.after(passed=False)


def test_as_many_scores_are_kept_as_there_may_be_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCORES_MAX", 2)
    scores = Scores()
    for number in (1, 2, 1, 3):
        scores.note(peer_id(number), Verdict.WRONG, now=0)
    assert len(scores) == 2
    assert scores.of(peer_id(2)) == NEW
    assert scores.of(PEER) == Score().after(passed=False).after(passed=False)

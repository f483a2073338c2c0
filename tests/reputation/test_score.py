"""Scores: one failure condemns nobody, several do, honest but flaky peers are hardly ever, and nothing is for ever."""

from __future__ import annotations

import random

import pytest

from p2pnode.reputation.score import NEW, QUARANTINE_BELOW, REDEEMED_AFTER, TRUSTED_FROM, Score


def after(score: Score, *outcomes: bool) -> Score:
    for passed in outcomes:
        score = score.after(passed=passed)
    return score


def test_a_new_peer_is_trusted_and_one_failure_changes_nothing() -> None:
    assert NEW.value == pytest.approx(0.95)
    assert NEW.is_trusted
    assert NEW.after(passed=False).is_trusted
    assert not NEW.is_quarantined


def test_three_failures_in_a_row_keep_new_slivers_away_and_nine_put_in_quarantine() -> None:
    failures = [after(NEW, *[False] * count) for count in range(12)]
    assert [each.is_trusted for each in failures].index(False) == 3
    assert [each.is_quarantined for each in failures].index(True) == 9
    assert [str(failures[count].trust) for count in (2, 3, 8, 9)] == ["full", *["no new data"] * 2, "quarantine"]


def test_a_long_good_record_does_not_excuse_failures_now() -> None:
    best = after(NEW, *[True] * 10_000)
    assert 0.99 < best.value <= 1
    assert not after(best, *[False] * 6).is_trusted
    assert after(best, *[False] * 12).is_quarantined


def test_ten_passes_in_a_row_give_the_least_trust_back_and_nine_do_not() -> None:
    worst = after(NEW, *[False] * 1_000)
    assert worst.value < 0.01
    assert not after(worst, *[True] * (REDEEMED_AFTER - 1)).is_trusted
    redeemed = after(worst, *[True] * REDEEMED_AFTER)
    assert redeemed.value == pytest.approx(TRUSTED_FROM)
    assert redeemed.is_trusted
    assert not redeemed.after(passed=False).is_trusted
    assert not after(worst, *[*[True] * 9, False] * 5).is_trusted


def test_who_drops_a_tenth_of_what_it_signed_loses_trust(rng: random.Random) -> None:
    lost = 0
    for _ in range(200):
        score = NEW
        for _ in range(300):
            score = score.after(passed=rng.random() > 0.1)
            if not score.is_trusted:
                lost += 1
                break
    assert lost > 190


def test_honest_but_flaky_peers_are_never_quarantined_and_rarely_lose_trust(rng: random.Random) -> None:
    """One audit in a hundred fails on a peer whose line is bad; a thousand of them are three weeks."""
    quarantined = distrusted = 0
    for _ in range(150):
        score = NEW
        lowest = score.value
        for _ in range(1_000):
            score = score.after(passed=rng.random() > 0.01)
            lowest = min(lowest, score.value)
        quarantined += lowest < QUARANTINE_BELOW
        distrusted += lowest < TRUSTED_FROM
    assert quarantined == 0
    assert distrusted < 15

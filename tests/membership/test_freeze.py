"""Claims about the freeze: when our own link counts as down, for how long, and how often."""

from __future__ import annotations

import pytest

from p2pnode.config import PROFILES, PUBLIC, Profile
from p2pnode.membership.freeze import ANSWERS_ENOUGH, DOMAINS_MIN, Freeze

CUT = 100_000.0
"""When the link goes down."""

START = CUT + PUBLIC.suspect_after_s


def frozen(domains: int = DOMAINS_MIN, profile: Profile = PUBLIC) -> Freeze:
    """Return the freeze of a node that lost contact with so many domains at CUT."""
    freeze = Freeze(profile)
    freeze.look([CUT] * domains, now=CUT + profile.suspect_after_s)
    return freeze


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_it_lasts_the_short_grace_and_no_longer(profile: Profile) -> None:
    freeze, start = frozen(profile=profile), CUT + profile.suspect_after_s
    assert freeze.is_frozen(start)
    end = start + profile.short_grace_s
    for step in range(1, 50):
        now = start + step * profile.short_grace_s / 40
        freeze.look([CUT] * DOMAINS_MIN, now=now)
        assert freeze.is_frozen(now) is (now < end)


def test_fewer_than_eight_domains_prove_nothing() -> None:
    assert not frozen(DOMAINS_MIN - 1).is_frozen(START)


def test_all_but_one_must_have_fallen_silent() -> None:
    for answering in range(4):
        freeze = Freeze(PUBLIC)
        freeze.look([CUT] * DOMAINS_MIN + [START - 1] * answering, now=START)
        assert freeze.is_frozen(START) is (answering < ANSWERS_ENOUGH)


def test_who_was_silent_long_before_counts_neither_way() -> None:
    before = CUT - PUBLIC.suspect_after_s
    freeze = Freeze(PUBLIC)
    freeze.look([before] * 100 + [CUT] * (DOMAINS_MIN - 1), now=START)
    assert not freeze.is_frozen(START)
    freeze.look([before] * 100 + [CUT] * DOMAINS_MIN, now=START)
    assert freeze.is_frozen(START)


def test_two_answers_end_it_and_one_does_not() -> None:
    freeze = frozen()
    freeze.look([CUT] * (DOMAINS_MIN - 1) + [START + 5], now=START + 10)
    assert freeze.is_frozen(START + 10)
    freeze.look([CUT] * (DOMAINS_MIN - 2) + [START + 5, START + 6], now=START + 11)
    assert not freeze.is_frozen(START + 11)


def test_what_was_heard_before_it_began_does_not_end_it() -> None:
    freeze = Freeze(PUBLIC)
    freeze.look([CUT] * DOMAINS_MIN, now=START)
    freeze.look([START] * DOMAINS_MIN, now=START + 1)
    assert freeze.is_frozen(START + 1)


@pytest.mark.parametrize("is_ended_early", [False, True])
def test_there_is_no_second_one_within_the_long_grace(is_ended_early: bool) -> None:  # noqa: FBT001 - a parameter
    freeze = frozen()
    if is_ended_early:
        freeze.look([START + 1] * ANSWERS_ENOUGH, now=START + 2)
    for cut, is_allowed in (
        (START + PUBLIC.long_grace_s - PUBLIC.suspect_after_s - 1, False),
        (START + PUBLIC.long_grace_s, True),
    ):
        now = cut + PUBLIC.suspect_after_s
        freeze.look([cut] * DOMAINS_MIN, now=now)
        assert freeze.is_frozen(now) is is_allowed

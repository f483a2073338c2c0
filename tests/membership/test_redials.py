"""Claims about pauses between dials: they grow, are bounded by the question, and news shortens them."""

from __future__ import annotations

from itertools import pairwise

from p2pnode.membership.redials import LOOKUP_AFTER_DIALS, LOOKUP_PAUSE_MAX_S, LOOKUP_PAUSE_S, Redials
from tests.factories import full_address, peer_id

EVERY_S = 5.0
MAX_S = 15.0
TARGET = peer_id(1)


def dial_times(redials: Redials, *, until: float, jitter: float = 1.0, pause_max_s: float = MAX_S) -> list[float]:
    """Return when a target that never answers is dialled, looked at every tenth of a second."""
    times = []
    for tick in range(int(until * 10)):
        now = tick / 10
        if redials.is_due(TARGET, now=now, pause_max_s=pause_max_s):
            redials.dialled(TARGET, now=now, jitter=jitter)
            times.append(now)
    return times


def test_pauses_grow_to_the_bound_and_stay_there() -> None:
    times = dial_times(Redials(every_s=EVERY_S), until=200)
    pauses = [after - before for before, after in pairwise(times)]
    assert times[0] == 0
    assert abs(pauses[0] - EVERY_S) <= 0.2
    assert all(later >= earlier - 0.2 for earlier, later in pairwise(pauses))
    assert all(abs(pause - MAX_S) <= 0.2 for pause in pauses[4:])


def test_without_a_bound_pauses_grow_and_are_numbers_still_after_thousands_of_dials() -> None:
    redials = Redials(every_s=EVERY_S)
    for _ in range(5_000):
        redials.dialled(TARGET, now=0.0, jitter=1.0)
    assert redials.dials(TARGET) == 5_000
    assert not redials.is_due(TARGET, now=1e9, pause_max_s=1e12)


def test_jitter_shortens_the_pause() -> None:
    redials = Redials(every_s=EVERY_S)
    redials.dialled(TARGET, now=0.0, jitter=0.5)
    assert not redials.is_due(TARGET, now=EVERY_S / 2 - 0.1, pause_max_s=MAX_S)
    assert redials.is_due(TARGET, now=EVERY_S / 2, pause_max_s=MAX_S)


def test_a_first_dial_may_be_put_off_once() -> None:
    redials = Redials(every_s=EVERY_S)
    redials.add(TARGET, now=0.0, wait_s=1.0)
    redials.add(TARGET, now=0.5, wait_s=1.0)
    assert not redials.is_due(TARGET, now=0.9, pause_max_s=MAX_S)
    assert redials.is_due(TARGET, now=1.0, pause_max_s=MAX_S)


def test_the_bound_may_change_with_the_question() -> None:
    redials = Redials(every_s=EVERY_S)
    for _ in range(20):
        redials.dialled(full_address(1), now=0.0, jitter=1.0)
    assert not redials.is_due(full_address(1), now=MAX_S, pause_max_s=300.0)
    assert redials.is_due(full_address(1), now=MAX_S, pause_max_s=MAX_S)


def test_news_of_a_target_shortens_its_pause_but_not_below_the_first_one() -> None:
    redials = Redials(every_s=EVERY_S)
    for _ in range(20):
        redials.dialled(TARGET, now=0.0, jitter=1.0)
    redials.hasten(TARGET)
    redials.hasten(peer_id(2))  # Unknown: it is due anyway.
    assert not redials.is_due(TARGET, now=EVERY_S - 0.1, pause_max_s=1e9)
    assert redials.is_due(TARGET, now=EVERY_S, pause_max_s=1e9)
    assert redials.dials(TARGET) == 0
    assert redials.is_due(peer_id(2), now=0.0, pause_max_s=0.0)
    assert redials.dials(peer_id(2)) == 0


def test_who_answers_starts_anew_and_who_is_not_wanted_is_forgotten() -> None:
    redials = Redials(every_s=EVERY_S)
    for number in (1, 2, 3):
        redials.dialled(peer_id(number), now=0.0, jitter=1.0)
    redials.forget(peer_id(1))
    redials.forget(peer_id(1))
    redials.keep_only({peer_id(2)})
    assert len(redials) == 1
    assert redials.is_due(peer_id(3), now=0.0, pause_max_s=MAX_S)


def test_others_are_asked_after_some_dials_and_then_ever_more_seldom() -> None:
    redials = Redials(every_s=EVERY_S)
    assert not redials.wants_lookup(TARGET, now=0.0)
    for _ in range(LOOKUP_AFTER_DIALS):
        assert not redials.wants_lookup(TARGET, now=0.0)
        redials.dialled(TARGET, now=0.0, jitter=1.0)
    asked = [float(now) for now in range(0, 40_000, 10) if redials.wants_lookup(TARGET, now=float(now))]
    pauses = [after - before for before, after in pairwise(asked)]
    assert asked[0] == 0
    assert pauses[:3] == [LOOKUP_PAUSE_S, 2 * LOOKUP_PAUSE_S, 4 * LOOKUP_PAUSE_S]
    assert max(pauses) == LOOKUP_PAUSE_MAX_S

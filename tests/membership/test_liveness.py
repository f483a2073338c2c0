"""Claims about the state machine of a member's liveness: which moves there are, and when silence makes them."""

from __future__ import annotations

import itertools

import pytest

from p2pnode.config import HOME, PROFILES, PUBLIC, Profile
from p2pnode.membership.liveness import MAINTENANCE_S_MAX, MOVES, Event, IllegalMoveError, Liveness, Pulse

NOW = 1000.0
BY_SILENCE = {Event.SILENT, Event.OVERDUE, Event.GRACE_OVER}


def look(pulse: Pulse, now: float, profile: Profile = PUBLIC, *, is_frozen: bool = False) -> Liveness:
    """Look at a member."""
    return pulse.look(profile, now=now, is_frozen=is_frozen)


@pytest.mark.parametrize(
    ("silence", "state"),
    [
        (0, Liveness.ACTIVE),
        (15 * 60 - 1, Liveness.ACTIVE),
        (15 * 60, Liveness.SUSPECT),
        (4 * 3600 - 1, Liveness.SUSPECT),
        (4 * 3600, Liveness.OFFLINE),
        (24 * 3600 - 1, Liveness.OFFLINE),
        (24 * 3600, Liveness.LOST),
    ],
)
def test_silence_leads_through_the_states_at_the_profile_times(silence: float, state: Liveness) -> None:
    assert look(Pulse(NOW), NOW + silence) is state


def test_a_home_network_waits_three_days() -> None:
    assert look(Pulse(NOW), NOW + 72 * 3600 - 1, HOME) is Liveness.OFFLINE
    assert look(Pulse(NOW), NOW + 72 * 3600, HOME) is Liveness.LOST


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_it_makes_no_difference_how_often_somebody_looks(profile: Profile) -> None:
    often = Pulse(NOW)
    for step in range(200):
        now = NOW + step * profile.long_grace_s / 150
        assert look(often, now, profile) is look(Pulse(NOW), now, profile)


@pytest.mark.parametrize("state", [each for each in Liveness if each is not Liveness.CONDEMNED])
def test_a_sign_of_life_makes_active_out_of_every_state_of_silence(state: Liveness) -> None:
    pulse = Pulse(NOW, state)
    pulse.heard(NOW + 1)
    assert pulse.state is Liveness.ACTIVE


def test_an_older_sign_of_life_is_no_news() -> None:
    pulse = Pulse(NOW)
    later = NOW + PUBLIC.suspect_after_s
    assert look(pulse, later) is Liveness.SUSPECT
    pulse.heard(NOW - 1)
    assert (pulse.heard_at, look(pulse, later)) == (NOW, Liveness.SUSPECT)


def test_who_is_condemned_counts_as_lost_whatever_it_says_until_it_is_pardoned() -> None:
    for state in Liveness:
        pulse = Pulse(NOW, state)
        pulse.tell(Event.CONDEMNED)
        pulse.heard(NOW + 1)
        pulse.announced(NOW + 100, now=NOW + 1)
        assert look(pulse, NOW + 2) is Liveness.CONDEMNED
        assert pulse.state.counts_as_lost
        pulse.tell(Event.PARDONED)
        assert not look(pulse, NOW + 2).counts_as_lost
        pulse.heard(NOW + 3)
        assert look(pulse, NOW + 3) is Liveness.ACTIVE


def test_lost_and_condemned_and_nobody_else_counts_as_lost() -> None:
    assert {each for each in Liveness if each.counts_as_lost} == {Liveness.LOST, Liveness.CONDEMNED}


def test_what_is_not_in_the_table_is_an_error_and_changes_nothing() -> None:
    for state, event in itertools.product(Liveness, Event):
        if (state, event) not in MOVES:
            pulse = Pulse(NOW, state)
            with pytest.raises(IllegalMoveError, match=f"{state}.*{event.value}"):
                pulse.tell(event)
            assert pulse.state is state


def test_every_state_is_reached_and_left_and_only_silence_makes_worse_step_by_step() -> None:
    assert {to for _, to in ((key, to) for key, to in MOVES.items() if key[0] is not to)} == set(Liveness)
    assert {state for (state, _), to in MOVES.items() if to is not state} == set(Liveness)
    steps = [(state, to) for (state, event), to in MOVES.items() if event in BY_SILENCE]
    order = list(Liveness)
    assert sorted(steps, key=lambda step: order.index(step[0])) == list(itertools.pairwise(order[:4]))


def test_a_freeze_holds_back_the_last_step_and_no_other() -> None:
    pulse = Pulse(NOW)
    assert look(pulse, NOW + PUBLIC.suspect_after_s, is_frozen=True) is Liveness.SUSPECT
    assert look(pulse, NOW + PUBLIC.long_grace_s, is_frozen=True) is Liveness.OFFLINE
    assert look(pulse, NOW + PUBLIC.long_grace_s) is Liveness.LOST
    assert look(pulse, NOW + PUBLIC.long_grace_s, is_frozen=True) is Liveness.LOST


def test_maintenance_is_waited_for_to_its_end_and_to_its_bound() -> None:
    for announced, counted in ((3600.0, 3600.0), (10.0 * MAINTENANCE_S_MAX, MAINTENANCE_S_MAX)):
        pulse = Pulse(NOW)
        pulse.announced(NOW + announced, now=NOW)
        assert look(pulse, NOW + PUBLIC.suspect_after_s) is Liveness.SUSPECT  # It is not there, after all.
        assert look(pulse, NOW + counted + PUBLIC.offline_after_s - 1) is Liveness.SUSPECT
        assert look(pulse, NOW + counted + PUBLIC.long_grace_s - 1) is Liveness.OFFLINE
        assert look(pulse, NOW + counted + PUBLIC.long_grace_s) is Liveness.LOST


@pytest.mark.parametrize("state", [Liveness.OFFLINE, Liveness.LOST])
def test_a_notice_that_comes_late_takes_back_what_silence_did_while_the_maintenance_goes_on(state: Liveness) -> None:
    now = NOW + MAINTENANCE_S_MAX / 2
    pulse = Pulse(NOW, state)
    pulse.announced(now, now=now)
    assert look(pulse, now) is state
    pulse.announced(now + 60, now=now)
    assert look(pulse, now) is Liveness.SUSPECT


GRACE = PUBLIC.short_grace_s


def test_what_an_earlier_life_did_not_hear_counts_after_the_short_grace_in_this_one() -> None:
    pulse = Pulse(NOW)
    pulse.was_silent(PUBLIC.long_grace_s)
    assert look(pulse, NOW + GRACE - 1) is Liveness.SUSPECT
    assert look(pulse, NOW + GRACE) is Liveness.LOST


def test_the_silences_of_two_lives_add_up() -> None:
    pulse = Pulse(NOW)
    pulse.was_silent(PUBLIC.long_grace_s - 2 * GRACE)
    assert look(pulse, NOW + 2 * GRACE - 1) is Liveness.OFFLINE
    assert look(pulse, NOW + 2 * GRACE) is Liveness.LOST


def test_a_sign_of_life_ends_what_an_earlier_life_did_not_hear() -> None:
    pulse = Pulse(NOW)
    pulse.was_silent(PUBLIC.long_grace_s)
    pulse.heard(NOW + 1)
    assert look(pulse, NOW + 1 + PUBLIC.long_grace_s - 1) is Liveness.OFFLINE


@pytest.mark.parametrize(("excused_before_s", "counts_s"), [(50.0, 50.0), (200.0, 100.0), (-1.0, 0.0)])
def test_what_was_announced_is_no_silence_of_an_earlier_life_either(excused_before_s: float, counts_s: float) -> None:
    pulse = Pulse(NOW)
    pulse.announced(NOW - excused_before_s, now=NOW)
    pulse.was_silent(100.0)
    assert pulse.silent_before_s == counts_s


def test_an_earlier_life_that_heard_nobody_later_has_missed_nobody() -> None:
    pulse = Pulse(NOW)
    pulse.was_silent(-5.0)
    assert pulse.silent_before_s == 0


def test_a_machine_that_woke_misses_nobody_before_the_short_grace_and_then_whom_it_missed_before() -> None:
    dead, alive = Pulse(NOW), Pulse(NOW)
    asleep_at = NOW + PUBLIC.long_grace_s - 1
    for pulse in (dead, alive):
        assert look(pulse, asleep_at) is Liveness.OFFLINE
    dead, alive = dead.awoke(now=asleep_at), alive.awoke(now=asleep_at)
    assert look(dead, asleep_at + PUBLIC.suspect_after_s - 1) is Liveness.ACTIVE
    assert look(dead, asleep_at + PUBLIC.short_grace_s - 1) is Liveness.SUSPECT
    assert look(dead, asleep_at + PUBLIC.short_grace_s) is Liveness.LOST
    alive.heard(asleep_at + 1)
    assert look(alive, asleep_at + 1 + PUBLIC.short_grace_s) is Liveness.SUSPECT


def test_a_silence_over_many_sleeps_adds_up() -> None:
    pulse, now = Pulse(NOW), NOW
    while now + 2 * PUBLIC.short_grace_s < NOW + PUBLIC.long_grace_s:
        now += 2 * PUBLIC.short_grace_s
        assert look(pulse, now) is not Liveness.LOST
        pulse = pulse.awoke(now=now)
    assert look(pulse, now + 2 * PUBLIC.short_grace_s) is Liveness.LOST


def test_who_was_lost_before_a_sleep_may_be_back_after_it_and_who_is_condemned_stays_so() -> None:
    lost, condemned = Pulse(NOW, Liveness.LOST), Pulse(NOW, Liveness.CONDEMNED)
    later = NOW + 2 * PUBLIC.long_grace_s
    assert look(lost.awoke(now=later), later) is Liveness.ACTIVE
    assert look(condemned.awoke(now=later), later) is Liveness.CONDEMNED

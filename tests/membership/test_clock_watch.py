"""Claims about noticing that the wall clock was set, and that the machine slept."""

from __future__ import annotations

import pytest

from p2pnode.membership.clock_watch import CLOCK_SET_S, NAP_S, ClockWatch, SleepWatch

WALL = 1_800_000_000.0


@pytest.mark.parametrize("jump", [7 * 86_400.0, -86_400.0, CLOCK_SET_S + 1, -CLOCK_SET_S - 1])
def test_a_jump_is_noticed_once_and_its_way_back_again(jump: float) -> None:
    watch = ClockWatch()
    looks = [(0, 0.0), (5, 0.0), (10, jump), (15, jump), (20, 0.0), (25, 0.0)]
    found = [watch.was_set(now=now, wall=WALL + now + error, asleep=0.0) for now, error in looks]
    assert found == [False, False, True, False, True, False]


def test_time_that_passes_and_small_corrections_are_no_jump() -> None:
    watch = ClockWatch()
    for number in range(100):
        now = number * 3600.0
        assert not watch.was_set(now=now, wall=WALL + now + number * CLOCK_SET_S, asleep=0.0)


def test_a_sleep_is_no_jump_and_a_jump_within_it_is_one() -> None:
    watch, night = ClockWatch(), 8 * 3600.0
    assert not watch.was_set(now=0, wall=WALL, asleep=7.0)
    assert not watch.was_set(now=5, wall=WALL + 5 + night, asleep=7.0 + night)
    assert watch.was_set(now=10, wall=WALL + 10 + 2 * night + CLOCK_SET_S + 1, asleep=7.0 + 2 * night)


def test_a_sleep_is_told_once_with_its_length() -> None:
    watch = SleepWatch()
    assert [watch.slept_s(asleep) for asleep in (5.0, 5.0, 5.0 + NAP_S, 5.0 + NAP_S, 3605.0 + NAP_S)] == [
        0,
        0,
        NAP_S,
        0,
        3600,
    ]


def test_naps_are_told_once_they_add_up() -> None:
    watch = SleepWatch()
    assert [watch.slept_s(asleep) for asleep in (0.0, NAP_S / 2, NAP_S - 1, NAP_S + 1, NAP_S + 2)] == [
        0,
        0,
        0,
        NAP_S + 1,
        0,
    ]

"""Claims about noticing that the wall clock was set."""

from __future__ import annotations

import pytest

from p2pnode.membership.clock_watch import CLOCK_SET_S, ClockWatch

WALL = 1_800_000_000.0


@pytest.mark.parametrize("jump", [7 * 86_400.0, -86_400.0, CLOCK_SET_S + 1, -CLOCK_SET_S - 1])
def test_a_jump_is_noticed_once_and_its_way_back_again(jump: float) -> None:
    watch = ClockWatch()
    looks = [(0, 0.0), (5, 0.0), (10, jump), (15, jump), (20, 0.0), (25, 0.0)]
    found = [watch.was_set(now=now, wall=WALL + now + error) for now, error in looks]
    assert found == [False, False, True, False, True, False]


def test_time_that_passes_and_small_corrections_are_no_jump() -> None:
    watch = ClockWatch()
    for number in range(100):
        now = number * 3600.0
        assert not watch.was_set(now=now, wall=WALL + now + number * CLOCK_SET_S)

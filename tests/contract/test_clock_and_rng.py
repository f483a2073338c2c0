"""What every `Clock` and every `Rng` promises: those of this machine and the simulated ones."""

import random

import pytest
import trio
import trio.testing

from p2pnode.seams import Clock, Rng
from p2pnode.system import SystemClock, SystemRng
from testnet.sim.clock import NodeClock
from testnet.sim.rng import SimRng

CLOCKS = {"system": SystemClock, "simulated": NodeClock}
A_YEAR_BEFORE_THIS_WAS_WRITTEN_S = 1_700_000_000


@pytest.fixture(params=["system", "simulated"])
def source(request: pytest.FixtureRequest, seed: int) -> Rng:
    """A source of chance."""
    return SystemRng() if request.param == "system" else SimRng(random.Random(seed))


@pytest.fixture(params=CLOCKS)
def clock(request: pytest.FixtureRequest) -> Clock:
    """A clock; trio's time is virtual, so nothing here really waits."""
    made: Clock = CLOCKS[str(request.param)]()
    return made


async def test_sleep_takes_the_time_that_was_asked_for(clock: Clock, autojump_clock: trio.testing.MockClock) -> None:
    assert autojump_clock.autojump_threshold == 0
    before = clock.monotonic()
    await clock.sleep(3.5)
    assert clock.monotonic() - before == pytest.approx(3.5)


async def test_the_monotonic_clock_agrees_with_trios_deadlines(
    clock: Clock, autojump_clock: trio.testing.MockClock
) -> None:
    assert autojump_clock.autojump_threshold == 0
    with trio.move_on_at(clock.monotonic() + 2) as scope:
        await clock.sleep(5)
    assert scope.cancelled_caught
    assert clock.monotonic() == trio.current_time()


async def test_sleep_is_a_cancellation_point_even_for_no_time(clock: Clock) -> None:
    woken: list[str] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await clock.sleep(0)
        woken.append("not cancelled")
    assert scope.cancelled_caught
    assert not woken


async def test_the_wall_clock_shows_a_plausible_date(clock: Clock) -> None:
    assert clock.wall() > A_YEAR_BEFORE_THIS_WAS_WRITTEN_S


async def test_a_machine_that_is_awake_does_not_sleep(clock: Clock, autojump_clock: trio.testing.MockClock) -> None:
    assert autojump_clock.autojump_threshold == 0
    before = clock.asleep()
    await clock.sleep(3600)
    assert clock.asleep() - before == pytest.approx(0, abs=1)
    assert before >= -1


def test_random_bytes_have_the_length_asked_for_and_do_not_repeat(source: Rng) -> None:
    assert source.random_bytes(0) == b""
    assert len(source.random_bytes(5)) == 5
    assert source.random_bytes(32) != source.random_bytes(32)


def test_uniform_stays_in_its_bounds_and_uses_them(source: Rng) -> None:
    drawn = [source.uniform(-2, 3) for _ in range(500)]
    assert -2 <= min(drawn) < -1
    assert 2 < max(drawn) <= 3
    assert source.uniform(4, 4) == 4


def test_shuffled_keeps_the_items_and_leaves_the_original_alone(source: Rng) -> None:
    items = list(range(100))
    shuffled = source.shuffled(items)
    assert sorted(shuffled) == items == list(range(100))
    assert shuffled != items
    assert source.shuffled(()) == []

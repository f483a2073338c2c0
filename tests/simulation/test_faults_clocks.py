"""Wall clocks that are wrong: by a constant, by a jump, more and more; monotonic time is right all the same."""

from collections.abc import Awaitable, Callable

import pytest
import trio

from testnet.sim.clock import WALL_EPOCH_S, NodeClock, SimClock, run_in_virtual_time
from testnet.sim.faults import FaultKind
from testnet.sim.run import Run
from testnet.sim.world import World, WorldReport, run_world

NODES = 4
RIGHT_AGAIN_S = 15.0
SLEPT_S = 5400.0
HALF_AN_HOUR_S, DAY_S, WEEK_S = 1800.0, 86_400.0, 7 * 86_400.0

COLLECTION_S = 4500.0
"""After so much uptime a node collects what its clock calls expired."""


def play(seed: int, claim: Callable[[Run], Awaitable[None]]) -> WorldReport:
    """Run a claim about some nodes that know each other."""

    async def scenario(world: World) -> None:
        run = Run(world, nodes=NODES)
        await run.start()
        await claim(run)

    return run_world(seed, scenario)


def test_a_clock_that_drifts_gains_time_from_then_on_and_keeps_what_it_had_gained() -> None:
    async def main(_clock: SimClock) -> None:
        clock = NodeClock(offset_s=5)
        await trio.sleep(100)
        assert clock.wall() == WALL_EPOCH_S + 105
        clock.set_wrong(clock.error_s, drift=0.01)
        await trio.sleep(200)
        assert clock.error_s == pytest.approx(7)
        assert clock.wall() == pytest.approx(WALL_EPOCH_S + 307)
        clock.set_wrong(clock.error_s)
        await trio.sleep(200)
        assert clock.error_s == pytest.approx(7)
        assert clock.monotonic() == 500

    run_in_virtual_time(main, seed=1)


def test_a_wrong_clock_fires_only_when_the_node_itself_looks_at_it(seed: int) -> None:
    async def claim(run: Run) -> None:
        clock = run.machine("n1").clock
        run.inject.skew("n1", -60)
        run.inject.jump("n1", DAY_S)
        assert clock.error_s == DAY_S - 60
        clock.wall()
        assert run.log.fired[FaultKind.CLOCK_SKEW] == run.log.fired[FaultKind.CLOCK_JUMP] == 0

        async def look(_node: object) -> None:
            clock.wall()
            clock.wall()

        await run.machine("n1").call(look)
        assert run.log.fired[FaultKind.CLOCK_SKEW] == run.log.fired[FaultKind.CLOCK_JUMP] == 1

    play(seed, claim)


def test_a_drift_goes_on_through_a_jump_and_ends_when_the_core_is_healed(seed: int) -> None:
    async def claim(run: Run) -> None:
        clock = run.machine("n1").clock
        run.inject.drift("n1", 36.0)
        await trio.sleep(100)
        run.inject.jump("n1", -10.0)
        await trio.sleep(100)
        assert clock.error_s == pytest.approx(-8)
        await run.heal(["n0", "n2"])
        assert clock.error_s == pytest.approx(-8, abs=1)
        await run.heal()
        await trio.sleep(100)
        assert clock.error_s == 0

    play(seed, claim)


@pytest.mark.parametrize("error_s", [HALF_AN_HOUR_S, -HALF_AN_HOUR_S])
def test_a_node_whose_clock_is_half_an_hour_wrong_stores_holds_and_reads(seed: int, error_s: float) -> None:
    async def claim(run: Run) -> None:
        run.inject.skew("n1", error_s)
        await trio.sleep(1500)  # Records are renewed every ten minutes.
        before = await run.put("n0")
        assert before.healthy == (await run.put("n1")).healthy == NODES
        run.world.kill("n2")
        for stored in run.shelf:
            await run.get("n1", stored)
            await run.get("n0", stored)
        assert run.log.fired[FaultKind.CLOCK_SKEW] == 1

    play(seed, claim)


@pytest.mark.parametrize("jump_s", [WEEK_S, -DAY_S])
def test_once_a_clock_is_right_again_all_see_each_other_at_once_and_not_with_the_next_records(
    seed: int, jump_s: float
) -> None:
    async def claim(run: Run) -> None:
        run.inject.jump("n1", jump_s)
        await trio.sleep(COLLECTION_S)
        assert [run.machine(name).node.info().members for name in run.names()] == [NODES - 2, 0, NODES - 2, NODES - 2]
        run.machine("n1").clock.set_wrong(0.0)
        await trio.sleep(RIGHT_AGAIN_S)
        assert [run.machine(name).node.info().members for name in run.names()] == [NODES - 1] * NODES
        assert {peer.state for name in run.names() for peer in run.machine(name).node.peers()} == {"active"}

    play(seed, claim)


def test_a_machine_that_slept_for_hours_doubts_no_clock_and_is_one_of_them_again_at_once(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def claim(run: Run) -> None:
        run.inject.put_to_sleep("n1")
        await trio.sleep(SLEPT_S)
        others = run.others(["n1"])
        assert [run.machine(name).node.info().members for name in others] == [NODES - 2] * len(others)
        with caplog.at_level("INFO", logger="p2pnode.services.own_clock"):
            run.inject.resume("n1")
            await trio.sleep(RIGHT_AGAIN_S)
        assert [each.message for each in caplog.records if "clock was set" in each.message] == []
        assert sum("slept for 90 min" in each.message for each in caplog.records) == 1
        assert [run.machine(name).node.info().members for name in run.names()] == [NODES - 1] * NODES
        assert {peer.state for name in run.names() for peer in run.machine(name).node.peers()} == {"active"}

    play(seed, claim)


@pytest.mark.parametrize(("jump_s", "wait_s"), [(WEEK_S, COLLECTION_S), (-DAY_S, 600.0)])
def test_what_was_stored_is_read_after_a_clock_has_jumped_and_was_set_right(
    seed: int, jump_s: float, wait_s: float
) -> None:
    async def claim(run: Run) -> None:
        await run.put("n0")
        run.inject.jump("n1", jump_s)
        await trio.sleep(wait_s)
        await run.heal()
        run.world.kill("n0")
        run.world.kill("n3", power=True)
        for name in ("n1", "n2"):
            await run.get(name, run.shelf[0])
        assert run.log.fired[FaultKind.CLOCK_JUMP] == 1

    play(seed, claim)

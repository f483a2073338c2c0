"""What a scenario demands of its run: that these demands can fail, and that a shorter prefix still plays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from p2pnode.errors import ShortageError
from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.load import AVAILABLE
from testnet.sim.run import HEALED, PROGRESS, PROGRESS_S, Run
from testnet.sim.world import World, run_world

NODES = 4


def _play(seed: int, play: Callable[[Run], Awaitable[None]], *, injections_max: int | None = None) -> None:
    async def scenario(world: World) -> None:
        run = Run(world, nodes=NODES)
        await run.start()
        await play(run)

    run_world(seed, scenario, injections_max=injections_max)


def test_a_load_that_met_no_fault_stored_and_read(seed: int) -> None:
    async def play(run: Run) -> None:
        async with run.load(puts_every_s=2.0, gets_every_s=1.0) as users:
            await trio.sleep(10)
        users.demand_all()
        assert users.stored >= 4
        assert users.read >= 5
        assert len(run.shelf) == users.stored
        assert run.checked[AVAILABLE] == users.stored + users.read

    _play(seed, play)


def test_a_put_that_fails_under_load_is_found(seed: int) -> None:
    async def play(run: Run) -> None:
        async with run.load(puts_every_s=2.0, gets_every_s=1.0) as users:
            await trio.sleep(5)
            run.inject.partition(*run.parts(2))
            await trio.sleep(60)
        with pytest.raises(JudgementError, match="though enough nodes work") as caught:
            users.demand_all()
        assert caught.value.judge == AVAILABLE

    _play(seed, play)


def test_a_load_without_puts_proves_nothing(seed: int) -> None:
    async def play(run: Run) -> None:
        for name in run.names():
            run.inject.kill(name)
        async with run.load() as users:
            await trio.sleep(10)
        with pytest.raises(JudgementError, match="only 0 puts and 0 gets"):
            users.demand_all()

    _play(seed, play)


def test_a_user_whose_node_dies_is_not_a_failure_of_the_network(seed: int) -> None:
    async def play(run: Run) -> None:
        async with run.load(puts_every_s=0.2, gets_every_s=0.2, among=["n3"]) as users:
            await run.wait(1.0, 2.0)
            run.inject.kill("n3")
            await trio.sleep(5)
        assert users.failures == []

    _play(seed, play)


def test_no_progress_after_healing_is_found(seed: int) -> None:
    async def play(run: Run) -> None:
        await run.put("n0")
        halves = run.parts(2)
        run.inject.partition(*halves)
        await trio.sleep(60)
        with pytest.raises(ShortageError):
            await run.put(halves[0][0])
        with pytest.raises(JudgementError, match=f"a put fails though {HEALED}") as caught:
            await run.must_put(halves[0][0], HEALED)
        assert caught.value.judge == PROGRESS
        with pytest.raises(JudgementError) as caught:
            await run.demand_progress(halves[0])
        assert caught.value.judge == PROGRESS

    _play(seed, play)


def test_progress_that_comes_too_late_is_found(seed: int) -> None:
    async def play(run: Run) -> None:
        await run.put("n0")
        run.inject.pause("n1")
        with pytest.raises(JudgementError, match=f"not done {PROGRESS_S:.0f} s after"):
            await run.demand_progress(["n1"])
        run.inject.resume("n1")

    _play(seed, play)


def test_injections_past_the_bound_do_nothing_and_the_rest_plays_on(seed: int) -> None:
    async def play(run: Run) -> None:
        run.inject.kill("n1")
        run.inject.kill("n2")
        assert run.running() == ["n0", "n2", "n3"]
        for name in ("n1", "n2"):
            await run.restart(name)
        await run.heal()
        await run.demand_progress()
        assert run.log.fired[FaultKind.KILL] == run.log.injected == 1

    _play(seed, play, injections_max=1)


def test_waiting_for_a_fault_that_never_fires_ends(seed: int) -> None:
    async def play(run: Run) -> None:
        before = trio.current_time()
        await run.until_fired(FaultKind.BIT_ROT, timeout_s=30.0)
        assert trio.current_time() - before == pytest.approx(30.0)

    _play(seed, play)

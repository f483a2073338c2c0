"""A paused node: nothing of it runs, others see a silent machine, and when it goes on everything is late at once."""

from collections.abc import Awaitable, Callable

import pytest
import trio

from p2pnode.errors import ShortageError
from testnet.sim.clock import DeadlockError, SimClock, run_in_virtual_time
from testnet.sim.fabric import SILENCE_S
from testnet.sim.faults import FaultKind
from testnet.sim.machine import NodeDiedError, RunningNode
from testnet.sim.run import Run
from testnet.sim.world import World, WorldReport, run_world

NODES = 4


def play(seed: int, claim: Callable[[Run], Awaitable[None]], *, nodes: int = NODES) -> WorldReport:
    """Run a claim about some nodes that know each other."""

    async def scenario(world: World) -> None:
        run = Run(world, nodes=nodes)
        await run.start()
        await claim(run)

    return run_world(seed, scenario)


def test_no_task_of_a_paused_node_runs_and_its_timers_are_late_when_it_goes_on(seed: int) -> None:
    ticks: dict[str, list[float]] = {"n0": [], "n1": []}

    async def claim(run: Run) -> None:
        begun = trio.current_time()

        async def tick(name: str) -> None:
            async def work(_node: RunningNode) -> None:
                for _ in range(20):
                    await trio.sleep(1)
                    ticks[name].append(trio.current_time() - begun)

            await run.machine(name).call(work)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick, "n0")
            nursery.start_soon(tick, "n1")
            await trio.sleep(5.5)
            run.inject.pause("n1")
            await trio.sleep(10)
            run.inject.resume("n1")
        assert run.log.fired[FaultKind.PAUSE] > 0

    play(seed, claim, nodes=2)
    expected = [float(second) for second in range(1, 21)]
    assert ticks["n0"] == pytest.approx(expected)
    assert ticks["n1"] == pytest.approx(expected[:5] + [15.5 + second for second in range(15)])


def test_the_timers_of_a_machine_that_sleeps_have_as_long_to_go_when_it_wakes(seed: int) -> None:
    ends: dict[str, float] = {}
    clocks: list[tuple[float, float, float]] = []

    async def claim(run: Run) -> None:
        clock, begun = run.machine("n1").clock, trio.current_time()
        started = clock.monotonic(), clock.wall()

        async def work(_node: RunningNode) -> None:
            async def wait(name: str, what: Callable[[float], Awaitable[None]]) -> None:
                await what(20.0)
                ends[name] = trio.current_time() - begun

            async def give_up(seconds: float) -> None:
                with trio.move_on_after(seconds):
                    await trio.sleep_forever()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait, "by the seam", clock.sleep)
                nursery.start_soon(wait, "by trio", trio.sleep)
                nursery.start_soon(wait, "a deadline", give_up)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.machine("n1").call, work)
            for length_s in (10.0, 100.0):
                await trio.sleep(7)
                run.inject.put_to_sleep("n1")
                await trio.sleep(length_s)
                run.inject.resume("n1")
                clocks.append((clock.monotonic() - started[0], clock.wall() - started[1], clock.asleep()))
        assert run.log.fired[FaultKind.SLEEP] > 0
        assert run.log.fired[FaultKind.PAUSE] == 0

    play(seed, claim, nodes=2)
    assert ends == pytest.approx({"by the seam": 130, "by trio": 130, "a deadline": 130})
    assert clocks == [pytest.approx((7, 17, 10)), pytest.approx((14, 124, 110))]


def test_offloaded_calls_of_a_paused_node_are_done_when_it_goes_on(seed: int) -> None:
    async def claim(run: Run) -> None:
        done: list[float] = []

        async def work(_node: RunningNode) -> None:
            life = run.machine("n0").life
            assert life is not None
            await life.offload.run(lambda: done.append(trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.machine("n0").call, work)
            for _ in range(5):  # Until the call is asked for; no virtual time passes.
                await trio.lowlevel.checkpoint()
            run.inject.pause("n0")
            await trio.sleep(100)
            assert done == []
            resumed = trio.current_time()
            run.inject.resume("n0")
        assert done == pytest.approx([resumed])

    play(seed, claim, nodes=1)


def test_a_short_pause_breaks_no_connection_and_a_long_one_all_of_them(seed: int) -> None:
    async def claim(run: Run) -> None:
        run.inject.pause("n1")
        await trio.sleep(SILENCE_S - 1)
        run.inject.resume("n1")
        await trio.sleep(SILENCE_S)
        assert [machine.node.info().connected for machine in run.world.running()] == [NODES - 1] * NODES
        run.inject.pause("n1")
        await trio.sleep(SILENCE_S + 1)
        assert [machine.node.info().connected for machine in run.world.running()] == [2, 3, 2, 2]
        run.inject.resume("n1")
        await run.world.all_meet()

    play(seed, claim)


def test_a_paused_holder_is_a_silent_machine_to_a_put(seed: int) -> None:
    async def claim(run: Run) -> None:
        run.inject.pause("n1")
        result = await run.put("n0")
        assert result.healthy == NODES - 1
        run.inject.pause("n2")
        with pytest.raises(ShortageError):
            await run.put("n0")
        run.inject.resume("n1", "n2")
        await run.world.all_meet()
        assert (await run.put("n2")).healthy == NODES

    play(seed, claim)


def test_a_writer_that_is_paused_in_the_middle_of_a_put_ends_it_in_some_way_when_it_goes_on(seed: int) -> None:
    async def claim(run: Run) -> None:
        for pause_s in (1.0, SILENCE_S / 2, 10 * SILENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run.try_put, "n1")
                await trio.sleep(0.1)
                put_before = len(run.shelf)
                stop = run.rng.choice([run.inject.pause, run.inject.put_to_sleep])
                stop("n1")
                await trio.sleep(pause_s)
                assert len(run.shelf) == put_before
                run.inject.resume("n1")
            await run.heal()
        await run.demand_progress()

    play(seed, claim)


@pytest.mark.parametrize("power", [False, True])
def test_a_paused_node_can_be_killed_and_starts_again_not_paused(seed: int, *, power: bool) -> None:
    async def claim(run: Run) -> None:
        async def sleep(_node: RunningNode) -> None:
            await trio.sleep(5)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_dies, run, sleep)
            await trio.sleep(1)
            run.inject.pause("n1")
            await trio.sleep(60)
            run.world.kill("n1", power=power)
        assert not run.machine("n1").is_running
        await run.world.restart("n1")
        await run.world.all_meet()
        run.inject.resume("n1")
        await run.put("n1")

    play(seed, claim)


async def _dies(run: Run, work: Callable[[RunningNode], Awaitable[None]]) -> None:
    with pytest.raises(NodeDiedError):
        await run.machine("n1").call(work)


def test_a_world_ends_with_nodes_paused_and_with_the_error_of_its_scenario(seed: int) -> None:
    async def pause_all(run: Run) -> None:
        run.inject.pause(*run.names())
        run.inject.pause("n0")
        await trio.sleep(100)

    async def fail(run: Run) -> None:
        await pause_all(run)
        raise LookupError

    play(seed, pause_all)
    with pytest.RaisesGroup(LookupError, flatten_subgroups=True):
        play(seed, fail)


def test_pauses_keep_the_trace_of_a_seed(seed: int) -> None:
    async def claim(run: Run) -> None:
        for _ in range(3):
            run.inject.pause("n1", "n3")
            await run.try_put("n0")
            await trio.sleep(run.rng.uniform(1, 60))
            run.inject.resume("n1", "n3")
            await trio.sleep(run.rng.uniform(1, 60))

    assert play(seed, claim).trace_hash == play(seed, claim).trace_hash


def test_a_run_in_which_all_tasks_are_put_aside_is_a_deadlock() -> None:
    async def main(clock: SimClock) -> None:
        async def work() -> None:
            await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.lowlevel.checkpoint()
            clock.hold_tasks(lambda _context: True)

    with pytest.raises(DeadlockError):
        run_in_virtual_time(main, seed=1)

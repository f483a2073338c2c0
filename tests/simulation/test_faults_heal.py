"""Injections as scenarios use them: each is counted, and `heal` undoes all of them for a core and for nobody else."""

from collections.abc import Awaitable, Callable

import pytest
import trio

from p2pnode.errors import P2PNodeError
from testnet.sim.faults import FaultKind
from testnet.sim.run import Run
from testnet.sim.world import World, WorldReport, run_world

NODES = 5


def play(
    seed: int, claim: Callable[[Run], Awaitable[None]], *, nodes: int = NODES, injections_max: int | None = None
) -> WorldReport:
    """Run a claim about some nodes that know each other."""

    async def scenario(world: World) -> None:
        run = Run(world, nodes=nodes)
        await run.start()
        await claim(run)

    return run_world(seed, scenario, injections_max=injections_max)


def break_everything(run: Run) -> None:
    """Let everything be wrong that can be undone."""
    run.inject.partition(["n0", "n1", "n4"], ["n2", "n3"])
    run.inject.cut_one_way("n0", "n1")
    run.inject.slow_links(latency_s=2.0)
    run.inject.lossy_links(share=0.3)
    run.inject.duplicates(share=0.3)
    run.inject.reorders(share=0.3)
    run.inject.resets(every_s=3.0)
    run.inject.skew("n0", 3600.0)
    run.inject.jump("n4", -3600.0)
    run.inject.kill("n1")
    run.inject.pause("n2")
    run.inject.power_loss("n3")
    run.inject.pause("n4")


def test_after_a_heal_of_all_nothing_is_wrong_any_more(seed: int) -> None:
    async def claim(run: Run) -> None:
        await run.put("n0")
        break_everything(run)
        await trio.sleep(60)
        await run.heal()
        assert len(run.world.running()) == NODES
        resets = run.log.fired[FaultKind.RESET]
        await trio.sleep(60)
        await run.demand_progress()
        assert (await run.put("n4")).healthy == (await run.put("n0")).n
        assert run.log.fired[FaultKind.RESET] == resets

    play(seed, claim)


def test_a_heal_leaves_those_outside_the_core_as_broken_as_they_were(seed: int) -> None:
    async def claim(run: Run) -> None:
        break_everything(run)
        await trio.sleep(60)
        await run.heal(["n0", "n1", "n2"])
        fabric, machines = run.world.fabric, run.world.machines
        networks = {name: machine.life.network for name, machine in machines.items() if machine.life}
        assert not fabric.is_cut_either_way(networks["n0"], networks["n2"])
        assert not fabric.is_cut_either_way(networks["n0"], networks["n1"])
        assert fabric.is_cut_either_way(networks["n0"], networks["n3"])
        assert [machine.name for machine in run.world.running()] == ["n0", "n1", "n2", "n4"]
        assert not run.world.pauses.is_paused("n2")
        assert run.world.pauses.is_paused("n4")
        assert (machines["n0"].clock.error_s, machines["n4"].clock.error_s) == (0.0, -3600.0)
        assert fabric.links.of(("n0", "n1")) == fabric.links.usual
        assert fabric.links.of(("n0", "n4")) != fabric.links.usual

    play(seed, claim)


def test_a_machine_that_left_for_ever_is_in_no_core(seed: int) -> None:
    async def claim(run: Run) -> None:
        run.inject.lose_for_ever("n3")
        run.inject.kill("n1")
        with pytest.raises(ValueError, match="n3"):
            await run.inject.heal(["n0", "n1", "n3"])
        assert [machine.name for machine in run.world.running()] == ["n0", "n2", "n4"]
        await run.heal(["n0", "n1", "n2", "n4"])
        assert [machine.name for machine in run.world.running()] == ["n0", "n1", "n2", "n4"]

    play(seed, claim)


def test_resets_come_at_seeded_moments_and_the_node_lives_with_them(seed: int) -> None:
    async def claim(run: Run) -> None:
        run.inject.resets(every_s=0.5, among=["n0", "n1", "n2"])
        for _ in range(5):
            await run.try_put("n0")
            await trio.sleep(3)
        assert run.log.fired[FaultKind.RESET] > 3
        hit = {line.partition(" reset ")[2] for line in run.world.trace.lines if " reset " in line}
        assert hit <= {"n0 n1", "n0 n2", "n1 n2"}
        await run.heal()
        await run.demand_progress()

    assert play(seed, claim).trace_hash == play(seed, claim).trace_hash


def test_a_flapping_node_is_killed_as_often_as_was_asked_and_is_up_in_the_end(seed: int) -> None:
    async def claim(run: Run) -> None:
        await run.inject.flap("n1", times=3, up_s=5.0, down_s=10.0)
        assert run.log.fired[FaultKind.KILL] == 3
        assert run.machine("n1").is_running

    play(seed, claim)


def test_injections_beyond_the_bound_have_no_effect(seed: int) -> None:
    async def claim(run: Run) -> None:
        break_everything(run)
        await run.inject.flap("n0", times=2, up_s=1.0, down_s=1.0)
        await trio.sleep(60)
        assert run.log.injected == 0
        assert not run.log.fired.keys() - {FaultKind.LOSS}
        assert (await run.put("n0")).healthy == 4
        await run.world.all_meet()

    play(seed, claim, injections_max=0)


def test_a_put_over_bad_links_works_and_each_of_their_faults_fires(seed: int) -> None:
    async def claim(run: Run) -> None:
        run.inject.slow_links("n1", latency_s=0.5, bytes_per_s=20_000.0)
        run.inject.lossy_links(share=0.1)
        run.inject.duplicates(share=0.5)
        run.inject.reorders(share=0.5)
        await run.put("n1", 100_000)
        await run.put("n0", 100_000)
        await trio.sleep(400)
        run.inject.pause("n2", "n3", "n4")
        with pytest.raises(P2PNodeError):
            await run.put("n0")
        await run.heal()
        for stored in run.shelf:
            await run.get("n1", stored)
        kinds = (FaultKind.SLOW_LINK, FaultKind.LOSS, FaultKind.DUPLICATE, FaultKind.REORDER, FaultKind.PAUSE)
        assert all(run.log.fired[kind] for kind in kinds), run.log.fired

    play(seed, claim)

"""Machines that come and go: restarts one after the other, a node that never stays, newcomers and leavers, pauses."""

from __future__ import annotations

import trio

from testnet.sim.faults import FaultKind
from testnet.sim.run import HEALTHY, SEVERAL_SEGMENTS_BYTES, Run
from testnet.sim.scenarios import SITE_NODES, scenario


@scenario(FaultKind.KILL)
async def rolling_restart(run: Run) -> None:
    """Every node is restarted, one after the other, under load; nobody who uses another node notices."""
    await run.start()
    users = run.some(2)
    async with run.load(among=users) as load:
        for name in run.rng.sample(run.others(users), run.nodes - len(users)):
            await _restart_at_leisure(run, name)
        await run.wait(3.0, 10.0)
    load.demand_all()
    for name in users:
        await _restart_at_leisure(run, name)
    await run.heal()
    await run.demand_progress()


async def _restart_at_leisure(run: Run, name: str) -> None:
    run.inject.kill(name)
    await run.wait(1.0, 10.0)
    await run.restart(name)
    await run.world.all_meet()


@scenario(FaultKind.POWER_LOSS)
async def flapping_node(run: Run) -> None:
    """One machine loses its power again and again, for shorter or longer; the others never fail anybody."""
    await run.start()
    (flapping,) = run.some(1)
    async with run.load(among=run.others([flapping])) as users:
        for _ in range(3):
            run.inject.power_loss(flapping)
            await run.wait(0.5, 40.0)
            await run.restart(flapping)
            await run.wait(0.5, 10.0)
    users.demand_all()
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.LEFT_FOR_EVER, nodes=SITE_NODES)
async def joins_and_leaves(run: Run) -> None:
    """Newcomers arrive and old nodes leave for ever, one by one, as many as may be missing from what is stored."""
    await run.start()
    stayed = run.names()
    async with run.load(gets_every_s=8.0):
        for number in range(run.spare()):
            await run.join(f"n{run.nodes + number}")
            await run.wait(1.0, 10.0)
            (leaver,) = run.rng.sample(stayed, 1)
            stayed.remove(leaver)
            run.inject.lose_for_ever(leaver)
            await run.wait(1.0, 20.0)
    core = [name for name in run.names() if run.machine(name).is_running]
    await run.heal(core)
    await run.demand_progress(core)


@scenario(FaultKind.PAUSE)
async def paused_nodes(run: Run) -> None:
    """Some machines fall asleep and wake up in the middle of whatever they did; the others never fail anybody."""
    await run.start()
    sleepers = run.some(run.spare())
    async with run.load(among=run.others(sleepers)) as users:
        for _ in range(2):
            await run.wait(1.0, 5.0)
            run.inject.pause(*sleepers)
            await run.until_fired(FaultKind.PAUSE)
            await run.wait(1.0, 45.0)
            run.inject.resume(*sleepers)
    users.demand_all()
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.PAUSE)
async def paused_writers(run: Run) -> None:
    """A writer falls asleep in the middle of its put, and goes on with it when all others have long moved on."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    for name in run.some(2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.try_put, name, SEVERAL_SEGMENTS_BYTES)
            await run.wait(0.01, 1.5)
            run.inject.pause(name)
            await run.wait(1.0, 200.0)
            run.inject.resume(name)
    await run.heal()
    await run.demand_progress()

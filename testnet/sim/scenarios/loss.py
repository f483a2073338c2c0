"""Nodes that are lost: some for ever, a whole site at once, the writer in the middle of a put."""

from __future__ import annotations

import trio

from testnet.sim.faults import FaultKind
from testnet.sim.run import HEALTHY, ONE_SEGMENT_BYTES, SEVERAL_SEGMENTS_BYTES, Run
from testnet.sim.scenarios import SITE_NODES, scenario

_TWO_SEGMENTS_BYTES = 1_900_000
"""At n = 10 a segment has at most 1,834,952 bytes."""


@scenario(FaultKind.LEFT_FOR_EVER, nodes=SITE_NODES)
async def nodes_lost_for_ever(run: Run) -> None:
    """A third of the nodes never comes back; everything that was stored is read by everybody who is left."""
    await run.start()
    for size in (ONE_SEGMENT_BYTES, _TWO_SEGMENTS_BYTES):
        await run.put(run.rng.choice(run.names()), size)
    lost = run.some(run.spare())
    run.inject.lose_for_ever(*lost)
    core = run.others(lost)
    for stored in run.shelf:
        await run.must_get(run.rng.choice(core), stored, "no more than f nodes are lost")
    await run.heal(core)
    await run.demand_progress(core)


@scenario(FaultKind.POWER_LOSS, nodes=SITE_NODES)
async def site_loses_power(run: Run) -> None:
    """All machines lose their power in the middle of puts; whatever was certified is read afterwards."""
    await run.start()
    async with run.load(puts_every_s=0.5, gets_every_s=1.0, size=ONE_SEGMENT_BYTES):
        await run.wait(1.0, 4.0)
        run.inject.power_loss(*run.names())
        await run.wait(1.0, 60.0)
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.POWER_LOSS, FaultKind.LEFT_FOR_EVER)
async def half_the_site_loses_power_and_a_third_is_gone(run: Run) -> None:
    """One rack loses its power while a put runs; when it is back, as many nodes as may are gone for ever."""
    await run.start()
    async with run.load(puts_every_s=0.5, gets_every_s=1.0):
        await run.wait(1.0, 4.0)
        run.inject.power_loss(*run.some(run.nodes // 2))
        await run.wait(1.0, 15.0)
    await run.heal()
    lost = run.some(run.spare())
    run.inject.lose_for_ever(*lost)
    core = run.others(lost)
    await run.heal(core)
    await run.demand_progress(core)


@scenario(FaultKind.KILL)
async def writers_die_in_the_middle_of_puts(run: Run) -> None:
    """Each of some writers is killed while its file of several segments is under way, and comes back."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    for name in run.some(2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.try_put, name, SEVERAL_SEGMENTS_BYTES)
            await run.wait(0.01, 1.5)
            run.inject.kill(name)
        await run.try_put(run.rng.choice(run.running()))
    await run.heal()
    await run.demand_progress()

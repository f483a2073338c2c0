"""Nodes that are lost: some for ever, a whole site at once."""

from __future__ import annotations

from testnet.sim.faults import FaultKind
from testnet.sim.run import ONE_SEGMENT_BYTES, SEVERAL_SEGMENTS_BYTES, Run
from testnet.sim.scenarios import scenario


@scenario(FaultKind.LEFT_FOR_EVER)
async def nodes_lost_for_ever(run: Run) -> None:
    """A third of the nodes never comes back; everything that was stored is read by everybody who is left."""
    await run.start()
    for size in (ONE_SEGMENT_BYTES, SEVERAL_SEGMENTS_BYTES):
        await run.put(run.rng.choice(run.names()), size)
    lost = run.rng.sample(run.names(), (run.nodes - 1) // 3)
    run.inject.lose_for_ever(*lost)
    core = [name for name in run.names() if name not in lost]
    for stored in run.shelf:
        await run.try_get(run.rng.choice(core), stored)
    await run.heal(core)
    await run.demand_progress(core)


@scenario(FaultKind.POWER_LOSS)
async def site_loses_power(run: Run) -> None:
    """All machines lose their power in the middle of puts; whatever was certified is read afterwards."""
    await run.start()
    await run.put("n2", ONE_SEGMENT_BYTES)
    run.inject.power_loss(*run.names())
    await run.heal()
    await run.demand_progress()

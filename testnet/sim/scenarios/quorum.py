"""The border of what is tolerated: one node more is gone than may be."""

from __future__ import annotations

import trio

from testnet.sim.faults import FaultKind
from testnet.sim.run import HEALTHY, Run
from testnet.sim.scenarios import scenario

_TRIES = 3


@scenario(FaultKind.POWER_LOSS)
async def one_node_too_many_is_gone(run: Run) -> None:
    """With f + 1 nodes gone a put fails and says so; once they are back all goes on, and nothing was lost."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    gone = run.some(run.spare() + 1)
    run.inject.power_loss(*gone)
    rest = run.others(gone)
    async with trio.open_nursery() as nursery:
        for name in run.rng.sample(rest, min(_TRIES, len(rest))):
            nursery.start_soon(run.try_put, name)
    run.check()
    await run.heal()
    await run.demand_progress()

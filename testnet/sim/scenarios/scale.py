"""As many nodes as a network of volunteers soon has, in one world."""

from __future__ import annotations

from testnet.sim.admission import SIMULATED
from testnet.sim.faults import FaultKind
from testnet.sim.run import HEALED, Run
from testnet.sim.scenarios import scenario

BLOBS_BYTES = (400_000, 400_000, 1_500_000)
"""Long enough for 52 shards and more: a third of many nodes, at random, may hold more than a third of few shards."""

READERS = 3
"""Survivors that read everything."""


@scenario(FaultKind.LEFT_FOR_EVER, nodes=1000, profile=SIMULATED, is_large=True)
async def a_thousand_nodes(run: Run) -> None:
    """A thousand nodes find each other, some store, a third never comes back; survivors read everything, and store."""
    await run.start()
    for name, size in zip(run.some(len(BLOBS_BYTES)), BLOBS_BYTES, strict=True):
        await run.must_put(name, "nothing is broken yet", size)
    lost = run.some(run.nodes // 3)
    run.inject.lose_for_ever(*lost)
    survivors = run.others(lost)
    for name in run.rng.sample(survivors, READERS):
        for stored in run.shelf:
            await run.must_get(name, stored, "two thirds of the nodes are there")
    await run.must_put(run.rng.choice(survivors), HEALED)
    run.check()

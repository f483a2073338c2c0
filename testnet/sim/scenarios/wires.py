"""Bad wires: connections that break, packets that are lost, late or doubled, links that are slow."""

from __future__ import annotations

from testnet.sim.faults import FaultKind
from testnet.sim.run import HEALTHY, ONE_SEGMENT_BYTES, Run
from testnet.sim.scenarios import scenario


@scenario(FaultKind.RESET)
async def connections_break(run: Run) -> None:
    """Connections between living nodes break every second or so, whatever is under way on them."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    async with run.load(size=ONE_SEGMENT_BYTES):
        run.inject.resets(every_s=run.rng.uniform(0.3, 2.0))
        await run.until_fired(FaultKind.RESET)
        await run.wait(12.0, 25.0)
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.LOSS, FaultKind.SLOW_LINK)
async def slow_and_lossy_links(run: Run) -> None:
    """A third of the nodes is behind a modem, and everybody's packets get lost; nobody's data does."""
    await run.start()
    async with run.load(puts_every_s=8.0, gets_every_s=3.0):
        run.inject.lossy_links(*run.names(), share=run.rng.uniform(0.02, 0.2))
        run.inject.slow_links(*run.some(run.spare()))
        await run.until_fired(FaultKind.LOSS, FaultKind.SLOW_LINK)
        await run.wait(20.0, 45.0)
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.DUPLICATE, FaultKind.REORDER)
async def gossip_comes_late_and_twice(run: Run) -> None:
    """Gossip arrives again minutes later, and newer gossip passes it; nobody takes the old for news."""
    await run.start()
    run.inject.duplicates(*run.names(), share=0.5)
    run.inject.reorders(*run.names(), share=0.5)
    async with run.load(puts_every_s=60.0, gets_every_s=60.0):
        await run.until_fired(FaultKind.DUPLICATE, FaultKind.REORDER, timeout_s=1_800.0)
        await run.wait(60.0, 180.0)
    await run.heal()
    await run.demand_progress()

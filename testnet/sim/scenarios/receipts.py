"""Receipts that some have not heard of: after a cut, a lost disk block, a night away, all holders know the same."""

from __future__ import annotations

from testnet.sim.faults import FaultKind
from testnet.sim.judges import known_receipts
from testnet.sim.run import HEALTHY, Run
from testnet.sim.scenarios import SITE_NODES, scenario

_ENOUGH = "a quorum of the nodes can talk to each other"


@scenario(FaultKind.CUT, FaultKind.BIT_ROT, nodes=SITE_NODES)
async def cut_into_three_while_most_write(run: Run) -> None:
    """A quorum writes on while two parts are cut off and disks rot there; healed, everybody knows every receipt."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    away = run.some(run.spare())
    majority = run.others(away)
    run.inject.partition(majority, away[:1], away[1:])
    await run.must_put(run.rng.choice(majority), _ENOUGH)
    await run.until_fired(FaultKind.CUT)
    for name in (away[0], run.rng.choice(majority)):
        run.inject.bit_rot(name, under=("pairs/",))
    for stored in list(run.shelf):
        for name in run.names():
            await run.try_get(name, stored)
    await run.wait(60.0, 300.0)
    await run.heal()
    run.count(known_receipts.NAME, await known_receipts.demand_receipts_known(run.world, run.names()))
    await run.demand_progress()


@scenario(FaultKind.KILL)
async def away_while_others_store(run: Run) -> None:
    """Some are gone while the others store and store again; they come back and learn all that they missed."""
    await run.start()
    first = await run.must_put("n1", HEALTHY)
    away = run.some(run.spare())
    for name in away:
        run.inject.kill(name)
    present = run.others(away)
    await run.must_put(run.rng.choice(present), _ENOUGH, data=run.shelf[0].data)
    await run.wait(10.0, 120.0)
    assert run.shelf[-1].id == first.id, "the same bytes have the same name"
    await run.heal()
    run.count(known_receipts.NAME, await known_receipts.demand_receipts_known(run.world, run.names()))
    await run.demand_progress()

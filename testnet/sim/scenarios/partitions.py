"""Networks that fall apart: some nodes cut off, two halves, three parts, and ways that work in one direction only."""

from __future__ import annotations

from testnet.sim.faults import FaultKind
from testnet.sim.run import HEALTHY, Run
from testnet.sim.scenarios import SITE_NODES, scenario

_EVEN = 0.5
_ENOUGH = "a quorum of the nodes can talk to each other"


@scenario(FaultKind.CUT)
async def minority_cut_off(run: Run) -> None:
    """A third is cut off while all put and get; the others go on as if nothing was, and both sides merge."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    minority = run.some(run.spare())
    majority = run.others(minority)
    async with run.load():
        await run.wait(0.0, 10.0)
        run.inject.partition(minority, majority)
        await run.until_fired(FaultKind.CUT)
        await run.wait(5.0, 60.0)
        await run.must_put(run.rng.choice(majority), _ENOUGH)
        for stored in list(run.shelf):
            await run.must_get(run.rng.choice(majority), stored, _ENOUGH)
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.CUT)
async def cut_into_halves(run: Run) -> None:
    """Neither side has a quorum: puts fail, reads go on where enough pairs are, and both sides merge."""
    await run.start()
    first = await run.must_put("n1", HEALTHY)
    halves = run.parts(2)
    async with run.load():
        await run.wait(0.0, 10.0)
        run.inject.partition(*halves)
        await run.until_fired(FaultKind.CUT)
        await run.wait(5.0, 60.0)
        if first.healthy == run.nodes:  # Then each half has more than the P pairs that a read needs.
            for half in halves:
                await run.must_get(run.rng.choice(half), run.shelf[0], "each half holds enough pairs")
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.CUT, FaultKind.LEFT_FOR_EVER, nodes=SITE_NODES)
async def cut_into_three(run: Run) -> None:
    """Three parts, of which none can write; later some nodes of one part never come back."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    async with run.load():
        await run.wait(0.0, 10.0)
        run.inject.partition(*run.parts(3))
        await run.until_fired(FaultKind.CUT)
        await run.wait(5.0, 60.0)
    lost = run.some(run.spare())
    run.inject.lose_for_ever(*lost)
    core = run.others(lost)
    await run.heal(core)
    await run.demand_progress(core)


@scenario(FaultKind.CUT)
async def the_cut_moves(run: Run) -> None:
    """Again and again another third is cut off, each time before the last cut was got over."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    async with run.load():
        for _ in range(3):
            minority = run.some(run.spare())
            run.inject.partition(minority, run.others(minority))
            await run.wait(5.0, 35.0)
            run.mend_wires()
            await run.wait(1.0, 5.0)
        await run.until_fired(FaultKind.CUT)
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.ONE_WAY_CUT)
async def one_way_cut(run: Run) -> None:
    """A third can send and hears nothing, or hears and cannot send; the others go on as if nothing was."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    afflicted = run.some(run.spare())
    rest = run.others(afflicted)
    async with run.load(among=rest) as users:
        await run.wait(0.0, 5.0)
        for name in afflicted:
            is_deaf = run.rng.random() < _EVEN
            for other in rest:
                source, target = (other, name) if is_deaf else (name, other)
                run.inject.cut_one_way(source, target)
        await run.until_fired(FaultKind.ONE_WAY_CUT)
        await run.wait(20.0, 45.0)
    users.demand_all()
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.ONE_WAY_CUT)
async def a_ring_of_one_way_cuts(run: Run) -> None:
    """Each node is not heard by the next one: everybody can still reach all others but two."""
    await run.start()
    ring = run.some(run.nodes)
    async with run.load():
        await run.wait(0.0, 5.0)
        for name, following in zip(ring, [*ring[1:], ring[0]], strict=True):
            run.inject.cut_one_way(name, following)
        await run.until_fired(FaultKind.ONE_WAY_CUT)
        await run.wait(20.0, 45.0)
        await run.must_put(run.rng.choice(ring), "each node reaches a quorum")
    await run.heal()
    await run.demand_progress()

"""Receipts that some have not heard of: after a cut, a lost disk block, a night away, all holders know the same."""

from __future__ import annotations

from testnet.sim.faults import FaultKind
from testnet.sim.habits.foreign_receipts import ForeignReceipts
from testnet.sim.judges import JudgementError, counted, known_receipts
from testnet.sim.judges.pairs import pair_files
from testnet.sim.run import HEALTHY, Run, Stored
from testnet.sim.scenarios import SITE_NODES, scenario
from testnet.sim.scenarios.byzantine import REFUSALS, start_among

_ENOUGH = "a quorum of the nodes can talk to each other"

_ROTS = 40
"""Bits that flip one after the other until a read meets one of them; half of a pair is read by its holder."""


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
    await run.wait(60.0, 180.0)
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


async def _lose_a_pair(run: Run, name: str, stored: Stored) -> bool:
    """Let the pair of a node rot until it takes its receipt back; False when nothing may be injected any more."""
    for _ in range(_ROTS):
        if not run.inject.bit_rot(name, under=("pairs/",)):
            break
        await run.try_get(name, stored)
        await run.wait(6.0, 12.0)  # Losses are looked for every five seconds.
        if known_receipts.own_retractions(run.machine(name)):
            return True
    return False


@scenario(FaultKind.BIT_ROT)
async def a_disk_loses_a_pair(run: Run) -> None:
    """A node retracts what its disk has lost and nobody counts it any more; stored anew, it counts again."""
    await run.start()
    writer = run.rng.choice(run.names())
    result = await run.must_put(writer, HEALTHY)
    stored = run.shelf[-1]
    run.count(counted.NAME, await counted.demand_counted(run.world, run.names(), stored.id, result.n))
    loser = run.rng.choice(run.others([writer]))
    if await _lose_a_pair(run, loser, stored):
        run.count(counted.NAME, await counted.demand_counted(run.world, run.names(), stored.id, result.n - 1))
    await run.must_put(writer, "one pair is lost", data=stored.data)
    run.count(counted.NAME, await counted.demand_counted(run.world, run.names(), stored.id, result.n))
    await run.heal()
    run.count(known_receipts.NAME, await known_receipts.demand_receipts_known(run.world, run.names()))
    await run.demand_progress()


@scenario(FaultKind.BYZANTINE, FaultKind.BIT_ROT)
async def a_clique_that_signs_for_everything(run: Run) -> None:
    """A third brings receipts and retractions of strangers, and in others' names: what counts is what is held."""
    honest = await start_among(run, [ForeignReceipts() for _ in range(run.spare())])
    await run.world.all_meet()  # The clique too: a blob of fewer shards would have some of it for spares.
    result = await run.must_put(run.rng.choice(honest), "all peers keep what they are sent")
    stored = run.shelf[-1]
    await counted.demand_counted(run.world, honest, stored.id, result.n)
    holders = [name for name in honest if any(pair_files(run.machine(name).files))]  # One may have two, another none.
    healthy = result.n - await _lose_a_pair(run, run.rng.choice(holders), stored)
    await counted.demand_counted(run.world, honest, stored.id, healthy)
    files = {name: {file for file, _ in pair_files(run.machine(name).files)} for name in honest}
    async with run.load(puts_every_s=20.0, gets_every_s=10.0, among=honest) as load:
        for _ in range(3):
            await run.wait(4.0, 8.0)
            await counted.demand_counted_now(run.world, run.rng.choice(honest), stored.id, healthy)
    load.demand_all()
    for name in honest:
        await counted.demand_counted_now(run.world, name, stored.id, healthy)
        released = files[name] - {file for file, _ in pair_files(run.machine(name).files)}
        if released:
            raise JudgementError(counted.NAME, f"it released {min(released)}", node=name, subject=stored.id)
    _demand_that_it_was_seen(run, honest)
    await run.heal(honest)
    await run.demand_progress(honest)


def _demand_that_it_was_seen(run: Run, honest: list[str]) -> None:
    """What the clique brought was refused, counted, and is shown to whoever asks a node that it came to."""
    counts = [run.machine(name).node.refused() for name in honest]
    run.count(REFUSALS, sum(sum(each.values()) for each in counts))
    if run.has_fired(FaultKind.BYZANTINE) and not any("receipt" in why for each in counts for why in each):
        raise JudgementError(REFUSALS, "no node shows that it refused receipts of a clique")

"""Bad disks: slow, full, failing, rotting, and power that goes in the middle of a write."""

from __future__ import annotations

from testnet.sim.faults import FaultKind
from testnet.sim.run import HEALTHY, ONE_SEGMENT_BYTES, Run
from testnet.sim.scenarios import scenario

_TRIES_MAX = 20
"""How often a fault is tried again that chance may have spared the node from."""

_FEW = "no more than f disks are bad"


@scenario(FaultKind.STALL)
async def slow_disks(run: Run) -> None:
    """Every disk call of a third takes seconds; who uses the others hardly notices."""
    await run.start()
    slow = run.some(run.spare())
    async with run.load(among=run.others(slow)) as users:
        await run.wait(0.0, 5.0)
        run.inject.stall(*slow)
        await run.until_fired(FaultKind.STALL)
        await run.wait(20.0, 40.0)
    users.demand_all()
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.STALL, FaultKind.POWER_LOSS)
async def slow_disks_lose_power(run: Run) -> None:
    """All disks are slow, so that much is promised and little is durable, when all power goes."""
    await run.start()
    run.inject.stall(*run.names(), low_s=0.2, high_s=2.0)
    async with run.load(puts_every_s=1.0, gets_every_s=2.0):
        await run.until_fired(FaultKind.STALL)
        await run.wait(2.0, 10.0)
        run.inject.power_loss(*run.names())
        await run.wait(1.0, 10.0)
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.DISK_FULL)
async def full_disks(run: Run) -> None:
    """A third of the disks is full: those nodes refuse, keep what they have, and serve it."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    full = run.some(run.spare())
    async with run.load(among=run.others(full)) as users:
        run.inject.disk_full(*full)
        await run.until_fired(FaultKind.DISK_FULL)
        await run.try_put(run.rng.choice(full))
        await run.wait(10.0, 40.0)
        for stored in list(run.shelf):
            await run.must_get(run.rng.choice(full), stored, "a full disk can be read")
    users.demand_all()
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.READ_ERROR, FaultKind.WRITE_ERROR)
async def failing_disks(run: Run) -> None:
    """A third of the disks fails reads, writes or commits now and then; nothing that was promised is gone."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    bad = run.some(run.spare())
    good = run.others(bad)
    async with run.load(among=good) as users:
        for name in bad:
            run.inject.read_errors(name, probability=0.5)
            fail_writes = run.rng.choice([run.inject.write_errors, run.inject.commit_errors])
            fail_writes(name, probability=0.5)
        for _ in range(_TRIES_MAX):
            for name in bad:
                await run.try_get(name, run.rng.choice(run.shelf))
            await run.try_put(run.rng.choice(good))
            if run.has_fired(FaultKind.READ_ERROR, FaultKind.WRITE_ERROR):
                break
    users.demand_all()
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.BIT_ROT)
async def bits_rot(run: Run) -> None:
    """Bits flip on a third of the disks; no damaged byte is ever given out, and everything is still read."""
    await run.start()
    for _ in range(3):
        await run.must_put(run.rng.choice(run.names()), HEALTHY, ONE_SEGMENT_BYTES)
    bad = run.some(run.spare())
    for _ in range(_TRIES_MAX):
        for name in bad:
            run.inject.bit_rot(name)
        for stored in run.shelf:
            for name in (*bad, run.rng.choice(run.names())):
                await run.must_get(name, stored, _FEW)
        if run.has_fired(FaultKind.BIT_ROT):
            break
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.BIT_ROT, FaultKind.KILL)
async def an_index_rots(run: Run) -> None:
    """The index of one node is damaged while it is down; it starts all the same and promises nothing that it lost."""
    await run.start()
    await run.must_put("n1", HEALTHY, ONE_SEGMENT_BYTES)
    (bad,) = run.some(1)
    for _ in range(_TRIES_MAX):
        run.inject.kill(bad)
        run.inject.bit_rot(bad, under=["index.db"])
        await run.restart(bad)
        await run.world.all_meet()
        await run.must_get(bad, run.rng.choice(run.shelf), _FEW)
        if run.has_fired(FaultKind.BIT_ROT):
            break
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.POWER_LOSS, FaultKind.LOST_WRITE)
async def power_goes_in_the_middle_of_a_write(run: Run) -> None:
    """One disk after the other loses power between two of its operations, so that writes are lost or torn."""
    await run.start()
    for _ in range(_TRIES_MAX):
        (name,) = run.some(1)
        run.inject.power_loss_within(name, moments=run.rng.randint(1, 30))
        await run.try_put(run.rng.choice(run.others([name])))
        await run.try_put(run.rng.choice(run.others([name])))
        await run.restart(name)
        await run.world.all_meet()
        if run.has_fired(FaultKind.POWER_LOSS, FaultKind.LOST_WRITE):
            break
    await run.heal()
    await run.demand_progress()

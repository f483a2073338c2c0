"""Wrong wall clocks: within what is tolerated, far off, and suddenly others."""

from __future__ import annotations

from p2pnode.config import DAY_S, HOUR_S
from testnet.sim.faults import FaultKind
from testnet.sim.run import Run
from testnet.sim.scenarios import scenario

_TOLERATED_S = 1_800.0
"""The skew between two nodes that every profile tolerates."""

_EVEN = 0.5


@scenario(FaultKind.CLOCK_SKEW)
async def clocks_differ_within_bounds(run: Run) -> None:
    """No two clocks are more than half an hour apart; nobody notices."""
    await run.start()
    for name in run.names():
        run.inject.skew(name, run.rng.uniform(-_TOLERATED_S / 2, _TOLERATED_S / 2))
    async with run.load() as users:
        await run.until_fired(FaultKind.CLOCK_SKEW)
        await run.wait(20.0, 60.0)
    users.demand_all()
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.CLOCK_SKEW)
async def clocks_far_off(run: Run) -> None:
    """A third has a clock that is hours or weeks off; it may be refused, but the others go on and nothing is lost."""
    await run.start()
    wrong = run.some(run.spare())
    await run.put(wrong[0])
    for name in wrong:
        seconds = run.rng.uniform(HOUR_S, 60 * DAY_S)
        run.inject.skew(name, seconds if run.rng.random() < _EVEN else -seconds)
    async with run.load(among=run.others(wrong)) as users:
        await run.until_fired(FaultKind.CLOCK_SKEW)
        await run.wait(5.0, 30.0)
        await run.try_put(run.rng.choice(wrong))
        await run.wait(5.0, 30.0)
    users.demand_all()
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.CLOCK_JUMP)
async def clocks_jump(run: Run) -> None:
    """Clocks of a third jump a week ahead and days back, again and again; what was stored is still there."""
    await run.start()
    jumpers = run.some(run.spare())
    async with run.load(puts_every_s=8.0, gets_every_s=4.0):
        for _ in range(3):
            for name in jumpers:
                run.inject.jump(name, run.rng.choice([7 * DAY_S, HOUR_S, -HOUR_S, -DAY_S]))
            await run.wait(5.0, 30.0)
        await run.until_fired(FaultKind.CLOCK_JUMP)
    await run.heal()
    await run.demand_progress()

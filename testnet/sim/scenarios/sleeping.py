"""A laptop that sleeps and wakes: nobody has died meanwhile, neither as it sees it nor as the others do."""

from __future__ import annotations

import trio

from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.judges.repairs import NAME, RepairJudge
from testnet.sim.run import HEALTHY, ONE_SEGMENT_BYTES, Run
from testnet.sim.scenarios import scenario
from testnet.sim.scenarios.repair import QUICK, reports

NAPS = 3

_AWAKE_S = 20.0
"""Between two naps, and looked at all the while."""

_LOOK_S = 0.05


@scenario(FaultKind.PAUSE, profile=QUICK, repairs=True)
async def a_laptop_sleeps_and_wakes(run: Run) -> None:
    """A node sleeps again and again for nearly the long grace: it misses nobody, and nobody rebuilds anything."""
    await run.start()
    result = await run.must_put(run.rng.choice(run.names()), HEALTHY, ONE_SEGMENT_BYTES)
    judge = RepairJudge(run.world, run.bench.wiretap, n=result.n)
    await run.wait(1.0, 10.0)
    (sleeper,) = run.some(1)
    for _ in range(NAPS):
        run.inject.pause(sleeper)
        await run.wait(0.5 * QUICK.long_grace_s, 0.9 * QUICK.long_grace_s)
        run.inject.resume(sleeper)
        await _demand_calm(run, sleeper)
    run.count(NAME, judge.check())
    await run.heal()
    await run.demand_progress()
    if sum(each.pairs_rebuilt for each in reports(run, run.names())):
        raise JudgementError(NAME, "a pair was rebuilt though nobody was away for long")


async def _demand_calm(run: Run, sleeper: str) -> None:
    """Demand that the sleeper misses nothing from the first moment on, and soon is one of them as before."""
    until = trio.current_time() + _AWAKE_S
    while trio.current_time() < until:
        (found,) = reports(run, [sleeper])
        if found.pairs_missing or found.bytes_moved:
            what = f"awake again, it sees {found.pairs_missing} pairs missing, and has moved {found.bytes_moved} bytes"
            raise JudgementError(NAME, what, node=sleeper)
        await trio.sleep(_LOOK_S)
    if any(each.pairs_missing for each in reports(run, run.names())):
        raise JudgementError(NAME, "somebody sees pairs missing after a nap that was shorter than the grace")

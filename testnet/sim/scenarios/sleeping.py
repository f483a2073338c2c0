"""A laptop that sleeps and wakes: nobody has died meanwhile, neither as it sees it nor as the others do."""

from __future__ import annotations

from collections.abc import Callable

import trio

from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.judges.repairs import NAME, RepairJudge
from testnet.sim.run import HEALTHY, ONE_SEGMENT_BYTES, Run
from testnet.sim.scenarios import scenario
from testnet.sim.scenarios.repair import QUICK, reports
from wire import limits

NAPS = 2
"""Of each of two kinds: with a monotonic clock that goes on, and with one that stands still."""

_AWAKE_S = 20.0
"""Between two naps, and looked at all the while."""

_LOOK_S = 0.1

_LONG_S = 1.1 * limits.CLOCK_SKEW_SECONDS

_AWAKE = "awake-again"

_KNOWN_AGAIN_S = 30.0
"""So soon after it woke all others have a new record of it, and it theirs: much sooner than records are renewed."""


@scenario(FaultKind.PAUSE, FaultKind.SLEEP, profile=QUICK, repairs=True)
async def a_laptop_sleeps_and_wakes(run: Run) -> None:
    """A node sleeps again and again for nearly the long grace: it misses nobody, and nobody rebuilds anything."""
    await run.start()
    result = await run.must_put(run.rng.choice(run.names()), HEALTHY, ONE_SEGMENT_BYTES)
    judge = RepairJudge(run.world, run.bench.wiretap, n=result.n)
    await run.wait(1.0, 10.0)
    (sleeper,) = run.some(1)
    naps: list[Callable[[str], None]] = [run.inject.pause, run.inject.put_to_sleep] * NAPS
    run.rng.shuffle(naps)
    for fall_asleep in naps:
        fall_asleep(sleeper)
        await run.wait(0.5 * QUICK.long_grace_s, 0.9 * QUICK.long_grace_s)
        run.inject.resume(sleeper)
        await _demand_calm(run, sleeper)
    run.count(NAME, judge.check())
    await run.heal()
    await run.demand_progress()
    if sum(each.pairs_rebuilt for each in reports(run, run.names())):
        raise JudgementError(NAME, "a pair was rebuilt though nobody was away for long")


@scenario(FaultKind.SLEEP, nodes=4)
async def a_laptop_sleeps_for_hours(run: Run) -> None:
    """A node sleeps for longer than clocks may differ: it doubts no clock when it wakes, and is one of them at once."""
    await run.start()
    await run.put(run.rng.choice(run.names()))
    (sleeper,) = run.some(1)
    run.inject.put_to_sleep(sleeper)
    await run.wait(_LONG_S, 1.1 * _LONG_S)
    run.inject.resume(sleeper)
    with trio.move_on_after(_KNOWN_AGAIN_S):
        while not _all_are_fresh(run):  # noqa: ASYNC110 - it has no event
            await trio.sleep(_LOOK_S)
    if not _all_are_fresh(run):
        raise JudgementError(_AWAKE, "awake again, it is stale to others, or they to it", node=sleeper)
    await run.heal()
    await run.demand_progress()


def _all_are_fresh(run: Run) -> bool:
    """Tell whether everybody has a fresh record of everybody."""
    everybody = len(run.names()) - 1
    return all(run.machine(name).node.info().members == everybody for name in run.names())


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

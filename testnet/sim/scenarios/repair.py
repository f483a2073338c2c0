"""What is lost is rebuilt from its neighbours, with nobody in charge and about as many bytes as were lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import trio

from p2pnode.config import TESTNET
from p2pnode.node import Node
from p2pnode.services.results import RepairReport
from testnet.sim.faults import FaultKind
from testnet.sim.habits.wrong_symbols import WrongSymbols
from testnet.sim.judges import JudgementError
from testnet.sim.judges.pairs import pair_files
from testnet.sim.judges.repairs import NAME, RepairJudge
from testnet.sim.run import HEALTHY, ONE_SEGMENT_BYTES, Run
from testnet.sim.scenarios import scenario
from testnet.sim.scenarios.byzantine import start_among
from wire.repair import TellLoss

QUICK = replace(
    TESTNET,
    name="repaired-quickly",
    member_record_every_s=15,
    member_stale_after_s=45,
    audit_every_s=0,
    repair_rank_step_s=10,
    sync_every_s=60,
    reconnect_every_s=3,
)
"""Minutes instead of days; each candidate has time for its turn."""

WITHIN_S = 2 * QUICK.long_grace_s
"""Of virtual time: so soon all that was lost is rebuilt."""

CALM_S = 60.0
"""So long nothing more may be rebuilt once all is whole."""

POLL_S = 2.0

_PUTS = 3

_MOVED_MAX = 1.6
"""Bytes moved for each byte of a pair, at most: a few holders may have been asked in vain."""


def _node(run: Run, name: str) -> Node:
    node = run.machine(name).node
    assert isinstance(node, Node)
    return node


def _report(run: Run, name: str) -> RepairReport:
    return _node(run, name).repairs()


def reports(run: Run, names: Sequence[str]) -> list[RepairReport]:
    """Return what those of these nodes that run tell of their repairs."""
    return [_report(run, name) for name in names if run.machine(name).is_ready]


async def _until_rebuilt(run: Run, names: Sequence[str], pairs: int) -> None:
    """Wait until so many pairs are rebuilt, no more than that, with about as many bytes as they have."""
    with trio.move_on_after(WITHIN_S):
        while sum(each.pairs_rebuilt for each in reports(run, names)) < pairs:  # noqa: ASYNC110 - it has no event
            await trio.sleep(POLL_S)
    await trio.sleep(CALM_S)
    with trio.move_on_after(2 * QUICK.sync_every_s):  # Some hear of it with a comparison of receipts only.
        while any(each.pairs_missing for each in reports(run, names)):  # noqa: ASYNC110 - it has no event
            await trio.sleep(POLL_S)
    found = reports(run, names)
    done = sum(each.pairs_rebuilt for each in found)
    if done != pairs:
        raise JudgementError(NAME, f"{done} pairs were rebuilt where {pairs} were lost")
    missing = max(each.pairs_missing for each in found)
    if missing:
        raise JudgementError(NAME, f"a node still sees {missing} pairs missing")
    moved, rebuilt = sum(each.bytes_moved for each in found), sum(each.bytes_rebuilt for each in found)
    if moved > _MOVED_MAX * rebuilt:
        raise JudgementError(NAME, f"{moved} bytes were moved for {rebuilt}")


async def _stored(run: Run) -> RepairJudge:
    """Store something that everybody holds a pair of, and begin to judge."""
    result = await run.must_put(run.rng.choice(run.names()), HEALTHY, ONE_SEGMENT_BYTES)
    await run.wait(1.0, 10.0)
    return RepairJudge(run.world, run.bench.wiretap, n=result.n)


async def _finish(run: Run, judge: RepairJudge, core: Sequence[str]) -> None:
    run.count(NAME, judge.check())
    await run.heal(core)
    await run.demand_progress(core)


@scenario(FaultKind.LEFT_FOR_EVER, profile=QUICK, repairs=True)
async def a_node_is_lost_for_ever(run: Run) -> None:
    """One node never comes back: its pair is rebuilt once, by one of the others."""
    await run.start()
    judge = await _stored(run)
    lost = run.some(1)
    run.inject.lose_for_ever(*lost)
    core = run.others(lost)
    await _until_rebuilt(run, core, 1)
    await _finish(run, judge, core)


@scenario(FaultKind.LEFT_FOR_EVER, profile=QUICK, repairs=True)
async def as_many_as_may_are_lost_at_once(run: Run) -> None:
    """As many nodes as may be missing never come back: their pairs are rebuilt, each once."""
    await run.start()
    judge = await _stored(run)
    lost = run.some(run.spare())
    run.inject.lose_for_ever(*lost)
    core = run.others(lost)
    await _until_rebuilt(run, core, len(lost))
    await _finish(run, judge, core)


@scenario(FaultKind.LEFT_FOR_EVER, profile=QUICK, repairs=True)
async def more_than_may_are_lost_at_once(run: Run) -> None:
    """One node more than may be missing never comes back: a blob is read whole once, and made whole again."""
    await run.start()
    result = await run.must_put(run.rng.choice(run.names()), HEALTHY, ONE_SEGMENT_BYTES)
    await run.wait(1.0, 10.0)
    lost = run.some(run.spare() + 1)
    run.inject.lose_for_ever(*lost)
    core = run.others(lost)
    with trio.move_on_after(WITHIN_S):
        while sum(each.pairs_rebuilt for each in reports(run, core)) < len(lost):  # noqa: ASYNC110 - it has no event
            await trio.sleep(POLL_S)
    found = reports(run, core)
    if (done := sum(each.pairs_rebuilt for each in found)) != len(lost):
        raise JudgementError(NAME, f"{done} pairs were made where {len(lost)} were lost")
    moved, rebuilt = sum(each.bytes_moved for each in found), sum(each.bytes_rebuilt for each in found)
    if moved > _MOVED_MAX * (rebuilt + result.size):
        raise JudgementError(NAME, f"{moved} bytes were moved for {rebuilt} of a blob of {result.size}")
    await run.heal(core)
    await run.demand_progress(core)


@scenario(FaultKind.KILL, profile=QUICK, repairs=True)
async def a_return_within_the_grace(run: Run) -> None:
    """A node is away for less than the long grace: nothing is rebuilt for it."""
    await run.start()
    judge = await _stored(run)
    (away,) = run.some(1)
    run.inject.kill(away)
    await run.wait(0.6 * QUICK.long_grace_s, 0.9 * QUICK.long_grace_s)
    await run.restart(away)
    await run.world.all_meet()
    await _until_rebuilt(run, run.names(), 0)
    await _finish(run, judge, run.names())


@scenario(FaultKind.KILL, profile=QUICK, repairs=True)
async def an_announced_absence(run: Run) -> None:
    """A node announces that it will be away, and is so for longer than the long grace: nothing is rebuilt for it."""
    await run.start()
    judge = await _stored(run)
    (away,) = run.some(1)
    await _node(run, away).absence.announce(int(2 * QUICK.long_grace_s))
    await run.wait(0.0, QUICK.short_grace_s)
    run.inject.kill(away)
    await run.wait(1.5 * QUICK.long_grace_s, 1.9 * QUICK.long_grace_s)
    await run.restart(away)
    await run.world.all_meet()
    await _until_rebuilt(run, run.names(), 0)
    await _finish(run, judge, run.names())


@scenario(FaultKind.KILL, FaultKind.LEFT_FOR_EVER, profile=QUICK, repairs=True)
async def a_node_leaves_for_good(run: Run) -> None:
    """A node drains, is killed in the middle and goes on; once it is gone nothing is left to rebuild."""
    await run.start()
    judge = await _stored(run)
    (leaving,) = run.some(1)
    run.bench.promises.leaving.add(leaving)
    await _node(run, leaving).drain.begin()
    await run.wait(0.0, 3.0)
    run.inject.kill(leaving)
    await run.wait(0.0, QUICK.suspect_after_s)
    await run.restart(leaving)
    with trio.move_on_after(WITHIN_S):
        while _node(run, leaving).drain.state().state != "drained":  # noqa: ASYNC110 - it has no event
            await trio.sleep(POLL_S)
    state = _node(run, leaving).drain.state()
    if state.state != "drained":
        raise JudgementError(NAME, f"it is {state.state}, {state.pairs_left} pairs are left: {state.waits_for}")
    await trio.sleep(5 * QUICK.sync_soon_s)  # By then all know what it has retracted.
    run.inject.lose_for_ever(leaving)
    core = run.others([leaving])
    await run.wait(1.2 * QUICK.long_grace_s, 1.4 * QUICK.long_grace_s)
    found = reports(run, core)
    if any(each.pairs_rebuilt or each.pairs_missing for each in found):
        raise JudgementError(NAME, "there was something to rebuild after a node that had handed all of it over")
    await _finish(run, judge, core)


@scenario(FaultKind.BIT_ROT, profile=replace(QUICK, scrub_every_s=90), repairs=True)
async def what_nobody_asks_for_rots(run: Run) -> None:
    """A pair rots that nobody reads or asks for: its holder finds it by itself, and rebuilds it."""
    await run.start()
    judge = await _stored(run)
    (bad,) = run.some(1)
    ((before, _),) = pair_files(run.machine(bad).files)
    run.inject.bit_rot(bad, under=["pairs/"])
    await _until_rebuilt(run, run.names(), 1)
    if run.machine(bad).files.is_injured(before):
        raise JudgementError(NAME, "what has rotted is still there", node=bad)
    await _finish(run, judge, run.names())


@scenario(FaultKind.OLD_DISK, profile=QUICK, repairs=True)
async def a_disk_is_lost_and_made_whole(run: Run) -> None:
    """A node comes back with a disk from before: it is told, and its pair is made again without a command.

    Mostly by itself, as its turn comes first; by another when that had begun before.
    """
    told: set[str] = set()
    run.bench.wiretap.listeners.append(
        lambda each: told.add(each.node) if isinstance(each.question, TellLoss) else None
    )
    await run.start()
    (bad,) = run.some(1)
    every_s = QUICK.member_record_every_s
    await run.wait(every_s + 1.0, 2 * every_s)  # Then it has written down whom to ask.
    image = run.inject.image(bad)
    judge = await _stored(run)
    await run.wait(every_s + 1.0, 2 * every_s)  # A disk without the last record is known as old.
    run.inject.old_disk(bad, image)
    await run.restart(bad)
    await run.world.all_meet()
    await _until_rebuilt(run, run.names(), 1)
    shards = {key.shard for name in run.names() for _, key in pair_files(run.machine(name).files)}
    if len(shards) != run.shelf[0].n:
        raise JudgementError(NAME, f"{len(shards)} of {run.shelf[0].n} shards are on some disk", node=bad)
    if run.has_fired(FaultKind.OLD_DISK) and bad not in told:
        raise JudgementError(NAME, "nobody has told it what it has lost", node=bad)
    await _finish(run, judge, run.names())


@scenario(FaultKind.LEFT_FOR_EVER, FaultKind.BYZANTINE, profile=QUICK, repairs=True)
async def sources_that_give_wrong_symbols(run: Run) -> None:
    """One of the holders spoils the symbols that it gives: others take its place, and the pair is right."""
    honest = await start_among(run, [WrongSymbols()])
    for _ in range(_PUTS):  # Of one of them it could be the one that repairs it.
        await run.must_put(run.rng.choice(honest), HEALTHY)
    judge = await _stored(run)
    lost = run.rng.sample(honest, 1)
    run.inject.lose_for_ever(*lost)
    core = [name for name in honest if name not in lost]
    await _until_rebuilt_among(run, core)
    await _finish(run, judge, core)


async def _until_rebuilt_among(run: Run, core: Sequence[str]) -> None:
    """Wait until no honest node sees anything missing any more; who is dishonest may have rebuilt it too."""
    with trio.move_on_after(WITHIN_S + CALM_S):
        await trio.sleep(QUICK.long_grace_s + CALM_S)
        while any(each.pairs_missing for each in reports(run, core)):  # noqa: ASYNC110 - it has no event
            await trio.sleep(POLL_S)
    missing = max(each.pairs_missing for each in reports(run, core))
    if missing:
        raise JudgementError(NAME, f"a node still sees {missing} pairs missing")

"""Repairers that are killed in the middle of their work, again and again: what they had done is not done twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import trio

from p2pnode.protocols.repair.exchange import symbols_of_pair
from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.judges.pairs import pair_files
from testnet.sim.judges.repairs import NAME
from testnet.sim.judges.wiretap import Told
from testnet.sim.run import HEALTHY, ONE_SEGMENT_BYTES, Run
from testnet.sim.scenarios import scenario
from testnet.sim.scenarios.repair import POLL_S, QUICK
from wire.ids import BlobId, ShardIndex
from wire.repair import RecoveredSymbols

ROUNDS = 10
"""So often a repairer is killed."""

PUTS = 11
"""Pairs that are lost with one node: enough that some are missing still when the last repairer is killed."""

TWICE_SHARE_MAX = 0.1
"""The share of the pairs that were lost of which there may be a second copy."""

_SLOW = replace(QUICK, repair_bytes_per_s=60, repair_credit_s=1)
"""A pair of these small blobs costs some 3 KB: the rate makes a repair of minutes of it, as of large ones."""

_WITHIN_S = 3_600.0

_NIGHTS = 2

_DAY_S = 0.9 * QUICK.long_grace_s
"""Too short for anybody to be missed in one day."""

_CALM_S = 4 * QUICK.repair_rank_step_s

_NEXT_WITHIN_S = 200.0
"""Of virtual time: so soon a repair goes on, one killed repairer or not."""


class _Symbols:
    """Hears of symbols that are given, and counts them."""

    def __init__(self, run: Run) -> None:
        self._heard = trio.Event()
        self.given = 0
        self.asker = ""
        run.bench.wiretap.listeners.append(self._hear)

    def _hear(self, told: Told) -> None:
        if isinstance(told.answer, RecoveredSymbols):
            self.given += len(told.answer.symbols)
            self.asker = told.asker
            self._heard.set()

    async def next_asker(self) -> str:
        """Wait until somebody is given symbols; "" when nobody is for long."""
        self._heard = trio.Event()
        with trio.move_on_after(_NEXT_WITHIN_S):
            await self._heard.wait()
            return self.asker
        return ""


@scenario(FaultKind.LEFT_FOR_EVER, FaultKind.KILL, profile=_SLOW, repairs=True)
async def ten_killed_repairers(run: Run) -> None:
    """One node is lost, and ten times one that rebuilds its pairs is killed: all is whole, hardly any pair twice."""
    await run.start()
    for _ in range(PUTS):
        await run.must_put(run.rng.choice(run.names()), HEALTHY)
    n = run.shelf[0].n
    await run.wait(1.0, 10.0)
    symbols = _Symbols(run)
    lost = run.some(1)
    run.inject.lose_for_ever(*lost)
    core = run.others(lost)
    for number in range(ROUNDS):
        asker = await symbols.next_asker()
        if not asker:
            raise JudgementError(NAME, f"nobody rebuilds anything any more after {number} were killed")
        await run.wait(0.0, 0.1)  # In the middle of asking, of storing, or of telling others.
        run.inject.kill(asker)
        await run.wait(0.5, 3.0)
        await run.restart(asker)
    await _until_whole(run, core, n * PUTS)
    _judge(run, core, symbols, n=n)
    await run.heal(core)
    await run.demand_progress(core)


def _copies(run: Run, core: list[str]) -> Counter[tuple[BlobId, ShardIndex]]:
    """Count the copies of each pair, as they lie on the disks of those who are left."""
    return Counter((key.blob_id, key.shard) for name in core for _, key in pair_files(run.machine(name).files))


async def _until_whole(run: Run, core: list[str], pairs: int) -> None:
    """Wait until all pairs are on some disk, and for as long again as somebody who has not heard of it may wait."""
    with trio.move_on_after(_WITHIN_S):
        while len(_copies(run, core)) < pairs:  # noqa: ASYNC110 - it has no event
            await trio.sleep(POLL_S)
    await trio.sleep(_CALM_S)


def _judge(run: Run, core: list[str], symbols: _Symbols, *, n: int) -> None:
    """Demand all pairs, hardly any of them twice, and of symbols at most what each kill has interrupted beside."""
    copies = _copies(run, core)
    if len(copies) != n * len(run.shelf):
        raise JudgementError(NAME, f"{len(copies)} pairs are on some disk, of {n * len(run.shelf)}")
    twice = sum(copies.values()) - len(copies)
    if twice > TWICE_SHARE_MAX * len(run.shelf):
        raise JudgementError(NAME, f"{twice} of {len(run.shelf)} pairs that were lost were rebuilt twice")
    most = symbols_of_pair(n) * (len(run.shelf) + ROUNDS)
    if symbols.given > most:
        raise JudgementError(NAME, f"{symbols.given} symbols were given where {most} had to be")
    run.count(NAME, len(copies))


@scenario(FaultKind.LEFT_FOR_EVER, FaultKind.KILL, profile=QUICK, repairs=True)
async def nobody_is_up_for_as_long_as_the_grace(run: Run) -> None:
    """All that are left are switched off again and again: what one life has not heard, the next one goes on to miss."""
    await run.start()
    result = await run.must_put(run.rng.choice(run.names()), HEALTHY, ONE_SEGMENT_BYTES)
    await run.wait(QUICK.member_record_every_s, 2 * QUICK.member_record_every_s)  # Then it is known who is there.
    lost = run.some(1)
    run.inject.lose_for_ever(*lost)
    core = run.others(lost)
    for _ in range(_NIGHTS):
        await trio.sleep(_DAY_S)
        for name in core:
            run.inject.kill(name)
        await run.wait(1.0, 5.0)
        for name in core:
            await run.restart(name)
    with trio.move_on_after(_DAY_S):
        while len(_copies(run, core)) < result.n:  # noqa: ASYNC110 - it has no event
            await trio.sleep(POLL_S)
    if len(_copies(run, core)) < result.n:
        raise JudgementError(NAME, f"{lost[0]} has been away for {_NIGHTS + 1} days, and its pair is not rebuilt")
    await run.heal(core)
    await run.demand_progress(core)

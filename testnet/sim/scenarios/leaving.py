"""Nodes that leave for ever one after the other, while others read: all is rebuilt behind them, and reads go on."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from p2pnode.coding import symbol_bytes
from p2pnode.config import MINUTE_S
from testnet.sim.admission import SIMULATED
from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.judges.pairs import pair_files
from testnet.sim.judges.repairs import NAME
from testnet.sim.run import HEALTHY, ONE_SEGMENT_BYTES, Run
from testnet.sim.scenarios import SITE_NODES, scenario
from testnet.sim.scenarios.repair import POLL_S, QUICK, reports

LATENCY = "reads-stay-quick"

LATENCY_TIMES_MAX = 3.0
"""How many times as long as before the slowest hundredth of the reads may take."""

_UNLUCKY_S = 0.3
"""What a read takes of which one packet is lost: among few reads there may be none before, and some later."""

MOVED_MAX = 1.6
"""Bytes moved for each byte that was rebuilt, at most: several pairs of a blob are lost at once."""

_PROOF_BYTES = 48
"""Of a symbol's proof, for each level of the tree over a sliver's symbols: a hash, and its share of names and tags."""

_HURRIED = replace(
    SIMULATED,
    name="hurried",
    offline_after_s=20 * MINUTE_S,
    short_grace_s=20 * MINUTE_S,
    long_grace_s=30 * MINUTE_S,
)
"""Public, but nobody is waited for over night: so the first are made good while the last still leave."""

_BLOBS_BYTES = (*[400_000] * 4, 1_500_000)
"""Of 52 and 79 shards: of ten shards more than six leave in an hour for one small blob in some hundred."""

_TEN_BYTES = (ONE_SEGMENT_BYTES,)
"""Of ten shards, of which three may go."""


class _Reads:
    """Reads through nodes that stay, and how long each took, in virtual seconds."""

    def __init__(self, run: Run, among: Sequence[str]) -> None:
        self._run = run
        self._among = among
        self.seconds: list[float] = []

    async def one(self) -> None:
        """Read something through somebody; it must not fail."""
        run = self._run
        started = trio.current_time()
        await run.must_get(
            run.rng.choice(self._among), run.rng.choice(run.shelf), "others are there for those who left"
        )
        self.seconds.append(trio.current_time() - started)

    @asynccontextmanager
    async def going_on(self, every_s: float) -> AsyncIterator[None]:
        """Read again and again while the context lasts."""

        async def repeat(nursery: trio.Nursery) -> None:
            while True:
                nursery.start_soon(self.one)
                await trio.sleep(every_s)

        async with trio.open_nursery() as under_way, trio.open_nursery() as users:
            users.start_soon(repeat, under_way)
            yield
            users.cancel_scope.cancel()

    def p99(self) -> float:
        """Return what all but a hundredth of the reads took at most."""
        return sorted(self.seconds)[-1 - len(self.seconds) // 100]


async def _leave_while_others_read(
    run: Run,
    leavers: Sequence[str],
    *,
    within_s: float,
    reads_each: int,
    whole_within_s: float,
    moved_max: float = MOVED_MAX,
) -> None:
    """Let some leave, evenly in this time; judge what is left, what it cost, and what readers noticed."""
    stay = run.others(leavers)
    calm, disturbed = _Reads(run, stay), _Reads(run, stay)
    for _ in range(reads_each):
        await calm.one()
    async with disturbed.going_on(within_s / reads_each):
        for name in leavers:
            await run.wait(0.5 * within_s / len(leavers), 1.5 * within_s / len(leavers))
            run.inject.lose_for_ever(name)
        with trio.move_on_after(whole_within_s):
            while not _is_whole(run, stay):  # noqa: ASYNC110 - it has no event
                await trio.sleep(POLL_S)
    if not _is_whole(run, stay):
        missing = sum(each.pairs_missing for each in reports(run, stay))
        raise JudgementError(NAME, f"{missing} pairs are missing as somebody sees it, long after all have left")
    found = reports(run, stay)
    moved, rebuilt = sum(each.bytes_moved for each in found), sum(each.bytes_rebuilt for each in found)
    run.world.trace.record("left", len(leavers), moved, rebuilt, repr(calm.p99()), repr(disturbed.p99()))
    run.figures |= {
        "bytes moved for each byte rebuilt": moved / max(1, rebuilt),
        "pairs rebuilt": sum(each.pairs_rebuilt for each in found),
        "p99 of reads before, s": calm.p99(),
        "p99 of reads since the first has left, s": disturbed.p99(),
    }
    if moved > moved_max * rebuilt:
        raise JudgementError(NAME, f"{moved} bytes were moved for {rebuilt}, {moved_max:.2f} for one are allowed")
    if disturbed.p99() > LATENCY_TIMES_MAX * max(_UNLUCKY_S, calm.p99()):
        raise JudgementError(LATENCY, f"reads took up to {disturbed.p99():.2f} s, and {calm.p99():.2f} s before")
    run.count(LATENCY, len(disturbed.seconds))


def _with_proof(length: int, n: int) -> float:
    """Return how many bytes a symbol of a blob and its proof have, for each byte of the symbol."""
    return 1 + _PROOF_BYTES * math.ceil(math.log2(n)) / symbol_bytes(length, n=n)


def _is_whole(run: Run, names: Collection[str]) -> bool:
    """Tell whether nobody sees anything missing, and every pair is on some disk that is left."""
    if any(each.pairs_missing for each in reports(run, list(names))):
        return False
    held = {(key.blob_id, key.shard) for name in names for _, key in pair_files(run.machine(name).files)}
    return len(held) >= sum(each.n for each in run.shelf)


async def _store(run: Run, sizes: Sequence[int]) -> None:
    for size in sizes:
        await run.must_put(run.rng.choice(run.names()), HEALTHY, size)


async def _finish(run: Run, leavers: Sequence[str]) -> None:
    stay = run.others(leavers)
    await run.heal(stay)
    await run.demand_progress(stay)


@scenario(FaultKind.LEFT_FOR_EVER, profile=_HURRIED, nodes=100, is_large=True, repairs=True)
async def a_third_of_a_hundred_leaves_in_an_hour(run: Run) -> None:
    """Three of ten nodes leave for ever within an hour: nothing is lost, all is rebuilt, and reads stay quick."""
    await run.start()
    await _store(run, _BLOBS_BYTES)
    await run.wait(60.0, 120.0)
    leavers = run.some(3 * run.nodes // 10)
    await _leave_while_others_read(
        run,
        leavers,
        within_s=60 * MINUTE_S,
        reads_each=300,
        whole_within_s=2 * _HURRIED.long_grace_s,
        # Of 52 shards a symbol has 600 bytes, and its proof half as many again.
        moved_max=MOVED_MAX * max(_with_proof(len(each.data), each.n) for each in run.shelf),
    )
    await _finish(run, leavers)


@scenario(FaultKind.LEFT_FOR_EVER, profile=QUICK, nodes=SITE_NODES, repairs=True)
async def three_of_ten_leave_one_after_the_other(run: Run) -> None:
    """As many as may be missing leave for ever, and the first are made good before the last has left."""
    await run.start()
    await _store(run, _TEN_BYTES)
    await run.wait(1.0, 10.0)
    leavers = run.some(run.spare())
    await _leave_while_others_read(
        run, leavers, within_s=1.5 * QUICK.long_grace_s, reads_each=15, whole_within_s=2 * QUICK.long_grace_s
    )
    await _finish(run, leavers)

"""Leases that end: what a dead writer left behind goes, what was certified stays, whatever a clock says."""

from __future__ import annotations

from dataclasses import replace

import trio

from p2pnode.config import DAY_S, HOUR_S, MINUTE_S
from p2pnode.storage.names import PAIRS_DIRECTORY, parse_pair_name
from testnet.sim.admission import SIMULATED
from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.run import HEALTHY, SEVERAL_SEGMENTS_BYTES, Run
from testnet.sim.scenarios import scenario
from wire.ids import BlobId
from wire.references import Reference

QUICK = replace(
    SIMULATED,
    provisional_lease_s=10 * MINUTE_S,
    collection_after_uptime_s=3 * MINUTE_S,
    collect_every_s=MINUTE_S,
)
"""The public profile with an upload's first day in ten minutes: idle nodes cost time too."""

GONE = "provisional-data-goes"

_POLL_S = 0.05
_UPLOAD_S = 120.0
_SLOW_S = 20.0
"""A slow user's pause before each 200,000 bytes: the whole takes six minutes."""


@scenario(FaultKind.LEFT_FOR_EVER, nodes=4, profile=QUICK)
async def the_writer_never_comes_back(run: Run) -> None:
    """A writer is lost in the middle of a file: its parts go with their provisional lease, and nothing else goes."""
    await run.start()
    for name in run.some(2):
        await run.must_put(name, HEALTHY)
    (writer,) = run.some(1)
    core = run.others([writer])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.try_put, writer, SEVERAL_SEGMENTS_BYTES)
        with trio.move_on_after(_UPLOAD_S):
            while not _left_over(run, core):  # noqa: ASYNC110 - a disk has no event
                await trio.sleep(_POLL_S)
        run.inject.lose_for_ever(writer)
    await run.check()
    most_s = QUICK.provisional_lease_s + 2 * QUICK.collect_every_s
    await run.wait(most_s, most_s + 5 * MINUTE_S)
    _demand_nothing_left(run, core)
    await run.heal(core)
    await run.demand_progress(core)


@scenario(FaultKind.CLOCK_JUMP, nodes=4, profile=replace(QUICK, provisional_lease_s=HOUR_S))
async def a_clock_jumps_during_a_slow_upload(run: Run) -> None:
    """A holder's clock jumps days ahead while a user is slow: it may take no more, but lets nothing go for that."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    writer, *holders = run.some(1 + run.spare())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.try_put, writer, SEVERAL_SEGMENTS_BYTES, _SLOW_S)
        with trio.move_on_after(_UPLOAD_S):
            while not _left_over(run, holders):  # noqa: ASYNC110 - a disk has no event
                await trio.sleep(_POLL_S)
        await run.check()
        for name in holders:
            run.inject.jump(name, run.rng.uniform(DAY_S, 60 * DAY_S))
        least_s = QUICK.collection_after_uptime_s + 2 * QUICK.collect_every_s
        await run.wait(least_s, least_s + 2 * MINUTE_S)
        await run.check()
    await run.heal()
    await run.demand_progress()


def _left_over(run: Run, names: list[str]) -> list[tuple[str, BlobId]]:
    """Return which of these machines have pairs of a blob that no put has reported as stored."""
    stored = {Reference.parse(each.id).blob_id for each in run.shelf}
    found = []
    for name in names:
        files = run.machine(name).files
        for directory in files.peek_names(PAIRS_DIRECTORY):
            for base in files.peek_names(f"{PAIRS_DIRECTORY}/{directory}"):
                key = parse_pair_name(base)
                if key is not None and key.blob_id not in stored:
                    found.append((name, key.blob_id))
    return found


def _demand_nothing_left(run: Run, names: list[str]) -> None:
    for name, blob_id in _left_over(run, names):
        message = "data of an unfinished put is still here after its provisional lease"
        raise JudgementError(GONE, message, node=name, subject=blob_id.text())
    run.count(GONE, len(names))

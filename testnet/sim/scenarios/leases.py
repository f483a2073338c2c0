"""Leases that end: what a dead writer left behind goes, what was certified stays, whatever a clock says."""

from __future__ import annotations

from dataclasses import replace

import trio

from p2pnode.config import DAY_S, HOUR_S, MINUTE_S
from p2pnode.storage.names import PAIRS_DIRECTORY, parse_pair_name
from testnet.sim.admission import SIMULATED
from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.judges.pairs import pair_files, trash_files
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

BRIEF = replace(
    QUICK,
    lease_s=40 * MINUTE_S,
    trash_s=12 * MINUTE_S,
)
"""Final leases of little more than clocks may differ, and less than that in the trash."""

GONE = "provisional-data-goes"
TRASH = "the-trash-lets-go"

_LOOK_EVERY_S = 6.0 * MINUTE_S
"""Often enough to see what goes early, and seldom enough to cost little."""

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
    run.check()
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
        run.check()
        for name in holders:
            run.inject.jump(name, run.rng.uniform(DAY_S, 60 * DAY_S))
        least_s = QUICK.collection_after_uptime_s + 2 * QUICK.collect_every_s
        await run.wait(least_s, least_s + 2 * MINUTE_S)
        run.check()
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.KILL, nodes=4, profile=BRIEF)
async def leases_run_out(run: Run) -> None:
    """Nobody renews: what was stored waits in the trash and is still read, then goes; later data stays.

    Nodes stop and start again all the while, in the middle of collections too.
    """
    await run.start()
    early = [await run.must_put(name, HEALTHY) for name in run.some(2)]
    stored = list(run.shelf)
    await run.wait(BRIEF.lease_s / 4, BRIEF.lease_s / 3)
    run.check()
    await _flap(run)
    await run.wait(BRIEF.lease_s / 2, BRIEF.lease_s / 2)
    late = await run.must_put(run.rng.choice(run.names()), HEALTHY)
    await until_ended(run, [each.id for each in early], in_trash=True)
    run.check()
    for each in stored:
        await run.must_get(run.rng.choice(run.names()), each, "it is in the trash, which is read")
    run.shelf[:] = [each for each in run.shelf if each not in stored]
    await _flap(run)
    await until_ended(run, [each.id for each in early], in_trash=False)
    assert late.id in {each.id for each in run.shelf}
    await run.heal()
    await run.demand_progress()


async def _flap(run: Run) -> None:
    """Stop a node and start it again."""
    (name,) = run.some(1)
    run.inject.kill(name)
    await run.wait(1.0, 30.0)
    await run.restart(name)
    await run.world.all_meet()


async def until_ended(run: Run, texts: list[str], *, in_trash: bool) -> None:
    """Wait until blobs are in the trash, or gone from there, on every node, for as long as collecting may take."""
    blobs = {Reference.parse(each).blob_id for each in texts}
    most_s = BRIEF.lease_s + BRIEF.trash_s + BRIEF.collection_after_uptime_s + 2 * HOUR_S
    with trio.move_on_after(most_s) as patience:
        while _is_waited_for(run, blobs, in_trash=in_trash):
            await trio.sleep(_LOOK_EVERY_S)
            run.check()
    if patience.cancelled_caught:
        message = f"data whose lease has ended is not {'in' if in_trash else 'gone from'} the trash everywhere"
        raise JudgementError(TRASH, message)
    run.count(TRASH, len(blobs))


def _is_waited_for(run: Run, blobs: set[BlobId], *, in_trash: bool) -> bool:
    disks = [run.machine(name).files for name in run.names()]
    held = any(key.blob_id in blobs for files in disks for _, key in pair_files(files))
    waiting = any(key.blob_id in blobs for files in disks for _, key, _ in trash_files(files))
    return held or (waiting and not in_trash)


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

"""Everybody answers for what it signed: who does not is distrusted soon, and whoever is honest never is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.config import PRIVATE
from p2pnode.reputation.score import NEW, TRUSTED_FROM
from testnet.sim.faults import FaultKind
from testnet.sim.habits.bending import BadHabit
from testnet.sim.habits.false_accuser import FalseAccuser
from testnet.sim.habits.greedy_auditor import GreedyAuditor
from testnet.sim.habits.half_slivers import Bluff, HalfSlivers
from testnet.sim.habits.replayed_proofs import ReplayedProofs
from testnet.sim.habits.sign_and_drop import SignAndDrop
from testnet.sim.habits.two_commitments import TwoCommitments
from testnet.sim.judges import JudgementError
from testnet.sim.judges.pairs import pair_files
from testnet.sim.run import HEALTHY, Run
from testnet.sim.scenarios import scenario

NAME = "audits"

_OFTEN = replace(PRIVATE, name="audited-often", audit_every_s=60, asked_again_after_s=(5, 15))
"""In a minute what takes half an hour elsewhere."""

_COMMITTING = replace(_OFTEN, name="committing", epoch_s=60, commit_after_s=240)
"""An epoch is a minute, and clocks are off by a minute and a half at most: so long a node waits before it commits."""

_WITNESSED = replace(_OFTEN, name="witnessed", epoch_s=30, commit_after_s=3_600)
"""Audit receipts are asked for half a minute after the first audit, and nobody commits to anything."""

_GREED = 6
"""Receipts that it must not get, after which a scenario ends: each way to ask for one is among them nearly always."""

_WRONG_S = 90.0
"""How far a clock is set back where everybody commits."""

_PUTS = 2

_ROUNDS = 12
"""Puts and regular audits after which a cheat is found: three failures distrust it, and half of all questions fail."""


@scenario(FaultKind.BYZANTINE, profile=_OFTEN)
async def holders_that_cheat_in_audits(run: Run) -> None:
    """One drops what it signs, another keeps half of each sliver and bluffs; the writer trusts neither for long.

    If it lies, and signs it, all learn of it at once.
    """
    bluff = run.rng.choice(list(Bluff))
    habits: list[BadHabit] = [SignAndDrop(), HalfSlivers(bluff)]
    writer = "n0"
    await run.world.start_node(writer)
    names = [f"n{number}" for number in range(1, run.nodes)]
    cheats = dict(zip(run.rng.sample(names, len(habits)), habits, strict=True))
    async with trio.open_nursery() as nursery:
        for name in names:
            habit = cheats.get(name)
            if habit is not None and not run.log.may_inject(FaultKind.BYZANTINE, name, habit.name):
                habit = None
            nursery.start_soon(partial(run.world.start_node, name, bootstrap=[writer], habit=habit))
    await run.world.all_meet()
    honest = [name for name in (writer, *names) if run.world.is_honest(name)]
    bad = [name for name in names if name not in honest]
    for _ in range(_ROUNDS):
        if not any(_is_trusted(run, writer, name) for name in bad):
            break
        await run.must_put(writer, HEALTHY)
        await run.wait(30.0, 60.0)
    if bluff is Bluff.FALSE and any(each.done for each in habits if isinstance(each, HalfSlivers)):
        await run.wait(5.0, 10.0)
        (liar,) = [name for name in bad if isinstance(cheats[name], HalfSlivers)]
        for name in honest:
            _demand(run, name, _knows_evidence(run, name, liar), f"it knows no evidence against {liar}")
    for name in bad:
        _demand(run, writer, not _is_trusted(run, writer, name), f"it still trusts {name}, which cheats ({bluff})")
    _demand_no_honest_distrusted(run, honest)
    await run.heal(honest)
    await run.demand_progress(honest)


@scenario(FaultKind.BYZANTINE, nodes=5, profile=_OFTEN)
async def proofs_that_are_replayed_and_false_accusers(run: Run) -> None:
    """One shows old proofs and is distrusted for it; another makes evidence of true ones, and nobody is convicted."""
    writer = "n0"
    await run.world.start_node(writer)
    names = [f"n{number}" for number in range(1, run.nodes)]
    replayer, accuser = run.rng.sample(names, 2)
    habits: dict[str, BadHabit] = {replayer: ReplayedProofs(), accuser: FalseAccuser()}
    async with trio.open_nursery() as nursery:
        for name in names:
            habit = habits.get(name)
            if habit is not None and not run.log.may_inject(FaultKind.BYZANTINE, name, habit.name):
                habit = None
            nursery.start_soon(partial(run.world.start_node, name, bootstrap=[writer], habit=habit))
    await run.world.all_meet()
    for _ in range(_ROUNDS):
        if run.world.is_honest(replayer) or not _is_trusted(run, writer, replayer):
            break
        await run.must_put(writer, HEALTHY)
        await run.wait(60.0, 90.0)
    is_found = run.world.is_honest(replayer) or not _is_trusted(run, writer, replayer)
    _demand(run, writer, is_found, f"it still trusts {replayer}, which shows old proofs")
    honest = [name for name in (writer, *names) if run.world.is_honest(name)]
    for name in honest:
        found = run.machine(name).node.evidence.listed()
        _demand(run, name, not found, f"it keeps evidence, though nobody has signed a false proof: {found}")
    _demand_no_honest_distrusted(run, honest)
    await run.heal(honest)
    await run.demand_progress(honest)


@scenario(FaultKind.KILL, FaultKind.POWER_LOSS, FaultKind.CLOCK_SKEW, nodes=5, profile=_OFTEN)
async def honest_holders_under_audit(run: Run) -> None:
    """Nodes restart in the middle of audits, lose power, have wrong clocks: nobody's score falls for it."""
    await run.start()
    run.inject.skew(run.rng.choice(run.names()), run.rng.choice([-1.0, 1.0]) * 25 * 60)
    for _ in range(_PUTS):
        await run.must_put(run.rng.choice(run.names()), HEALTHY)
        for inject in (run.inject.kill, run.inject.power_loss):
            (name,) = run.some(1)
            await run.wait(4.0, 16.0)
            inject(name)
            await run.wait(5.0, 40.0)
            await run.restart(name)
        await run.world.all_meet()
    await run.wait(60.0, 120.0)
    _demand_no_honest_distrusted(run, run.names(), least=NEW.value - 1e-3)
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.BIT_ROT, nodes=5, profile=_OFTEN)
async def disks_rot_under_audit(run: Run) -> None:
    """A holder's disk rots, and may be full: the others hear of the loss by audits alone, and nobody is convicted."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    bad = run.rng.choice([name for name in run.names() if any(pair_files(run.machine(name).files))])
    if run.rng.choice((True, False)):
        run.inject.disk_full(bad)
    for _ in range(_ROUNDS):
        run.inject.bit_rot(bad, under=["pairs/"])
        await run.wait(60.0, 90.0)
        if run.has_fired(FaultKind.BIT_ROT):
            break
    _demand(run, bad, run.has_fired(FaultKind.BIT_ROT), "nobody has asked it for what rots")
    await run.wait(30.0, 60.0)
    _demand_nobody_convicted(run)
    await run.heal()
    await run.demand_progress()
    _demand_nobody_convicted(run)


@scenario(FaultKind.STALL, nodes=5, profile=_OFTEN)
async def slow_disks_under_audit(run: Run) -> None:
    """Each call of a holder's disk takes a second or two: it answers late, and nobody calls it a cheat."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    (slow,) = run.some(1)
    run.inject.stall(slow, low_s=0.5, high_s=2.0)
    await run.until_fired(FaultKind.STALL)
    await run.wait(120.0, 240.0)
    _demand_no_honest_distrusted(run, run.others([slow]))
    _demand_nobody_convicted(run)
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.OLD_DISK, FaultKind.CLOCK_JUMP, nodes=5, profile=_OFTEN)
async def an_old_disk_under_audit(run: Run) -> None:
    """A disk is put back from before a put, and a clock set back: the holder retracts what is gone and signs no lie."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    (restored,) = run.some(1)
    image = run.inject.image(restored)
    for _ in range(_PUTS):
        await run.must_put(run.rng.choice(run.others([restored])), HEALTHY)
    run.inject.old_disk(restored, image)
    run.inject.jump(restored, -run.rng.uniform(60.0, 25 * 60.0))
    await run.restart(restored)
    await run.world.all_meet()
    await run.until_fired(FaultKind.CLOCK_JUMP)
    await run.wait(120.0, 240.0)
    _demand_nobody_convicted(run)
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.BYZANTINE, nodes=5, profile=_COMMITTING)
async def two_commitments_for_one_epoch(run: Run) -> None:
    """One signs two commitments for each epoch: all learn of it, and by its own signatures."""
    writer = "n0"
    await run.world.start_node(writer)
    names = [f"n{number}" for number in range(1, run.nodes)]
    liar = run.rng.choice(names)
    habit = TwoCommitments() if run.log.may_inject(FaultKind.BYZANTINE, liar, TwoCommitments.name) else None
    async with trio.open_nursery() as nursery:
        for name in names:
            bent = habit if name == liar else None
            nursery.start_soon(partial(run.world.start_node, name, bootstrap=[writer], habit=bent))
    await run.world.all_meet()
    await run.must_put(writer, HEALTHY)
    await run.wait(_COMMITTING.commit_after_s + 30.0, _COMMITTING.commit_after_s + 60.0)
    honest = [name for name in (writer, *names) if run.world.is_honest(name)]
    if habit is not None and habit.done:
        for name in honest:
            _demand(run, name, _knows_evidence(run, name, liar), f"it knows no evidence against {liar}")
    _demand_commitments(run, honest)
    await run.heal(honest)
    await run.demand_progress(honest)


@scenario(FaultKind.BYZANTINE, nodes=4, profile=_WITNESSED)
async def receipts_over_more_than_was_audited(run: Run) -> None:
    """One asks for audit receipts over more than holders have proven, and twice: all others get theirs, and it none."""
    writer = "n0"
    await run.world.start_node(writer)
    names = [f"n{number}" for number in range(1, run.nodes)]
    greedy = run.rng.choice(names)
    habit = GreedyAuditor() if run.log.may_inject(FaultKind.BYZANTINE, greedy, GreedyAuditor.name) else None
    async with trio.open_nursery() as nursery:
        for name in names:
            bent = habit if name == greedy else None
            nursery.start_soon(partial(run.world.start_node, name, bootstrap=[writer], habit=bent))
    await run.world.all_meet()
    for _ in range(_ROUNDS):
        await run.must_put(writer, HEALTHY)
        await run.wait(60.0, 90.0)
        if habit is None or sum(habit.done.values()) >= _GREED:
            break
    honest = [name for name in (writer, *names) if run.world.is_honest(name)]
    for name in honest:
        _demand(run, name, _has_receipts(run, name), "it has no audit receipt of an honest node")
    _demand_no_honest_distrusted(run, honest)
    await run.heal(honest)
    await run.demand_progress(honest)


@scenario(FaultKind.OLD_DISK, FaultKind.CLOCK_JUMP, FaultKind.KILL, nodes=4, profile=_COMMITTING)
async def commitments_of_a_restored_node(run: Run) -> None:
    """A disk is put back from before a commitment, the clock set back into its epoch: no epoch is signed for twice."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    restored, killed = run.some(2)
    image = run.inject.image(restored)
    await run.wait(_COMMITTING.commit_after_s + 10.0, _COMMITTING.commit_after_s + 40.0)
    _demand_commitments(run, run.names())
    await run.must_put(run.rng.choice(run.others([restored])), HEALTHY)
    run.inject.kill(killed)
    run.inject.old_disk(restored, image)
    run.inject.jump(restored, -run.rng.uniform(0.0, _WRONG_S))
    await run.restart(restored)
    await run.restart(killed)
    await run.world.all_meet()
    await run.until_fired(FaultKind.CLOCK_JUMP)
    await run.wait(_COMMITTING.commit_after_s + 60.0, _COMMITTING.commit_after_s + 120.0)
    _demand_commitments(run, run.running())
    _demand_nobody_convicted(run)
    await run.heal()
    await run.demand_progress()


def _demand_commitments(run: Run, names: Sequence[str]) -> None:
    """Each node has committed to what it holds."""
    for name in names:
        is_made = run.machine(name).node.info().committed_epoch is not None
        _demand(run, name, is_made, "it has not committed to anything")


def _demand_nobody_convicted(run: Run) -> None:
    for name in run.running():
        found = run.machine(name).node.evidence.listed()
        _demand(run, name, not found, f"it keeps evidence among honest nodes: {found}")


def _demand_no_honest_distrusted(run: Run, honest: Sequence[str], *, least: float = TRUSTED_FROM) -> None:
    for one in honest:
        for other in honest:
            if one != other:
                score = _score(run, one, other)
                _demand(run, one, score >= least, f"it gives {other}, which is honest, {score}")


def _has_receipts(run: Run, name: str) -> bool:
    """Tell whether a node keeps a receipt of an audit by, or of, another honest one."""
    honest = {peer_id_to_text(machine.peer_id) for machine in run.world.running() if machine.habit is None}
    peers = [each for each in run.machine(name).node.peers() if each.peer_id in honest]
    return any(each.receipts_of_it or each.receipts_by_it for each in peers)


def _is_trusted(run: Run, one: str, other: str) -> bool:
    return _score(run, one, other) >= TRUSTED_FROM and not _knows_evidence(run, one, other)


def _knows_evidence(run: Run, one: str, other: str) -> bool:
    accused = peer_id_to_text(run.machine(other).peer_id)
    return any(each.accused == accused for each in run.machine(one).node.evidence.listed())


def _score(run: Run, one: str, other: str) -> float:
    """Return what one node thinks of another; of one that it does not know it thinks nothing bad."""
    peer_id = peer_id_to_text(run.machine(other).peer_id)
    return next((peer.score for peer in run.machine(one).node.peers() if peer.peer_id == peer_id), NEW.value)


def _demand(run: Run, node: str, is_so: bool, otherwise: str) -> None:  # noqa: FBT001 - the fact itself
    run.count(NAME)
    if not is_so:
        raise JudgementError(NAME, otherwise, node=node)

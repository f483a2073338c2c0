"""Holders that keep less than they signed for, and hide it: each is met within as many questions as theory gives.

The writer asks as its operator would, one question after the other, so that the number of them is known.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import trio

from p2pnode.config import PRIVATE
from p2pnode.node import Node
from p2pnode.reputation.scores import Verdict
from testnet.sim.faults import FaultKind
from testnet.sim.habits.bending import BadHabit
from testnet.sim.habits.dropped_tenth import KEPT_OF_TEN, DroppedTenth
from testnet.sim.habits.ground_commitments import GroundCommitments
from testnet.sim.habits.half_slivers import Bluff
from testnet.sim.habits.precomputed import Precomputed
from testnet.sim.judges import JudgementError
from testnet.sim.machine import RunningNode
from testnet.sim.run import HEALTHY, Run
from testnet.sim.scenarios import scenario

NAME = "kept-too-little"

_BY_HAND = replace(
    PRIVATE, name="asked-by-hand", audit_every_s=100_000, asked_again_after_s=(100_000, 100_000), epoch_s=60
)
"""Nobody asks but who is told to, and a minute later the holder answers as many questions again."""

_COMMITTING = replace(_BY_HAND, name="committing-by-hand", commit_after_s=240)

_NEVER = 1e-6
"""How likely an honest auditor may miss a cheat: less often than scenarios are played."""

_ASKED_PER_EPOCH = 60
"""A little less than what a holder answers to one asker in an epoch."""

_FAILED = {Verdict.WRONG, Verdict.TIMEOUT}


def questions_for(pass_rate: float) -> int:
    """Return after how many questions a peer that passes each with this probability has been met."""
    return math.ceil(math.log(_NEVER) / math.log(pass_rate))


@scenario(FaultKind.BYZANTINE, nodes=4, profile=_BY_HAND)
async def a_holder_that_drops_a_tenth(run: Run) -> None:
    """One pair of ten is not there: one question in ten tells, and no honest holder fails any."""
    bad = await _start(run, DroppedTenth())
    for _ in range(KEPT_OF_TEN + 1):
        await run.must_put("n0", HEALTHY, size=300)
    await _demand_met(run, bad, pass_rate=KEPT_OF_TEN / (KEPT_OF_TEN + 1))
    await run.demand_progress()


@scenario(FaultKind.BYZANTINE, profile=_BY_HAND)
async def a_holder_that_precomputes(run: Run) -> None:
    """It keeps the answer to one question of its own about each sliver: of all that may be asked one in 35 at n = 7."""
    bluff = run.rng.choice((Bluff.SILENT, Bluff.FALSE))
    bad = await _start(run, Precomputed(bluff))
    await run.must_put("n0", HEALTHY)
    await _demand_met(run, bad, pass_rate=_rate_of(4, n=run.nodes))
    if bluff is Bluff.FALSE and not run.world.is_honest(bad):  # Nobody else has asked it: they hear of it.
        await run.wait(10.0, 20.0)
        for name in [each for each in run.names() if run.world.is_honest(each)]:
            found = run.machine(name).node.evidence.listed()
            _demand(run, bool(found), f"{name} knows no evidence against {bad}, which has lied")
    await run.demand_progress()


@scenario(FaultKind.BYZANTINE, profile=_COMMITTING)
async def a_holder_that_grinds_its_commitments(run: Run) -> None:
    """It signs the best of many commitments and is asked on that one: guesses of secrets do not help it."""
    bad = await _start(run, GroundCommitments())
    await run.must_put("n0", HEALTHY)
    await run.wait(_COMMITTING.commit_after_s + 70.0, _COMMITTING.commit_after_s + 100.0)
    asked_on = await _demand_met(run, bad, pass_rate=_rate_of(math.ceil(run.nodes / 2), n=run.nodes))
    is_on_it = any(each.startswith("commitment") for each in asked_on)
    _demand(run, is_on_it or run.world.is_honest(bad), f"{bad} was asked on no commitment: {asked_on}")
    await run.demand_progress()


def _rate_of(kept: int, *, n: int) -> float:
    """Return how often all four of n symbols are among those that are kept."""
    return math.comb(kept, 4) / math.comb(n, 4)


async def _start(run: Run, habit: BadHabit) -> str:
    """Start the writer and the others, one of them with the habit; return its name."""
    await run.world.start_node("n0")
    names = [f"n{number}" for number in range(1, run.nodes)]
    bad = run.rng.choice(names)
    is_bent = run.log.may_inject(FaultKind.BYZANTINE, bad, habit.name)
    async with trio.open_nursery() as nursery:
        for name in names:
            bent = habit if name == bad and is_bent else None
            nursery.start_soon(partial(run.world.start_node, name, bootstrap=["n0"], habit=bent))
    await run.world.all_meet()
    return bad


async def _demand_met(run: Run, bad: str, *, pass_rate: float) -> list[str]:
    """Have the writer ask everybody until the bad one has failed; return what that one was asked on."""
    asked_on: list[str] = []
    for number in range(questions_for(pass_rate)):
        if number % _ASKED_PER_EPOCH == 0 and number:
            await run.wait(_BY_HAND.epoch_s, _BY_HAND.epoch_s + 10.0)
        verdict, on = await _ask(run, bad)
        asked_on.append(on)
        if verdict in _FAILED:
            break
    else:
        _demand(run, run.world.is_honest(bad), f"{bad} has passed {len(asked_on)} questions")
    for name in [f"n{number}" for number in range(1, run.nodes)]:
        if run.world.is_honest(name):
            verdict, _ = await _ask(run, name)
            _demand(run, verdict is Verdict.OK, f"{name}, which is honest, is found to be {verdict}")
    return asked_on


async def _ask(run: Run, name: str) -> tuple[Verdict, str]:
    """Ask a holder about one of its pairs; return the verdict, and on what it was asked."""
    peer_id = run.machine(name).peer_id

    async def work(node: RunningNode) -> tuple[Verdict, str]:
        assert isinstance(node, Node)
        found = await node.audit(peer_id)
        return Verdict(found.verdict), found.asked_on

    return await run.machine("n0").call(work)


def _demand(run: Run, is_so: bool, otherwise: str) -> None:  # noqa: FBT001 - the fact itself
    run.count(NAME)
    if not is_so:
        raise JudgementError(NAME, otherwise, node="n0")

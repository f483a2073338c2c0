"""Who is a member, and how much newcomers may hold."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import trio

from p2pnode.node import Node
from p2pnode.placement.spread import newcomers_max
from testnet.sim.admission import SIMULATED
from testnet.sim.faults import FaultKind
from testnet.sim.habits.false_work import FalseWork
from testnet.sim.judges import JudgementError
from testnet.sim.judges.pairs import pair_files
from testnet.sim.run import HEALTHY, Run
from testnet.sim.scenarios import scenario

CAPS = "newcomers-are-capped"

_VETTING_S = 60.0
_VETTED, _NEWCOMERS = 12, 8
"""With ten shards the cap binds from nine vetted members on; two may be away, and one is."""


@scenario(FaultKind.BYZANTINE)
async def identities_without_work(run: Run) -> None:
    """Members gossip and tell of identities that nobody has worked for; none is taken, and an honest newcomer is."""
    count = run.spare()
    await run.world.start_nodes(run.nodes - count)
    honest = run.names()
    for number in range(count):
        if run.log.may_inject(FaultKind.BYZANTINE, f"bad{number}", FalseWork.name):
            await run.world.start_node(f"bad{number}", bootstrap=[run.rng.choice(honest)], habit=FalseWork())
    await run.until_fired(FaultKind.BYZANTINE)
    await run.wait(10.0, 20.0)
    await run.check()
    await run.world.start_node("late", bootstrap=[run.rng.choice(honest)])
    await run.world.all_meet([*honest, "late"])
    await run.must_put("late", HEALTHY)
    await run.heal([*honest, "late"])
    await run.demand_progress([*honest, "late"])


@scenario(FaultKind.KILL, nodes=_VETTED, profile=replace(SIMULATED, vetting_s=_VETTING_S))
async def newcomers_beside_vetted_members(run: Run) -> None:
    """Twelve members are vetted, eight more join, and one of the twelve dies: newcomers hold a third of f at most."""
    await run.start()
    await run.wait(_VETTING_S, 2 * _VETTING_S)
    for name in run.names():
        _let_audits_pass(run, name)
    vetted = run.names()
    async with trio.open_nursery() as nursery:
        for number in range(_NEWCOMERS):
            nursery.start_soon(partial(run.world.start_node, f"new{number}", bootstrap=[run.rng.choice(vetted)]))
    await run.world.all_meet()
    writer, leaving = run.rng.sample(vetted, 2)
    for _ in range(2):
        await run.must_put(writer, HEALTHY)
    _check_caps(run)
    run.inject.kill(leaving)
    for _ in range(2):
        await run.try_put(writer)
    _check_caps(run)
    await run.heal()
    await run.demand_progress()


def _let_audits_pass(run: Run, name: str) -> None:
    """Say that all members have passed as many audits of this node as vetting asks for."""
    node = run.machine(name).node
    assert isinstance(node, Node)
    table = node._membership.table  # noqa: SLF001 - what audits call; they would take hours to do so
    for peer_id, _ in table.members():
        for _ in range(run.world.profile.vetting_audits):
            table.audit_passed(peer_id)


def _check_caps(run: Run) -> None:
    """Look at the disks of newcomers. Raises `JudgementError` when they hold too much of a blob."""
    held: dict[str, set[int]] = {}
    for name in run.names():
        if name.startswith("new"):
            for _, (blob_id, shard) in pair_files(run.machine(name).files):
                held.setdefault(blob_id.text(), set()).add(shard)
    for stored in run.shelf:
        run.count(CAPS)
        shards = held.get(stored.id, set())
        if len(shards) > newcomers_max(stored.n):
            what = f"newcomers hold {len(shards)} of {stored.n} shards, {newcomers_max(stored.n)} are allowed"
            raise JudgementError(CAPS, what, subject=stored.id)

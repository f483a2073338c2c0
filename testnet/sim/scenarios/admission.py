"""Who is a member, and how much newcomers may hold."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import trio

from p2pnode.node import Node
from p2pnode.placement.spread import newcomers_max
from p2pnode.protocols.owners_cap import NEWCOMERS_PERCENT_MAX
from testnet.sim.admission import SIMULATED
from testnet.sim.faults import FaultKind
from testnet.sim.habits.false_work import FalseWork
from testnet.sim.judges import JudgementError
from testnet.sim.judges.pairs import PairInspector, WholePair, pair_files
from testnet.sim.run import HEALTHY, Run
from testnet.sim.scenarios import scenario

CAPS = "newcomers-are-capped"
SHARE = "newcomers-fill-their-share"

_VETTING_S = 60.0
_VETTED, _NEWCOMERS = 11, 5
"""With ten shards the cap binds from nine vetted members on; two may be away, and one is."""
_ENOUGH_VETTED = 10
_QUOTA_BYTES = 16 << 20
_GREEDY_BYTES = 500_000
"""A pair of it is a quarter of what a node of that quota keeps for all newcomers together."""
_GREEDY_PUTS_MAX = 8


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
    run.check()
    await run.world.start_node("late", bootstrap=[run.rng.choice(honest)])
    await run.world.all_meet([*honest, "late"])
    await run.must_put("late", HEALTHY)
    await run.heal([*honest, "late"])
    await run.demand_progress([*honest, "late"])


@scenario(FaultKind.KILL, nodes=_VETTED, profile=replace(SIMULATED, vetting_s=_VETTING_S))
async def newcomers_beside_vetted_members(run: Run) -> None:
    """Eleven members are vetted, five more join, and one of the eleven dies: newcomers hold a third of f at most."""
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


@scenario(FaultKind.BYZANTINE, nodes=_ENOUGH_VETTED, profile=replace(SIMULATED, vetting_s=_VETTING_S))
async def a_newcomer_wants_all_the_room(run: Run) -> None:
    """An owner whose node nobody has vetted stores until it is refused, and has a twentieth of each node at most."""
    await run.start()
    await run.wait(_VETTING_S, 2 * _VETTING_S)
    vetted = run.names()
    for name in vetted:
        _let_audits_pass(run, name)
        _node_of(run, name).quota.change(_QUOTA_BYTES)
    await run.world.start_node("new", bootstrap=[run.rng.choice(vetted)])
    await run.world.all_meet()
    await run.must_put("new", HEALTHY, _GREEDY_BYTES)
    run.log.may_inject(FaultKind.BYZANTINE, "new")
    for _ in range(_GREEDY_PUTS_MAX):
        if await run.try_put("new", _GREEDY_BYTES) is None:
            run.log.fire(FaultKind.BYZANTINE)
            break
    for name in vetted:
        _check_share(run, name, newcomer="new")
    await run.must_put(run.rng.choice(vetted), "there is room for everybody else", _GREEDY_BYTES)
    await run.heal()
    await run.demand_progress()


def _check_share(run: Run, name: str, *, newcomer: str) -> None:
    """Look at a disk. Raises `JudgementError` when a newcomer has more of it than all newcomers together may."""
    files, owner = run.machine(name).files, run.machine(newcomer).owner.public
    pairs = PairInspector()
    found = [pairs.present(name, files, key) for _, key in pair_files(files)]
    whole = [each for each in found if isinstance(each, WholePair)]
    kept = sum(len(each.data) for each in whole if any(lease.owner == owner for lease in each.leases))
    most = _QUOTA_BYTES * NEWCOMERS_PERCENT_MAX // 100
    run.count(SHARE)
    if kept > most:
        raise JudgementError(SHARE, f"a newcomer has {kept} bytes, {most} are allowed", node=name)


def _let_audits_pass(run: Run, name: str) -> None:
    """Say that all members have passed as many audits of this node as vetting asks for."""
    table = _node_of(run, name)._membership.table  # noqa: SLF001 - what audits call; they would take hours to do so
    for peer_id, _ in table.members():
        for _ in range(run.world.profile.vetting_audits):
            table.audit_passed(peer_id)


def _node_of(run: Run, name: str) -> Node:
    node = run.machine(name).node
    assert isinstance(node, Node)
    return node


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

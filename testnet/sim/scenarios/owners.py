"""What owners stored: renewed by their daemons, and found again with the key alone when the machine is gone."""

from __future__ import annotations

import trio

from p2pnode.config import MINUTE_S
from p2pnode.node import Node
from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.machine import Machine
from testnet.sim.run import HEALTHY, Run
from testnet.sim.scenarios import scenario
from testnet.sim.scenarios.leases import BRIEF

LISTED = "the-owner-finds-its-own"

_HEIR = "heir"
_LOOK_EVERY_S = 2.0 * MINUTE_S
_LOOKS_MAX = 10
"""Twenty minutes: the network is asked every half a minute until it can be."""


@scenario(FaultKind.KILL, FaultKind.LEFT_FOR_EVER, nodes=4, profile=BRIEF, minds_own_things=True)
async def an_owner_outlives_its_machine(run: Run) -> None:
    """Its daemon renews what it stored, over a restart too; then the machine is gone, and a new one has its key."""
    await run.start()
    (name,) = run.some(1)
    stored = await run.must_put(name, HEALTHY)
    on_shelf = list(run.shelf)
    run.inject.kill(name)
    await run.wait(1.0, 60.0)
    await run.restart(name)
    gone_s = BRIEF.lease_s + BRIEF.trash_s + BRIEF.collection_after_uptime_s
    await run.wait(gone_s + 5 * MINUTE_S, gone_s + 10 * MINUTE_S)  # The first lease alone would have ended by now.
    others = [each for each in run.names() if each != name]
    for each in on_shelf:
        await run.must_get(run.rng.choice(others), each, "the daemon of its owner has renewed it")
    await _listed(run, name, {stored.id})
    owner = run.machine(name).owner
    run.inject.lose_for_ever(name)
    await run.world.start_node(_HEIR, bootstrap=others[:2], owner=owner)
    await _listed(run, _HEIR, {stored.id})
    for each in on_shelf:
        await run.must_get(_HEIR, each, "whoever has the key has found it")
    core = [*others, _HEIR]
    await run.heal(core)
    await run.demand_progress(core)


async def _listed(run: Run, name: str, expected: set[str]) -> None:
    """Demand that a node lists just these things, and that the network has the list."""
    node = _node_of(run.machine(name))
    for _ in range(_LOOKS_MAX):
        if await _is_listed(node, expected):
            run.count(LISTED)
            return
        await trio.sleep(_LOOK_EVERY_S)
    message = f"it lists {[each.id for each in await node.owned()]}, and {node.ownership.state()}"
    raise JudgementError(LISTED, message, node=name)


async def _is_listed(node: Node, expected: set[str]) -> bool:
    listed = {each.id for each in await node.owned()}
    return listed == expected and node.ownership.state().is_published


def _node_of(machine: Machine) -> Node:
    node = machine.node
    assert isinstance(node, Node)
    return node

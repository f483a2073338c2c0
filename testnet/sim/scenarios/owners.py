"""What owners stored: renewed by their daemons, and found again with the key alone when the machine is gone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import trio

from crypto.keys import SEED_BYTES, SigningKey
from p2pnode.config import MINUTE_S
from p2pnode.node import Node
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.renewal import make_tombstone
from testnet.sim import users
from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.judges.pairs import pair_files
from testnet.sim.machine import Machine, RunningNode
from testnet.sim.run import HEALTHY, Run
from testnet.sim.scenarios import scenario
from testnet.sim.scenarios.leases import BRIEF
from testnet.sim.world import NETWORK_NAME
from wire.ids import PeerId
from wire.ownership import Bury
from wire.records import Envelope
from wire.references import Reference

LISTED = "the-owner-finds-its-own"

MOVED = "leases-move-to-the-new-key"
IN_TRASH = "a-removal-ends-its-own-lease"
BACK = "a-renewal-brings-back"
REFUSED = "the-old-key-ends-nothing"

_HEIR = "heir"

_SOON_GONE = replace(BRIEF, trash_s=2 * MINUTE_S)
"""What nobody renews does not wait long in the trash: it is gone sooner, and nothing else happens meanwhile."""

_MOVED_S = 10.0 * MINUTE_S
_POLL_S = 5.0
_LOOK_EVERY_S = 2.0 * MINUTE_S
_LOOKS_MAX = 10
"""Twenty minutes: the network is asked every half a minute until it can be."""


@scenario(FaultKind.KILL, FaultKind.LEFT_FOR_EVER, nodes=4, profile=_SOON_GONE, minds_own_things=True)
async def an_owner_outlives_its_machine(run: Run) -> None:
    """Its daemon renews what it stored, over a restart too; then the machine is gone, and a new one has its key."""
    await run.start()
    (name,) = run.some(1)
    stored = await run.must_put(name, HEALTHY)
    on_shelf = list(run.shelf)
    run.inject.kill(name)
    await run.wait(1.0, 60.0)
    await run.restart(name)
    gone_s = _SOON_GONE.lease_s + _SOON_GONE.trash_s + _SOON_GONE.collection_after_uptime_s
    await run.wait(gone_s + 3 * MINUTE_S, gone_s + 6 * MINUTE_S)  # The first lease alone would have ended by now.
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


@scenario(FaultKind.KILL, FaultKind.BYZANTINE, FaultKind.LEFT_FOR_EVER, nodes=4, profile=BRIEF, minds_own_things=True)
async def an_owner_rotates_its_key(run: Run) -> None:
    """Its node is killed in the middle of that, a thief uses the old key, and a new machine has the new key only."""
    await run.start()
    (name,) = run.some(1)
    stored = await run.must_put(name, HEALTHY)
    on_shelf = list(run.shelf)
    await _listed(run, name, {stored.id})
    machine, successor = run.machine(name), SigningKey(run.rng.randbytes(SEED_BYTES))
    old = machine.owner
    run.inject.kill(name)
    machine.rotate_owner(successor, network=NETWORK_NAME)
    await run.restart(name)
    await run.wait(0.0, 20.0)
    run.inject.kill(name)
    await run.wait(1.0, 20.0)
    await run.restart(name)
    await _moved(run, name)
    await _steal(run, name, old)
    others = [each for each in run.names() if each != name]
    run.inject.lose_for_ever(name)
    await run.world.start_node(_HEIR, bootstrap=others[:2], owner=successor)
    await _listed(run, _HEIR, {stored.id})
    for each in on_shelf:
        await run.must_get(_HEIR, each, "whoever has the new key has found it")
    core = [*others, _HEIR]
    await run.heal(core)
    await run.demand_progress(core)


@scenario(FaultKind.KILL, nodes=4, profile=BRIEF)
async def a_removal_is_undone(run: Run) -> None:
    """One of two owners removes a thing, which the other keeps; what nobody else keeps comes back with a renewal."""
    await run.start()
    name, other = run.some(2)
    shared, own = [Reference.parse((await run.must_put(name, HEALTHY)).id) for _ in range(2)]
    both = list(run.shelf)
    await _renewed(run, other, shared)
    for reference in (shared, own):
        await users.remove(run.machine(name), reference.text())
    (third,) = run.some(1)
    run.inject.kill(third)
    await run.wait(1.0, 60.0)
    await run.restart(third)
    await run.world.all_meet()
    least_s = BRIEF.provisional_lease_s + BRIEF.collection_after_uptime_s + 2 * BRIEF.collect_every_s
    await run.wait(least_s, least_s + MINUTE_S)
    _demand(run, IN_TRASH, shared, own, is_held=(True, False))
    run.check()
    await _renewed(run, name, own)
    _demand(run, BACK, shared, own, is_held=(True, True))
    run.check()
    for each in both:
        await run.must_get(run.rng.choice(run.names()), each, "it is leased")
    await run.heal()
    await run.demand_progress()


def _demand(run: Run, judge: str, *references: Reference, is_held: tuple[bool, ...]) -> None:
    """Demand that every node holds a pair of just these blobs; what is in the trash is not held."""
    for name in run.names():
        held = {key.blob_id for _, key in pair_files(run.machine(name).files)}
        for reference, expected in zip(references, is_held, strict=True):
            if (reference.blob_id in held) != expected:
                message = f"the pair is {'not held' if expected else 'held'}"
                raise JudgementError(judge, message, node=name, subject=reference.blob_id.text())
            run.count(judge)


async def _renewed(run: Run, name: str, reference: Reference) -> None:
    done = await users.renew(run.machine(name), reference.text())
    if done.healthy < done.n:
        raise JudgementError(BACK, f"{done.healthy} of {done.n} shards are renewed", node=name)


async def _moved(run: Run, name: str) -> None:
    """Demand that all leases become the new key's, soon and long before they end."""
    node = _node_of(run.machine(name))
    with trio.move_on_after(_MOVED_S):
        while not _is_moved(node):  # noqa: ASYNC110 - a leased thing has no event
            await trio.sleep(_POLL_S)
        run.count(MOVED)
        return
    message = "what its owner stored is not leased under the new key"
    raise JudgementError(MOVED, message, node=name)


def _is_moved(node: Node) -> bool:
    return all(each.record.lease_sequence for each in node.ownership.catalogue.records.values())


async def _steal(run: Run, name: str, old: SigningKey) -> None:
    """End what a node's owner leases with its old key, and demand that nobody who knows of the new one takes that."""
    machines = [run.machine(each) for each in run.names() if run.machine(each).is_ready]
    for record in [each.record for each in _node_of(run.machine(name)).ownership.catalogue.records.values()]:
        for holder in machines:
            now = int(holder.clock.wall())
            tombstone = make_tombstone(old, record.target, sequence=2**40, time=now, network=NETWORK_NAME)
            run.log.fire(FaultKind.BYZANTINE)
            if await holder.call(partial(_takes, sender=run.machine(name).peer_id, tombstone=tombstone.envelope)):
                message = "the old owner key has ended a lease that is the new one's"
                raise JudgementError(REFUSED, message, node=holder.name)
            run.count(REFUSED)


async def _takes(node: RunningNode, *, sender: PeerId, tombstone: Envelope) -> bool:
    assert isinstance(node, Node)
    try:
        await node.ownership.server.answer(sender, Bury(tombstone=tombstone), b"")
    except RefusalError:
        return False
    return True


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

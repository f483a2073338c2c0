"""What repair moves in simulation: production nodes store something, some of them are lost for ever, the rest rebuilds.

Counted is what all nodes send over the simulated wires from the loss until all is whole, frames of Noise and yamux
included, TCP/IP left out, less what those who are left send in as long a time afterwards, while nothing happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import trio

from p2pnode import bft
from p2pnode.config import TESTNET
from p2pnode.node import Node
from p2pnode.protocols.repair.exchange import symbols_of_pair
from p2pnode.services.results import RepairReport
from testnet.sim import users
from testnet.sim.judges.pairs import pair_files
from testnet.sim.world import Chores, World, run_world

FEW = replace(TESTNET, name="bench-repair", audit_every_s=0, repair_rank_step_s=10)

MANY = replace(
    FEW,
    name="bench-repair-many",
    member_record_every_s=300,
    member_stale_after_s=900,
    suspect_after_s=450,
    offline_after_s=500,
    short_grace_s=480,
    long_grace_s=700,
    sync_every_s=600,
    reconnect_every_s=5,
)
"""For more than ten nodes: with records every five seconds most of what is simulated would be these."""

MANY_NODES = 12

IDLE_S = 60.0
"""For so long it is measured what nodes send while nothing happens."""

WITHIN_S = 2_400.0
POLL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one loss has cost."""

    nodes: int
    n: int
    lost: int
    size: int
    pairs_rebuilt: int
    bytes_rebuilt: int
    bytes_moved: int
    """Questions and answers, as the repairers count them."""
    moved_per_byte: float
    wire_per_byte: float | None
    """All that was sent, less what idle nodes send, for each byte rebuilt; None where idle nodes send most of it."""
    theory: float
    """Symbols moved for each symbol of a pair, without proofs."""
    seconds: float
    """Virtual, from the loss until all is rebuilt; the long grace of the profile is most of it."""


@dataclass(frozen=True, slots=True)
class _Done:
    """What nodes have done for repair since they started."""

    pairs: int
    rebuilt: int
    moved: int

    @classmethod
    def by(cls, reports: Iterable[RepairReport]) -> _Done:
        """Return the sums."""
        each = list(reports)
        return cls(
            sum(one.pairs_rebuilt for one in each),
            sum(one.bytes_rebuilt for one in each),
            sum(one.bytes_moved for one in each),
        )

    def since(self, earlier: _Done) -> _Done:
        """Return what was done since."""
        return _Done(self.pairs - earlier.pairs, self.rebuilt - earlier.rebuilt, self.moved - earlier.moved)


def measure(seed: int, *, nodes: int, losses: Sequence[int], size: int) -> list[Case]:
    """Store something, lose so many of its holders for ever, let all be rebuilt, and so on with the next loss."""
    cases: list[Case] = []
    profile = MANY if nodes > MANY_NODES else FEW

    async def scenario(world: World) -> None:
        machines = await world.start_nodes(nodes)
        result = await users.put(machines[0], world.rng.randbytes(size))
        await trio.sleep(FEW.sync_every_s)
        cases.extend([await _lose(world, lost, n=result.n, size=size, nodes=nodes) for lost in losses])

    run_world(seed, scenario, profile=profile, chores=Chores(repairs=True))
    return cases


async def _lose(world: World, lost: int, *, n: int, size: int, nodes: int) -> Case:
    profile = world.profile
    leavers = _holders(world)[:lost]
    pairs = sum(held for _, held in leavers)
    started, sent = trio.current_time(), world.fabric.traffic.total().bytes
    for name, _ in leavers:
        world.kill(name)
    before = _Done.by(_reports(world))
    done = before.since(before)
    with trio.fail_after(profile.long_grace_s + WITHIN_S):
        while done.pairs < pairs:
            await trio.sleep(POLL_S)
            done = _Done.by(_reports(world)).since(before)
    seconds = trio.current_time() - started
    wire: float | None = None
    if nodes <= MANY_NODES:
        sent = world.fabric.traffic.total().bytes - sent
        await trio.sleep(profile.sync_every_s)
        wire = sent - await _idle_bytes_per_s(world) * seconds
    return Case(
        nodes=nodes,
        n=n,
        lost=lost,
        size=size,
        pairs_rebuilt=done.pairs,
        bytes_rebuilt=done.rebuilt,
        bytes_moved=done.moved,
        moved_per_byte=round(done.moved / done.rebuilt, 3),
        wire_per_byte=None if wire is None else round(wire / done.rebuilt, 3),
        theory=round(symbols_of_pair(n) / (bft.secondary_source(n) + bft.primary_source(n)), 3),
        seconds=round(seconds, 1),
    )


def _reports(world: World) -> list[RepairReport]:
    found = [machine.node for machine in world.running() if machine.is_ready]
    return [node.repairs() for node in found if isinstance(node, Node)]


async def _idle_bytes_per_s(world: World) -> float:
    before = world.fabric.traffic.total().bytes
    await trio.sleep(IDLE_S)
    return (world.fabric.traffic.total().bytes - before) / IDLE_S


def _holders(world: World) -> list[tuple[str, int]]:
    """Return who holds pairs, and how many; the writer is left out: it stays."""
    rows = [(machine.name, sum(1 for _ in pair_files(machine.files))) for machine in world.running()[1:]]
    return [row for row in rows if row[1]]

"""Up to a third of the peers are dishonest, and stay so: honest ones store and read as if they were not there.

Dishonest peers are production nodes with a bad habit each (`testnet/sim/habits`). No judge demands anything of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import trio

from p2pnode.errors import P2PNodeError
from testnet.sim.admission import SIMULATED
from testnet.sim.faults import FaultKind
from testnet.sim.habits.all_habits import ALL_HABITS, SOON_S
from testnet.sim.habits.bending import BadHabit
from testnet.sim.habits.capacity_lies import CapacityLie, CapacityLies
from testnet.sim.habits.clique import CliqueCertificates
from testnet.sim.habits.dishonest_writer import Crooked, DishonestWriter
from testnet.sim.habits.equivocation import Equivocation
from testnet.sim.habits.flood import Flood
from testnet.sim.habits.forged_receipts import ForgedReceipts
from testnet.sim.habits.many_identities import ManyIdentities
from testnet.sim.habits.never_reads import NeverReads
from testnet.sim.habits.replay import Replay
from testnet.sim.habits.sign_and_drop import SignAndDrop
from testnet.sim.habits.wrong_bytes import WrongBytes
from testnet.sim.judges import JudgementError
from testnet.sim.judges.reads import NAME as READS
from testnet.sim.machine import RunningNode
from testnet.sim.run import ONE_SEGMENT_BYTES, Run
from testnet.sim.scenarios import scenario
from wire.references import Reference, ReferenceKind

REFUSALS = "refuses-what-breaks-rules"

DOMAINS = "one-shard-a-domain"

LOAD_S = (14.0, 24.0)
"""How long honest nodes are used beside dishonest ones."""

_LONG_LOAD_S = (20.0, 35.0)
"""The same where what dishonest ones do takes many puts to do harm."""

NODES_WITH_SPARES, NODES_WITH_MORE_SPARES = 13, 16
"""With so many nodes a small blob has ten holders, and whoever is none of them must ask for its record."""

CROWD = 14
"""Identities of one operator: more than twice as many as there are other nodes."""


async def start_among(run: Run, habits: Sequence[BadHabit]) -> list[str]:
    """Start all nodes, random ones with these habits; return the honest ones once they know each other."""
    names = [f"n{number}" for number in range(run.nodes)]
    chosen = dict(zip(run.rng.sample(names[1:], len(habits)), habits, strict=True))
    await run.world.start_node(names[0])
    async with trio.open_nursery() as nursery:
        for name in names[1:]:
            habit = chosen.get(name)
            if habit is not None and not run.log.may_inject(FaultKind.BYZANTINE, name, habit.name):
                habit = None
            nursery.start_soon(partial(run.world.start_node, name, bootstrap=names[:1], habit=habit))
    honest = [name for name in names if run.world.is_honest(name)]
    await run.world.all_meet(honest)
    return honest


async def _live_among(
    run: Run, *kinds: Callable[[], BadHabit], gets_every_s: float = 3.0, load_s: tuple[float, float] = LOAD_S
) -> None:
    """Be used beside f dishonest peers of these kinds, in turns; no honest put or get fails, before or after."""
    honest = await start_among(run, [kinds[number % len(kinds)]() for number in range(run.spare())])
    await _be_used(run, honest, gets_every_s=gets_every_s, load_s=load_s)


async def _be_used(
    run: Run, honest: Sequence[str], *, gets_every_s: float = 3.0, load_s: tuple[float, float] = LOAD_S
) -> None:
    """Store and read through the honest nodes: nothing may fail, for the others are few enough."""
    await run.must_put(run.rng.choice(honest), "at most f peers are dishonest", ONE_SEGMENT_BYTES)
    async with run.load(puts_every_s=8.0, gets_every_s=gets_every_s, among=honest) as users:
        await run.wait(*load_s)
        await run.until_fired(FaultKind.BYZANTINE)
    users.demand_all()
    await run.heal(honest)
    await run.demand_progress(honest)


@scenario(FaultKind.BYZANTINE)
async def peers_that_sign_and_drop(run: Run) -> None:
    """A third signs for slivers that it never writes, or drops soon; all that is certified is read all the same."""
    await _live_among(run, SignAndDrop, partial(SignAndDrop, keep_s=SOON_S))


@scenario(FaultKind.BYZANTINE, nodes=NODES_WITH_SPARES)
async def peers_that_serve_wrong_bytes(run: Run) -> None:
    """A third answers readers with damage, cut answers and other blobs; every read is exact."""
    await _live_among(run, WrongBytes)


@scenario(FaultKind.BYZANTINE)
async def peers_that_forge_receipts(run: Run) -> None:
    """A third keeps nothing and answers with receipts that are worth nothing; none counts in a certificate."""
    await _live_among(run, ForgedReceipts, load_s=_LONG_LOAD_S)


@scenario(FaultKind.BYZANTINE, nodes=NODES_WITH_SPARES)
async def peers_that_equivocate(run: Run) -> None:
    """A third tells each half of the others another story."""
    await _live_among(run, Equivocation)


@scenario(FaultKind.BYZANTINE)
async def peers_that_replay(run: Run) -> None:
    """A third repeats whatever was ever said, by whomever."""
    await _live_among(run, Replay)


@scenario(FaultKind.BYZANTINE)
async def peers_that_flood(run: Run) -> None:
    """A third asks and gossips as fast as it can, sense and nonsense."""
    await _live_among(run, Flood)


@scenario(FaultKind.BYZANTINE)
async def peers_that_lie_about_capacity(run: Run) -> None:
    """A third claims endless room or none; then it refuses, stalls at the start or half way, or answers in drips."""
    await _live_among(run, *(partial(CapacityLies, lie) for lie in run.rng.sample(list(CapacityLie), len(CapacityLie))))


@scenario(FaultKind.BYZANTINE)
async def peers_that_never_read(run: Run) -> None:
    """A third asks for slivers on many streams and takes no answer."""
    await _live_among(run, NeverReads)


@scenario(FaultKind.BYZANTINE, nodes=NODES_WITH_MORE_SPARES)
async def certificates_of_a_clique(run: Run) -> None:
    """A third sends readers to holders that never were; they read from those that are."""
    await _live_among(run, CliqueCertificates, gets_every_s=1.5)


@scenario(FaultKind.BYZANTINE, profile=replace(SIMULATED, vetting_s=0))
async def one_operator_with_many_identities(run: Run) -> None:
    """One operator joins fourteen times from one /24 and keeps nothing; it gets one shard of a blob at most.

    Everybody is vetted: no cap of newcomers helps, and the tags of members count.
    """
    operator = ManyIdentities(CROWD)
    honest = await start_among(run, [operator])
    await run.wait(5.0, 15.0)
    await _be_used(run, honest)
    for blob_id, shards in sorted(operator.signed.items()):
        run.count(DOMAINS)
        if len(shards) > 1:
            raise JudgementError(DOMAINS, f"one /24 holds {len(shards)} shards", subject=blob_id.text())


@scenario(FaultKind.BYZANTINE)
async def dishonest_writers(run: Run) -> None:
    """A third writes blobs of no encoding, or under bad leases, or certified by cliques; reads are exact, or fail."""
    writers = [DishonestWriter() for _ in range(run.spare())]
    honest = await start_among(run, writers)
    async with run.load(puts_every_s=10.0, gets_every_s=6.0, among=honest) as users:
        await run.wait(50.0, 80.0)
    users.demand_all()
    for crooked in [each for writer in writers for each in writer.crooked]:
        for name in honest:
            await _read_crooked(run, name, crooked)
    for writer in writers:
        if writer.wrongly_taken:
            raise JudgementError(REFUSALS, f"a holder took {writer.wrongly_taken[0]}")
        run.count(REFUSALS, writer.done.total())
    await run.heal(honest)
    await run.demand_progress(honest)


async def _read_crooked(run: Run, name: str, crooked: Crooked) -> None:
    """Read what a dishonest writer wrote: the only bytes that its metadata allows, or a typed error."""

    async def work(node: RunningNode) -> bytes:
        async with node.get(Reference(ReferenceKind.BLOB, crooked.blob_id)) as download:
            return b"".join([bytes(chunk) async for chunk in download.chunks])

    try:
        data = await run.machine(name).call(work)
    except P2PNodeError as error:
        run.world.trace.record("get of a crooked blob failed", name, type(error).__name__)
        return
    run.count(READS)
    if data != crooked.data:
        raise JudgementError(READS, "a read gave bytes of no encoding", node=name, subject=crooked.blob_id.text())


@scenario(FaultKind.BYZANTINE, FaultKind.KILL)
async def a_third_byzantine(run: Run) -> None:
    """A third has habits drawn from the seed, and honest nodes are restarted; the dishonest ones never stop."""
    honest = await start_among(run, [make() for make in run.rng.sample(ALL_HABITS, run.spare())])
    await run.try_put(run.rng.choice(honest), ONE_SEGMENT_BYTES)
    async with run.load(puts_every_s=10.0, gets_every_s=4.0, among=honest):
        for name in run.rng.sample(honest, 2):
            await run.wait(5.0, 20.0)
            run.inject.kill(name)
            await run.wait(1.0, 15.0)
            await run.restart(name)
        await run.wait(5.0, 20.0)
    await run.heal(honest)
    await run.demand_progress(honest)

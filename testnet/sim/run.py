"""One run of a scenario: what was stored, what was promised, what is broken, and the judges that look on.

A scenario works through this and nothing else: it starts nodes, stores and reads as users do, injects faults, heals a
core, and demands progress. Whatever was certified is on the shelf and is asked for again.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import trio

from p2pnode.errors import P2PNodeError
from p2pnode.services.results import PutResult
from testnet.sim.injection import Injector
from testnet.sim.judges import Judge, JudgementError
from testnet.sim.machine import Machine, NodeDiedError, RunningNode
from testnet.sim.world import World
from wire.references import Reference

SMALL_BYTES = 5_000
ONE_SEGMENT_BYTES = 100_000
SEVERAL_SEGMENTS_BYTES = 3_700_000
"""Three segments: at n = 10 a blob has at most 1,834,952 bytes."""

PROGRESS_S = 600.0
"""Once healed, everything that is asked for must be done within so much virtual time."""

_CHUNK_BYTES = 200_000

READS = "reads-are-exact"
PROGRESS = "progress"


@dataclass(frozen=True, slots=True)
class Stored:
    """Something that a put has reported as stored."""

    id: str
    data: bytes
    n: int


class Run:
    """What a scenario sees."""

    def __init__(self, world: World, *, nodes: int) -> None:
        """Start with nothing; `nodes` is how many the user wants."""
        self.world = world
        self.nodes = nodes
        self.log = world.log
        self.rng: random.Random = world.rng
        self.inject = Injector(world)
        self.shelf: list[Stored] = []
        self.judges: list[Judge] = []
        self.checked: dict[str, int] = {}
        """How many things each judge has looked at."""

    # ------------------------------------------------------------------ as users do

    async def start(self) -> None:
        """Start all nodes; returns when everyone knows everyone."""
        await self.world.start_nodes(self.nodes)

    def names(self) -> list[str]:
        """Return the names of all machines, whatever runs there."""
        return sorted(self.world.machines)

    async def put(self, name: str, size: int = SMALL_BYTES) -> PutResult:
        """Store random bytes through a node. Raises a `P2PNodeError`, or `NodeDiedError`; else it is on the shelf."""
        data = self.rng.randbytes(size)

        async def source() -> AsyncIterator[bytes]:
            for start in range(0, len(data), _CHUNK_BYTES):
                yield data[start : start + _CHUNK_BYTES]

        async def work(node: RunningNode) -> PutResult:
            return await node.put(source(), shards=None, size=len(data))

        result = await self.world.machines[name].call(work)
        self.world.trace.record("put", name, result.id, result.healthy)
        self.shelf.append(Stored(result.id, data, result.n))
        return result

    async def try_put(self, name: str, size: int = SMALL_BYTES) -> PutResult | None:
        """Store as `put` does; None when it fails as it may: with a typed error, or because its node died."""
        try:
            return await self.put(name, size)
        except (P2PNodeError, NodeDiedError) as error:
            self.world.trace.record("put failed", name, type(error).__name__)
            return None

    async def get(self, name: str, stored: Stored) -> None:
        """Read through a node and compare. Raises a `P2PNodeError`, `NodeDiedError`, or `JudgementError`."""

        async def work(node: RunningNode) -> bytes:
            async with node.get(Reference.parse(stored.id)) as download:
                return b"".join([bytes(chunk) async for chunk in download.chunks])

        data = await self.world.machines[name].call(work)
        self.world.trace.record("get", name, stored.id)
        self._count(READS)
        if data != stored.data:
            raise JudgementError(READS, "a read returned other bytes than were stored", node=name, subject=stored.id)

    async def try_get(self, name: str, stored: Stored) -> bool:
        """Read as `get` does; False when it fails as it may."""
        try:
            await self.get(name, stored)
        except (P2PNodeError, NodeDiedError) as error:
            self.world.trace.record("get failed", name, type(error).__name__)
            return False
        return True

    # ------------------------------------------------------------------ phases

    async def check(self) -> None:
        """Let every judge check now. Raises `JudgementError`."""
        for judge in self.judges:
            self._count(judge.name, await judge.check())

    async def heal(self, core: Sequence[str] | None = None) -> None:
        """End all faults for the core (all machines unless told otherwise); whoever is not in it stays broken.

        Cuts between members of the core end, paused ones go on, killed ones start again, disks work, have room and are
        fast, clocks are right. Returns when the core knows each other.
        """
        await self.check()
        await self.inject.heal(core or self.names())
        await self.check()

    async def demand_progress(self, core: Sequence[str] | None = None) -> None:
        """Demand that each of the core reads something, that all on the shelf is read, and that a put succeeds."""
        names = list(core or self.names())
        with trio.move_on_after(PROGRESS_S) as patience:
            for number, stored in enumerate(self.shelf):
                await self._must(names[number % len(names)], stored)
            for name in names:
                if self.shelf:
                    await self._must(name, self.rng.choice(self.shelf))
            try:
                await self.put(self.rng.choice(names))
            except P2PNodeError as error:
                raise JudgementError(PROGRESS, f"a put fails though all is healed: {error}") from error
        if patience.cancelled_caught:
            raise JudgementError(PROGRESS, f"reads and a put are not done {PROGRESS_S:.0f} s after all was healed")
        self._count(PROGRESS)
        await self.check()

    async def _must(self, name: str, stored: Stored) -> None:
        try:
            await self.get(name, stored)
        except P2PNodeError as error:
            message = f"what was certified cannot be read though all is healed: {error}"
            raise JudgementError(PROGRESS, message, node=name, subject=stored.id) from error

    def machine(self, name: str) -> Machine:
        """Return a machine."""
        return self.world.machines[name]

    def _count(self, judge: str, count: int = 1) -> None:
        self.checked[judge] = self.checked.get(judge, 0) + count

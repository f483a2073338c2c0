"""One run of a scenario: what was stored, what was promised, what is broken, and the judges that look on.

A scenario works through this and nothing else: it starts nodes, stores and reads as users do, injects faults, heals a
core, and demands progress. Whatever was certified is on the shelf and is asked for again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import trio

from p2pnode import bft
from p2pnode.errors import P2PNodeError
from p2pnode.placement import shape
from p2pnode.services.results import PutResult
from testnet.sim import users
from testnet.sim.faults import FaultKind
from testnet.sim.injection import Injector
from testnet.sim.judges import Bench, Judge, JudgementError
from testnet.sim.load import Load, under_load
from testnet.sim.machine import Machine, NodeDiedError
from testnet.sim.world import World

SMALL_BYTES = 5_000
ONE_SEGMENT_BYTES = 100_000
SEVERAL_SEGMENTS_BYTES = 3_700_000
"""Three segments: at n = 10 a blob has at most 1,834,952 bytes."""

PROGRESS_S = 600.0
"""Once healed, everything that is asked for must be done within so much virtual time."""

HEALED = "all is healed"
HEALTHY = "nothing is broken yet"

_POLL_S = 0.2

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
        self.bench = Bench(world, self.shelf)
        self.judges: list[Judge] = self.bench.all
        self.checked: dict[str, int] = {}
        """How many things each judge has looked at."""
        self.figures: dict[str, float] = {}
        """What a scenario has measured, by what it is and its unit."""

    # ------------------------------------------------------------------ as users do

    async def start(self) -> None:
        """Start all nodes; returns when everyone knows everyone."""
        await self.world.start_nodes(self.nodes)

    def names(self) -> list[str]:
        """Return the names of all machines, whatever runs there."""
        return sorted(self.world.machines)

    async def put(self, name: str, size: int = SMALL_BYTES, *, data: bytes = b"", pace_s: float = 0.0) -> PutResult:
        """Store through a node: random bytes unless told which, slowly as `users.put` says. Then it is on the shelf.

        Raises a `P2PNodeError`, or `NodeDiedError`.
        """
        data = data or self.rng.randbytes(size)
        with self.bench.reads.typed_errors(name, "put"):
            result = await users.put(self.machine(name), data, pace_s=pace_s)
        self.world.trace.record("put", name, result.id, result.healthy)
        self.bench.put_done(name, result)
        self.shelf.append(Stored(result.id, data, result.n))
        return result

    def load(
        self,
        *,
        puts_every_s: float = 10.0,
        gets_every_s: float = 5.0,
        size: int = SMALL_BYTES,
        among: Sequence[str] | None = None,
    ) -> AbstractAsyncContextManager[Load]:
        """Store and read again and again while the context lasts, each through a random node that runs then.

        They may fail as `try_put` and `try_get` may; `Load.demand_all` is for faults at which none may. On leaving no
        more are begun, and those under way are waited for.
        """
        return under_load(self, puts_every_s=puts_every_s, gets_every_s=gets_every_s, size=size, among=among)

    async def try_put(self, name: str, size: int = SMALL_BYTES, pace_s: float = 0.0) -> PutResult | None:
        """Store as `put` does; None when it fails as it may: with a typed error, or because its node died."""
        try:
            return await self.put(name, size, pace_s=pace_s)
        except (P2PNodeError, NodeDiedError) as error:
            self.world.trace.record("put failed", name, type(error).__name__)
            return None

    async def get(self, name: str, stored: Stored) -> None:
        """Read through a node and compare. Raises a `P2PNodeError`, `NodeDiedError`, or `JudgementError`."""
        with self.bench.reads.typed_errors(name, "get", stored.id):
            data = await users.get(self.machine(name), stored.id)
        self.world.trace.record("get", name, stored.id)
        self.bench.reads.read_done(name, stored.id, expected=stored.data, got=data)

    async def try_get(self, name: str, stored: Stored) -> bool:
        """Read as `get` does; False when it fails as it may."""
        try:
            await self.get(name, stored)
        except (P2PNodeError, NodeDiedError) as error:
            self.world.trace.record("get failed", name, type(error).__name__)
            return False
        return True

    async def must_get(self, name: str, stored: Stored, why: str) -> None:
        """Read as `get` does; an error is a judgement, `why` says what it contradicts."""
        try:
            await self.get(name, stored)
        except P2PNodeError as error:
            raise JudgementError(
                PROGRESS, f"a get fails though {why}: {error}", node=name, subject=stored.id
            ) from error

    async def must_put(self, name: str, why: str, size: int = SMALL_BYTES, *, data: bytes = b"") -> PutResult:
        """Store as `put` does; an error is a judgement, `why` says what it contradicts."""
        try:
            return await self.put(name, size, data=data)
        except P2PNodeError as error:
            raise JudgementError(PROGRESS, f"a put fails though {why}: {error}", node=name) from error

    # ------------------------------------------------------------------ time and machines

    async def wait(self, least_s: float, most_s: float) -> None:
        """Let a random time pass, so that what comes next comes at another moment in each run."""
        await trio.sleep(self.rng.uniform(least_s, most_s))

    def has_fired(self, *kinds: FaultKind) -> bool:
        """Tell whether a node has met each of these faults."""
        return all(self.log.fired[kind] for kind in kinds)

    async def until_fired(self, *kinds: FaultKind, timeout_s: float = 300.0) -> None:
        """Wait until a node has met each of these faults, or the time is over: the runner then says so."""
        with trio.move_on_after(timeout_s):
            while not self.has_fired(*kinds):  # noqa: ASYNC110 - counts have no event
                await trio.sleep(_POLL_S)

    def some(self, count: int) -> list[str]:
        """Return so many machines, chosen at random."""
        return self.rng.sample(self.names(), count)

    def others(self, names: Sequence[str]) -> list[str]:
        """Return all machines but these."""
        return [name for name in self.names() if name not in names]

    def parts(self, count: int) -> list[list[str]]:
        """Return all machines in so many parts, at random and as equal as can be."""
        shuffled = self.some(len(self.names()))
        return [sorted(shuffled[number::count]) for number in range(count)]

    def spare(self) -> int:
        """Return f of a small blob here: how many nodes may be missing while all that is stored is read."""
        return bft.faulty(shape.default_shards(members=self.nodes, size=SMALL_BYTES))

    async def join(self, name: str) -> None:
        """Start a node on a machine that was never there, told of one that runs."""
        await self.world.start_node(name, bootstrap=[self.rng.choice(self.running())])

    def mend_wires(self) -> None:
        """End every cut now, without waiting for anything: what was held goes on its way."""
        self.world.fabric.heal()

    async def restart(self, name: str) -> None:
        """Start a machine's node again, unless it runs."""
        if not self.machine(name).is_running:
            await self.world.restart(name)

    def running(self) -> list[str]:
        """Return the names of the machines on which a node runs and has started."""
        return [machine.name for machine in self.world.running() if machine.is_ready]

    # ------------------------------------------------------------------ phases

    def check(self) -> None:
        """Let every judge check now. Raises `JudgementError`."""
        for judge in self.judges:
            self.count(judge.name, judge.check())

    async def heal(self, core: Sequence[str] | None = None) -> None:
        """End all faults for the core (all machines unless told otherwise); whoever is not in it stays broken.

        Cuts between members of the core end, paused ones go on, killed ones start again, disks work, have room and are
        fast, clocks are right. Returns when the core knows each other.
        """
        self.check()
        await self.inject.heal(core or self.names())
        self.check()

    async def demand_progress(self, core: Sequence[str] | None = None) -> None:
        """Demand that each of the core reads something, that all on the shelf is read, and that a put succeeds."""
        names = list(core or self.names())
        shelf = self.rng.sample(self.shelf, len(self.shelf))
        with trio.move_on_after(PROGRESS_S) as patience:
            for number in range(max(len(names), len(shelf)) if shelf else 0):
                await self.must_get(names[number % len(names)], shelf[number % len(shelf)], HEALED)
            await self.must_put(self.rng.choice(names), HEALED)
        if patience.cancelled_caught:
            raise JudgementError(PROGRESS, f"reads and a put are not done {PROGRESS_S:.0f} s after all was healed")
        self.count(PROGRESS)
        self.check()

    def machine(self, name: str) -> Machine:
        """Return a machine."""
        return self.world.machines[name]

    def count(self, judge: str, count: int = 1) -> None:
        """Note that a judge has looked at so many things."""
        self.checked[judge] = self.checked.get(judge, 0) + count

"""Puts and gets that go on while faults happen, as users do them, and what became of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from p2pnode.errors import P2PNodeError
from testnet.sim.judges import JudgementError
from testnet.sim.machine import NodeDiedError

if TYPE_CHECKING:
    from testnet.sim.run import Run

AT_ONCE_MAX = 12
"""Puts and gets that are under way together; a turn that finds so many is left out."""

END_S = 120.0
"""How long those under way are waited for at the end; a read gives up after a minute, a write not much later."""

AVAILABLE = "stays-available"


class Load:
    """The puts and gets of some users. Those whose own node dies count neither as done nor as failed."""

    def __init__(self, run: Run, *, size: int, among: Sequence[str] | None) -> None:
        """Store `size` bytes at a time, through these machines or through all."""
        self._run = run
        self._size = size
        self._among = among
        self._under_way = 0
        self.stored = 0
        self.read = 0
        self.failures: list[tuple[str, str, P2PNodeError]] = []
        """Each one that ended with an error that it may end with: the node, what was asked of it, the error."""

    def demand_all(self) -> None:
        """Demand that none failed, and that there were some: for faults that the others make up for."""
        for node, what, error in self.failures:
            raise JudgementError(AVAILABLE, f"a {what} fails though enough nodes work: {error}", node=node)
        if not self.stored or not self.read:
            raise JudgementError(AVAILABLE, f"only {self.stored} puts and {self.read} gets were made")
        self._run.count(AVAILABLE, self.stored + self.read)

    async def repeat(self, nursery: trio.Nursery, every_s: float, work: Callable[[str], Awaitable[None]]) -> None:
        """Begin one piece of work after the other, each in the nursery and through a random node that runs."""
        run = self._run
        while True:
            names = [name for name in self._among or run.names() if run.machine(name).is_ready]
            if names and self._under_way < AT_ONCE_MAX:
                self._under_way += 1
                nursery.start_soon(self._do, work, run.rng.choice(names))
            await trio.sleep(every_s)

    async def put(self, name: str) -> None:
        """Store once."""
        await self._run.put(name, self._size)
        self.stored += 1

    async def get(self, name: str) -> None:
        """Read something once, if anything was stored."""
        if self._run.shelf:
            await self._run.get(name, self._run.rng.choice(self._run.shelf))
            self.read += 1

    async def _do(self, work: Callable[[str], Awaitable[None]], name: str) -> None:
        try:
            if self._run.machine(name).is_ready:  # It may have died since this task was begun.
                await work(name)
        except NodeDiedError:
            self._run.world.trace.record("user lost the node", name)
        except P2PNodeError as error:
            self._run.world.trace.record(f"{work.__name__} failed", name, type(error).__name__)
            self.failures.append((name, work.__name__, error))
        finally:
            self._under_way -= 1


@asynccontextmanager
async def under_load(
    run: Run, *, puts_every_s: float, gets_every_s: float, size: int, among: Sequence[str] | None
) -> AsyncIterator[Load]:
    """Store and read again and again while the context lasts; see `Run.load`."""
    load = Load(run, size=size, among=among)
    async with trio.open_nursery() as under_way:
        async with trio.open_nursery() as users:
            users.start_soon(load.repeat, under_way, puts_every_s, load.put)
            users.start_soon(load.repeat, under_way, gets_every_s, load.get)
            yield load
            users.cancel_scope.cancel()
        under_way.cancel_scope.deadline = trio.current_time() + END_S

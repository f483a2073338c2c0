"""A world of simulated machines: start nodes, kill them, cut them off, and compare what happened by its hash.

`run_world` runs one scenario in virtual time. The same seed gives the same trace hash in every process. An exception
that leaves a handler of a node's code fails the run at its end, unless the scenario expects its type.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import trio

from p2pnode.config import PUBLIC, Profile
from p2pnode.node import Node, NodeConfig
from testnet.sim.clock import SimClock, run_in_virtual_time
from testnet.sim.disk_events import DiskEvent, DiskOperation
from testnet.sim.escapes import trap_escapes
from testnet.sim.fabric import Fabric, Link
from testnet.sim.faults import FaultLog
from testnet.sim.files import SimFiles
from testnet.sim.habits import Habit
from testnet.sim.machine import Life, Machine, NodeFactory, NodeParts, RunningNode, current_life
from testnet.sim.network import SimNetwork
from testnet.sim.offload import SimOffload
from testnet.sim.rng import SimRng, generator
from testnet.sim.trace import Trace

VIRTUAL_SECONDS_MAX = 24 * 3600.0
"""A scenario that is not done after a virtual day never will be, unless it says that it takes longer."""

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 60.0
"""How long a node may take to start, or to be torn down after it was killed, in virtual time."""

POLL_S = 0.1
"""How often a condition is looked at, in virtual time."""

QUOTA_BYTES = 1 << 30

_TRACED = frozenset({DiskOperation.FSYNC, DiskOperation.SYNC_DIRECTORY, DiskOperation.RENAME, DiskOperation.COMMIT})


_OUR_LOGGER = "p2pnode"


class NodeCodeError(Exception):
    """Code of a node raised where nothing may, or logged a traceback; the cause is the first such exception."""


class _Tracebacks(logging.Handler):
    """Notes each exception that living nodes catch in an outermost loop and log: in a simulation it is a failure."""

    def __init__(self, fabric: Fabric) -> None:
        super().__init__(logging.ERROR)
        self._fabric = fabric

    def emit(self, record: logging.LogRecord) -> None:
        life = current_life.get()
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Exception) and life is not None and not life.was_killed:
            self._fabric.report(life.network, f"{record.name}: {record.getMessage()}", error)


@contextmanager
def _tracebacks_noted(fabric: Fabric) -> Iterator[None]:
    handler, logger = _Tracebacks(fabric), logging.getLogger(_OUR_LOGGER)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldReport:
    """How a run went."""

    trace_hash: str
    events: int
    virtual_seconds: float


Scenario = Callable[["World"], Awaitable[None]]


def production_node(profile: Profile) -> NodeFactory:
    """Return a factory for the class that ships, with this profile."""

    def make(parts: NodeParts) -> RunningNode:
        config = NodeConfig(
            network_name="simulated",
            profile=profile,
            identity=parts.identity,
            owner=parts.owner,
            bootstrap=parts.bootstrap,
            quota_bytes=QUOTA_BYTES,
        )
        return Node(
            config,
            network=parts.network,
            clock=parts.clock,
            rng=parts.rng,
            files=parts.files,
            offload=parts.offload,
        )

    return make


def run_world(
    seed: int,
    scenario: Scenario,
    *,
    profile: Profile = PUBLIC,
    link: Link | None = None,
    expected: tuple[type[Exception], ...] = (),
    seconds_max: float = VIRTUAL_SECONDS_MAX,
    injections_max: int | None = None,
) -> WorldReport:
    """Run a scenario. Raises what it raises, `NodeCodeError`, `DeadlockError`, `TooSlowError` after `seconds_max`.

    Of the faults that it injects through the log only the first `injections_max` happen.
    """

    async def main(clock: SimClock) -> WorldReport:
        with trap_escapes():
            async with trio.open_nursery() as nursery:
                world = World(
                    seed,
                    clock=clock,
                    nursery=nursery,
                    factory=production_node(profile),
                    link=link,
                    injections_max=injections_max,
                )
                with trio.fail_after(seconds_max), _tracebacks_noted(world.fabric):
                    await scenario(world)
                nursery.cancel_scope.cancel()
        world.check_failures(expected)
        return WorldReport(
            trace_hash=world.trace.digest(), events=world.trace.count, virtual_seconds=clock.current_time()
        )

    return run_in_virtual_time(main, seed=seed)


class World:
    """Everything that a scenario can see and do."""

    def __init__(
        self,
        seed: int,
        *,
        clock: SimClock,
        nursery: trio.Nursery,
        factory: NodeFactory,
        link: Link | None,
        injections_max: int | None = None,
    ) -> None:
        """Start empty."""
        self.seed = seed
        self.rng = self.generator("scenario")
        self.trace = Trace(clock)
        self.log = FaultLog(self.trace, injections_max=injections_max)
        self.fabric = Fabric(clock=clock, rng=self.generator("fabric"), trace=self.trace, log=self.log, link=link)
        self.machines: dict[str, Machine] = {}
        self.clock = clock
        self._nursery = nursery
        self._factory = factory
        self._lives = itertools.count(1)

    def generator(self, purpose: str) -> random.Random:
        """Return a generator of its own for one purpose."""
        return generator(self.seed, purpose)

    # ------------------------------------------------------------------ nodes

    async def start_node(self, name: str, *, bootstrap: Sequence[str] = (), habit: Habit | None = None) -> Machine:
        """Start a node on a new machine, or again on an old one; `bootstrap` and `habit` hold for later lives too.

        `bootstrap` names machines.

        Returns when the node can put and get.
        """
        machine = self.machines.get(name) or self._new_machine(name)
        assert not machine.is_running, f"a node runs on {name} already"
        if bootstrap:
            machine.bootstrap = tuple(self.machines[other].full_address for other in bootstrap)
        machine.habit = habit or machine.habit
        number = next(self._lives)
        network = SimNetwork(self.fabric, name=name, peer_id=machine.peer_id, listen=[machine.address])
        offload = SimOffload(self.clock, self.generator(f"{name}/{number}/offload"))
        parts = NodeParts(
            identity=machine.identity,
            owner=machine.owner,
            bootstrap=machine.bootstrap,
            network=network,
            clock=machine.clock,
            rng=SimRng(self.generator(f"{name}/{number}/rng")),
            files=machine.files,
            offload=offload,
        )
        machine.life = self._new_life(machine, parts, network, offload)
        self._nursery.start_soon(machine.life.run)
        with trio.fail_after(START_TIMEOUT_S):
            await machine.life.started.wait()
        return machine

    def _new_life(self, machine: Machine, parts: NodeParts, network: SimNetwork, offload: SimOffload) -> Life:
        habit = machine.habit
        if habit is None:
            return Life(name=machine.name, node=self._factory(parts), network=network, offload=offload)
        bent = habit.bend(parts, self)
        return Life(
            name=machine.name,
            node=self._factory(bent),
            network=network,
            offload=offload,
            beside=partial(habit.run, bent, self),
        )

    async def start_nodes(self, count: int) -> list[Machine]:
        """Start n0, n1, ..; all but the first know only the first. Returns when everyone knows everyone."""
        await self.start_node("n0")
        async with trio.open_nursery() as nursery:
            for number in range(1, count):
                nursery.start_soon(partial(self.start_node, f"n{number}", bootstrap=["n0"]))
        await self.all_meet()
        return self.running()

    async def all_meet(self) -> None:
        """Wait until every running node knows every other one and is connected with it."""
        others = len(self.running()) - 1

        def have_met() -> bool:
            infos = [each.node.info() for each in self.running()]
            return all(info.members >= others and info.connected >= others for info in infos)

        await self.wait_until(have_met)

    def running(self) -> list[Machine]:
        """Return the machines on which a node runs, in the order of their names."""
        return [machine for _, machine in sorted(self.machines.items()) if machine.is_running]

    def kill(self, name: str, *, power: bool = True) -> None:
        """End a node at this instant, wherever its code is; callable from a disk's hook.

        With `power` the machine loses power: unsynced data is lost at random, and nobody is told. Without, only the
        process dies (SIGKILL): written data stays, and the peers' connections are reset.
        """
        machine = self.machines[name]
        life = machine.life
        if life is None or life.was_killed:
            return
        life.was_killed = True
        number = next(self._lives)
        self.trace.record("kill", name, "power" if power else "process")
        machine.files = machine.files.crash(self.generator(f"{name}/{number}/crash")) if power else machine.files.stop()
        life.offload.die()
        life.network.die(is_silent=power)
        life.scope.cancel()

    async def restart(self, name: str) -> Machine:
        """Start a killed node again, with what is left on its disk."""
        life = self.machines[name].life
        assert life is not None
        with trio.fail_after(END_TIMEOUT_S):
            await life.ended.wait()
        return await self.start_node(name)

    # ------------------------------------------------------------------ waiting and judging

    async def wait_until(self, condition: Callable[[], bool], *, timeout_s: float = 300.0) -> None:
        """Wait in virtual time. Raises `trio.TooSlowError`."""
        with trio.fail_after(timeout_s):
            while not condition():  # noqa: ASYNC110 - any condition on any node; a look costs no real time
                await trio.sleep(POLL_S)

    def check_failures(self, expected: tuple[type[Exception], ...]) -> None:
        """Raise `NodeCodeError` when a handler let an exception out that nobody expects."""
        failures = [each for each in self.fabric.failures if not isinstance(each.error, expected)]
        if failures:
            first = failures[0]
            raise NodeCodeError(f"{len(failures)} in all; first {first.node}, {first.where}") from first.error

    def _new_machine(self, name: str) -> Machine:
        def observe(event: DiskEvent) -> None:
            if event.is_done and event.operation in _TRACED:
                self.trace.record("disk", name, event.operation, event.name)

        files = SimFiles(observer=observe)
        machine = Machine(name, number=len(self.machines), keys=self.generator(f"{name}/keys"), files=files)
        self.machines[name] = machine
        return machine

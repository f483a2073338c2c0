"""A world of simulated machines: start nodes, kill them, cut them off, and compare what happened by its hash.

`run_world` runs one scenario in virtual time. The same seed gives the same trace hash in every process. An exception
that leaves a handler of a node's code fails the run at its end, unless the scenario expects its type.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import trio

from crypto.keys import SigningKey
from crypto.peer_id import peer_id_to_text
from p2pnode.config import Profile
from p2pnode.node import Node
from p2pnode.protocols.successions import Predecessor
from p2pnode.services.node_config import NodeConfig
from testnet.sim.admission import SIMULATED, solved
from testnet.sim.clock import SimClock, run_in_virtual_time
from testnet.sim.disk_events import DiskEvent, DiskOperation
from testnet.sim.disk_faults import DiskFaults
from testnet.sim.escapes import trap_escapes
from testnet.sim.fabric import Fabric, Link
from testnet.sim.faults import FaultLog
from testnet.sim.files import SimFiles
from testnet.sim.habits import Habit
from testnet.sim.machine import Life, Machine, NodeFactory, NodeParts, RunningNode, current_life
from testnet.sim.memo import pure_answers_remembered
from testnet.sim.network import SimNetwork
from testnet.sim.offload import SimOffload
from testnet.sim.pauses import Pauses
from testnet.sim.rng import SimRng, generator
from testnet.sim.trace import Trace

VIRTUAL_SECONDS_MAX = 24 * 3600.0
"""A scenario that is not done after a virtual day never will be, unless it says that it takes longer."""

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 60.0
"""How long a node may take to start, or to be torn down after it was killed, in virtual time."""

NEIGHBOURS_ENOUGH = 32
"""Connections of a node that has found its place in a network where nobody is connected with everybody."""

NODES_PER_SEED = 32
"""So many newcomers are told of the same node: a network has more than one that is known to the public."""

MEET_TIMEOUT_S = 300.0
"""How long nodes may take until everybody knows everybody."""

MANY_MEET_TIMEOUT_S = 1200.0
"""The same where there are many, each of which checks the admission work of all others: two periods of records."""

JOIN_EVERY_S = 0.2
"""How soon one newcomer follows the other where there are many: not all machines are switched on at one moment."""

POLL_S = 0.1
"""How often a condition is looked at, in virtual time."""

QUOTA_BYTES = 1 << 30
NETWORK_NAME = "simulated"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chores:
    """What nodes do of themselves only where a scenario is about it, because all others count every pair."""

    minds_own_things: bool = False
    """Whether they renew what their owners stored, and publish the list of it."""
    repairs: bool = False
    """Whether they rebuild what is missing."""


NO_CHORES = Chores()


def production_node(profile: Profile, chores: Chores = NO_CHORES) -> NodeFactory:
    """Return a factory for the class that ships, with this profile."""

    def make(parts: NodeParts) -> RunningNode:
        config = NodeConfig(
            network_name=NETWORK_NAME,
            profile=profile,
            identity=parts.identity,
            owner=parts.owner,
            predecessors=parts.predecessors,
            bootstrap=parts.bootstrap,
            quota_bytes=QUOTA_BYTES,
            work=solved(parts.identity, NETWORK_NAME, profile),
            domain_tag=parts.domain_tag,
            minds_own_things=chores.minds_own_things,
            repairs=chores.repairs,
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
    profile: Profile = SIMULATED,
    link: Link | None = None,
    expected: tuple[type[Exception], ...] = (),
    seconds_max: float = VIRTUAL_SECONDS_MAX,
    injections_max: int | None = None,
    chores: Chores = NO_CHORES,
) -> WorldReport:
    """Run a scenario. Raises what it raises, `NodeCodeError`, `DeadlockError`, `TooSlowError` after `seconds_max`.

    Of the faults that it injects through the log only the first `injections_max` happen. Nodes that mind their own
    things renew leases and publish catalogues by themselves.
    """

    async def main(clock: SimClock) -> WorldReport:
        with trap_escapes(), pure_answers_remembered():
            async with trio.open_nursery() as nursery:
                world = World(
                    seed,
                    clock=clock,
                    nursery=nursery,
                    profile=profile,
                    link=link,
                    injections_max=injections_max,
                    chores=chores,
                )
                with trio.fail_after(seconds_max), _tracebacks_noted(world.fabric):
                    try:
                        await scenario(world)
                    finally:
                        world.pauses.end()
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
        profile: Profile,
        link: Link | None,
        injections_max: int | None = None,
        chores: Chores = NO_CHORES,
    ) -> None:
        """Start empty."""
        self.seed = seed
        self.rng = self.generator("scenario")
        self.trace = Trace(clock)
        self.log = FaultLog(self.trace, injections_max=injections_max)
        self.fabric = Fabric(clock=clock, rng=self.generator("fabric"), trace=self.trace, log=self.log, link=link)
        self.pauses = Pauses(clock, self.fabric, self.log)
        self.machines: dict[str, Machine] = {}
        self.clock = clock
        self._nursery = nursery
        self.profile = profile
        self._factory = production_node(profile, chores)
        self._lives = itertools.count(1)

    def generator(self, purpose: str) -> random.Random:
        """Return a generator of its own for one purpose."""
        return generator(self.seed, purpose)

    # ------------------------------------------------------------------ nodes

    async def start_node(
        self,
        name: str,
        *,
        bootstrap: Sequence[str] = (),
        habit: Habit | None = None,
        address: str = "",
        domain_tag: str = "",
        owner: SigningKey | None = None,
        predecessors: tuple[Predecessor, ...] = (),
    ) -> Machine:
        """Start a node on a new machine, or again on an old one; all that is given holds for later lives too.

        `bootstrap` names machines; without an `address` and a `domain_tag` a machine is in a failure domain of its own.

        Returns when the node can put and get.
        """
        machine = self.machines.get(name) or self._new_machine(name)
        assert not machine.is_running, f"a node runs on {name} already"
        if bootstrap:
            machine.bootstrap = tuple(self.machines[other].full_address for other in bootstrap)
        machine.habit = habit or machine.habit
        machine.address = address or machine.address
        machine.domain_tag = domain_tag or machine.domain_tag
        machine.owner = owner or machine.owner
        machine.predecessors = predecessors or machine.predecessors
        number = next(self._lives)
        network = SimNetwork(self.fabric, name=name, peer_id=machine.peer_id, listen=[machine.address])
        offload = SimOffload(self.clock, self.generator(f"{name}/{number}/offload"), disk=machine.files.faults)
        parts = NodeParts(
            identity=machine.identity,
            owner=machine.owner,
            predecessors=machine.predecessors,
            bootstrap=machine.bootstrap,
            network=network,
            clock=machine.clock,
            rng=SimRng(self.generator(f"{name}/{number}/rng")),
            files=machine.files,
            offload=offload,
            domain_tag=machine.domain_tag,
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
        """Start n0, n1, ..; all but the first know only the first. Returns when everyone knows everyone.

        Of many nodes one in NODES_PER_SEED is told of the first, and each of the others, one after the other, of one of
        these.
        """
        await self.start_node("n0")
        seeds = max(1, count // NODES_PER_SEED)
        for numbers in (range(1, seeds), range(seeds, count)):
            async with trio.open_nursery() as nursery:
                for number in numbers:
                    seed = f"n{number % seeds}" if number >= seeds else "n0"
                    nursery.start_soon(partial(self.start_node, f"n{number}", bootstrap=[seed]))
                    if seeds > 1:
                        await trio.sleep(JOIN_EVERY_S)
        await self.all_meet(timeout_s=MANY_MEET_TIMEOUT_S if seeds > 1 else MEET_TIMEOUT_S)
        return self.running()

    async def all_meet(self, core: Collection[str] | None = None, *, timeout_s: float = MEET_TIMEOUT_S) -> None:
        """Wait until every running node knows every other one and is connected with it; with a core, each of that.

        Where there are more nodes than NEIGHBOURS_ENOUGH so many connections of each are enough.
        """
        others = len(self.running()) - 1
        waited_for: list[Machine] = []

        def has_met(machine: Machine) -> bool:
            info = machine.node.info()
            return info.connected >= min(others, NEIGHBOURS_ENOUGH) and info.members >= others

        def have_met() -> bool:
            # One that has not is looked at until it has; all are looked at once more at the end.
            waited_for[:] = [each for each in waited_for[-1:] if each.is_running and not has_met(each)]
            if not waited_for:
                waited_for.extend(itertools.islice(itertools.filterfalse(has_met, self.running()), 1))
            return not waited_for

        def core_has_met() -> bool:
            machines = [self.machines[name] for name in core or ()]
            ids = {peer_id_to_text(machine.peer_id) for machine in machines}
            met = ({peer.peer_id for peer in machine.node.peers() if peer.connected} for machine in machines)
            return all(len(ids - each) <= 1 for each in met)  # It does not list itself.

        is_everybody = core is None or set(core) == {machine.name for machine in self.running()}
        await self.wait_until(have_met if is_everybody else core_has_met, timeout_s=timeout_s)

    def is_honest(self, name: str) -> bool:
        """Tell whether this machine's node does what it ships to do."""
        return self.machines[name].habit is None

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
        self.pauses.resume(name)

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

        files = SimFiles(observer=observe, faults=DiskFaults(self.generator(f"{name}/disk"), self.log.fire))
        machine = Machine(name, number=len(self.machines), keys=self.generator(f"{name}/keys"), files=files)
        self.machines[name] = machine
        return machine

"""One simulated machine: its disk, clock, address and keys, which outlive the node processes that run on it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import outcome
import trio

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.protocols.catalogue import catalogue_key
from p2pnode.protocols.successions import Predecessor, make_succession
from p2pnode.seams import Clock, Files, Network, Offload, OnRunning, Rng
from p2pnode.services.results import NodeFace
from testnet.sim.clock import NodeClock, deadlines_of
from testnet.sim.disk_events import NodeKilledError
from testnet.sim.files import SimFiles
from testnet.sim.habits import Habit
from testnet.sim.network import SimNetwork
from testnet.sim.offload import SimOffload
from wire.ids import PeerId

T = TypeVar("T")


class RunningNode(NodeFace, Protocol):
    """What the world needs of a node: what the API needs, and a way to run it."""

    async def run(self, *, task_status: OnRunning) -> None:
        """Run until cancelled; started once it can put and get."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """Everything that a node is built from."""

    identity: SigningKey
    owner: SigningKey
    predecessors: tuple[Predecessor, ...] = ()
    bootstrap: tuple[str, ...]
    network: Network
    clock: Clock
    rng: Rng
    files: Files
    offload: Offload
    domain_tag: str


NodeFactory = Callable[[NodeParts], RunningNode]


class NodeDiedError(Exception):
    """The node was killed before it answered a call of the scenario."""


@dataclass(slots=True, kw_only=True)
class Life:
    """One run of a node's process."""

    name: str
    node: RunningNode
    network: SimNetwork
    offload: SimOffload
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    started: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    beside: Callable[[], Awaitable[None]] | None = None
    """What a dishonest peer does beside its node."""
    was_killed: bool = False
    _nursery: trio.Nursery | None = None
    _context: Context = field(default_factory=copy_context)

    async def run(self) -> None:
        """Run the node to its end. What a killed node's code raises while it is torn down says nothing."""
        current_life.set(self)
        self._context = copy_context()
        try:
            with self.scope:
                async with trio.open_nursery() as self._nursery:
                    await self._nursery.start(self._run_node)
                    if self.beside is not None:
                        self._nursery.start_soon(self.beside)
                    self.started.set()
        except BaseException as error:  # noqa: BLE001 - the end of a life; what is not the death itself is raised again
            remains = _without_death(error) if self.was_killed else error
            if remains is not None:
                raise remains from None
        finally:
            self.ended.set()

    def service_tasks(self) -> int:
        """Return how many tasks the node itself runs: its services and what it serves, not the calls of a scenario."""
        tasks = (
            [] if self._nursery is None else [each for each in self._nursery.child_tasks if "_run_node" in each.name]
        )
        count = 0
        while tasks:
            task = tasks.pop()
            count += 1
            tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        return count

    def deadlines(self) -> dict[trio.CancelScope, float]:
        """Return the deadlines of all that runs in this life."""
        return {} if self._nursery is None else deadlines_of(self._nursery, below=self.scope)

    async def _run_node(self, *, task_status: OnRunning) -> None:
        await self.node.run(task_status=task_status)

    async def call(self, function: Callable[[RunningNode], Awaitable[T]]) -> T:
        """Run something in the node's own process. Raises what it raises, `NodeDiedError` when the node is killed."""
        assert self._nursery is not None, "the node has not started"
        results: list[outcome.Outcome[T]] = []
        done = trio.Event()

        async def work() -> None:
            try:
                results.append(outcome.Value(await function(self.node)))
            except Exception as error:  # noqa: BLE001 - it is raised in the scenario
                results.append(outcome.Error(error))
            finally:
                done.set()

        self._context.run(self._nursery.start_soon, work)
        await done.wait()
        if self.was_killed:
            raise NodeDiedError(self.name)
        if not results:  # The node itself has failed; its error ends the whole run, and this call with it.
            await trio.sleep_forever()
        return results[0].unwrap()


current_life: ContextVar[Life | None] = ContextVar("current_life", default=None)
"""Whose code runs: set in every task of a node, and in what its offload does."""


class Machine:
    """A named machine of a world."""

    def __init__(self, name: str, *, number: int, keys: random.Random, files: SimFiles) -> None:
        """Make its keys; machines with different numbers are in different failure domains."""
        self.name = name
        self.identity = SigningKey(keys.randbytes(SEED_BYTES))
        self.owner = SigningKey(keys.randbytes(SEED_BYTES))
        self.predecessors: tuple[Predecessor, ...] = ()
        """The owner's earlier keys."""
        self.address = f"/ip4/{20 + number // 256}.{number % 256}.0.7/tcp/4710"
        self.domain_tag = ""
        self.clock = NodeClock()
        self.files = files
        self.bootstrap: tuple[str, ...] = ()
        self.habit: Habit | None = None
        """What makes this machine's node dishonest."""
        self.life: Life | None = None
        self.has_left = False
        """Whether it was taken away for ever."""

    def rotate_owner(self, successor: SigningKey, *, network: str) -> None:
        """Put a new owner key in the place of the old one, as `p2pnode id rotate-owner` does; for the next life."""
        time = int(self.clock.wall())
        succession = make_succession(self.owner, successor, time=time, network=network)
        latest = Predecessor(succession=succession, catalogue_key=catalogue_key(self.owner))
        self.owner, self.predecessors = successor, (*self.predecessors, latest)

    @property
    def peer_id(self) -> PeerId:
        """The node's peer id."""
        return PeerId(peer_id_of(self.identity.public))

    @property
    def full_address(self) -> str:
        """The address with the peer id, as a bootstrap address needs it."""
        return f"{self.address}/p2p/{peer_id_to_text(self.peer_id)}"

    @property
    def is_running(self) -> bool:
        """Whether a node runs here now."""
        return self.life is not None and not self.life.was_killed and not self.life.ended.is_set()

    @property
    def is_ready(self) -> bool:
        """Whether a node runs here that has started: it can put and get."""
        return self.is_running and self.life is not None and self.life.started.is_set()

    @property
    def node(self) -> RunningNode:
        """The node that runs here."""
        assert self.life is not None
        assert self.is_running, f"no node runs on {self.name}"
        return self.life.node

    async def call(self, function: Callable[[RunningNode], Awaitable[T]]) -> T:
        """Run something in the process of the node that runs here; see `Life.call`."""
        assert self.life is not None
        assert self.is_running, f"no node runs on {self.name}"
        return await self.life.call(function)


def _without_death(error: BaseException) -> BaseException | None:
    """Return what is left of an error of a killed node: cancellations from outside, and escapes from the simulation."""
    dead = (Exception, NodeKilledError)
    if isinstance(error, BaseExceptionGroup):
        return error.split(dead)[1]
    return None if isinstance(error, dead) else error

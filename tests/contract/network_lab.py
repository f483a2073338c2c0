"""Three laboratories that run the same claims about `Network`.

`tcp` has real networks on loopback, in real time. `memory` has the same networks, py-libp2p's code included, over a
transport in memory and in virtual time. `simulated` has the simulator's networks. The last two can cut ways between
machines and switch machines off; loopback cannot, so claims about that run in those two, which is no gap: what is above
the transport is the same code in `tcp` and `memory`.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import trio

from crypto.keys import SEED_BYTES, SigningKey
from p2pnode.seams import GossipHandler, Network, OnRunning, Stream, StreamEndedError, StreamHandler
from testnet.sim.clock import SimClock, run_in_virtual_time
from testnet.sim.foreign_code import foreign_code_in_virtual_time
from testnet.sim.rng import generator
from testnet.sim.trace import Trace
from tests.contract.worlds import NAMES, MemoryWorld, SimulatedWorld, TcpWorld

PROTOCOL = NAMES.protocol("echo")
TOPIC = NAMES.topic("news")

REAL_DEADLINE_S = 60.0
"""No claim takes longer on the slowest machine; it only guards against hanging."""

VIRTUAL_DEADLINE_S = 3600.0

SOON_S = 8.0
"""How long a refused dial may take; a silent one may take the profile's dial time."""

_POLL_S = 0.02


@dataclass(slots=True)
class Member:
    """A running network, what it was made from, and the scope that ends it."""

    network: Network
    key: SigningKey
    place: int
    """Which machine it is on; a simulated or an in-memory one has its address and its name from it."""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)

    async def die(self) -> None:
        """End it and wait until it is gone."""
        self.scope.cancel()
        await self.ended.wait()

    async def run(self, *, task_status: OnRunning) -> None:
        """Run until `die`."""
        try:
            with self.scope:
                await self.network.run(task_status=task_status)
        finally:
            self.ended.set()


class Faults(Protocol):
    """What a laboratory can do to the world between its members."""

    def reset(self, one: Member, other: Member) -> int:
        """Break all connections between two members at both ends; return how many there were."""
        ...


class Cuts(Faults, Protocol):
    """What a laboratory in virtual time can do besides."""

    def partition(self, *groups: Sequence[Member]) -> None:
        """Cut every way between members of different groups, in addition to the cuts that exist."""
        ...

    def cut_one_way(self, source: Member, target: Member) -> None:
        """Cut the way from one member to another; the way back stays."""
        ...

    def heal(self) -> None:
        """End every cut."""
        ...

    def lose_power(self, member: Member) -> None:
        """Switch a member's machine off: nobody is told."""
        ...


Make = Callable[[SigningKey, int], Network]


class Lab:
    """Starts networks of one kind; all end with the claim."""

    def __init__(self, nursery: trio.Nursery, make: Make, keys: random.Random, faults: Faults) -> None:
        """Build with `make`."""
        self._nursery = nursery
        self._make = make
        self._keys = keys
        self._places = 0
        self.faults = faults

    @property
    def cuts(self) -> Cuts:
        """What only a laboratory in virtual time can do; claims that use it are run with `run_virtually`."""
        return cast("Cuts", self.faults)

    async def start(
        self,
        handlers: Mapping[str, StreamHandler] | None = None,
        topics: Mapping[str, GossipHandler] | None = None,
        *,
        key: SigningKey | None = None,
        place: int | None = None,
    ) -> Member:
        """Start one more: with a new key and on a new machine unless they are given."""
        key = key or SigningKey(self._keys.randbytes(SEED_BYTES))
        if place is None:
            self._places += 1
            place = self._places
        member = Member(self._make(key, place), key, place)
        for protocol, handler in (handlers or {}).items():
            member.network.handle(protocol, handler)
        for topic, heard in (topics or {}).items():
            member.network.subscribe(topic, heard)
        await self._nursery.start(member.run)
        return member


Claim = Callable[[Lab], Awaitable[None]]
Run = Callable[[Claim], None]


def run_over_tcp(claim: Claim, seed: int) -> None:
    """Run a claim with real networks on loopback."""
    world = TcpWorld()

    async def main() -> None:
        with trio.fail_after(REAL_DEADLINE_S):
            await _run(claim, world.make, seed, world)

    trio.run(main)


def run_in_memory(claim: Claim, seed: int) -> str:
    """Run a claim with real networks over a transport in memory, in virtual time; return the trace of the run."""
    traces: list[Trace] = []

    async def main(clock: SimClock) -> None:
        trace = Trace(clock)
        traces.append(trace)
        world = MemoryWorld(clock, trace, seed)
        with (
            foreign_code_in_virtual_time(clock, generator(seed, "foreign code")),
            trio.fail_after(VIRTUAL_DEADLINE_S),
        ):
            await _run(claim, world.make, seed, world)

    run_in_virtual_time(main, seed=seed)
    return traces[0].digest()


def run_simulated(claim: Claim, seed: int) -> None:
    """Run a claim with simulated networks in virtual time."""

    async def main(clock: SimClock) -> None:
        world = SimulatedWorld(clock, Trace(clock), seed)
        with trio.fail_after(VIRTUAL_DEADLINE_S):
            await _run(claim, world.make, seed, world)

    run_in_virtual_time(main, seed=seed)


LABORATORIES: dict[str, Callable[[Claim, int], object]] = {
    "tcp": run_over_tcp,
    "memory": run_in_memory,
    "simulated": run_simulated,
}
VIRTUAL_LABORATORIES = ["memory", "simulated"]
"""Those that have `Cuts`."""


async def _run(claim: Claim, make: Make, seed: int, faults: Faults) -> None:
    async with trio.open_nursery() as nursery:
        await claim(Lab(nursery, make, generator(seed, "keys"), faults))
        nursery.cancel_scope.cancel()


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the laboratory's deadline ends it."""
    while not condition():  # noqa: ASYNC110 - what is waited for sets no event
        await trio.sleep(_POLL_S)


async def introduce(one: Network, other: Network) -> None:
    """Let one network dial another by an address that it learns, and wait until both know of the connection."""
    one.learn_addresses(other.peer_id, other.addresses())
    await one.connect(other.peer_id)
    await wait_until(lambda: is_connected(one, other) and is_connected(other, one))


def is_connected(one: Network, other: Network) -> bool:
    """Tell whether `one` believes that it has a connection with `other`."""
    return any(each.peer_id == other.peer_id for each in one.connected())


async def echo(stream: Stream) -> None:
    """Answer each length-prefixed message with itself until the peer ends the stream."""
    while True:
        try:
            prefix = await stream.receive_exactly(4)
        except StreamEndedError:
            await stream.close()
            return
        await stream.send(prefix + await stream.receive_exactly(int.from_bytes(prefix, "big")))


async def ask_echo(stream: Stream, data: bytes) -> bytes:
    """Send a message and return its echo, reading while writing: the message may be larger than every window."""
    answer = bytearray()

    async def read() -> None:
        count = int.from_bytes(await stream.receive_exactly(4), "big")
        answer.extend(await stream.receive_exactly(count))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await stream.send(len(data).to_bytes(4, "big") + data)
    return bytes(answer)


async def two(lab: Lab) -> tuple[Network, Network]:
    """Return two connected networks that both serve `echo`; the first has dialled the second."""
    one, other = await lab.start({PROTOCOL: echo}), await lab.start({PROTOCOL: echo})
    await introduce(one.network, other.network)
    return one.network, other.network


async def ask_echo_flat(stream: Stream) -> None:
    """Ask without a nursery, so that the error comes out bare."""
    await stream.send((1).to_bytes(4, "big") + b"x")
    await stream.receive_exactly(5)

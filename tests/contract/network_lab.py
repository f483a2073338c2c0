"""Two laboratories that run the same claims about `Network`: real ones over loopback TCP, and simulated ones."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import trio

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_of
from p2pnode.config import TESTNET
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.seams import GossipHandler, Network, OnRunning, Stream, StreamEndedError, StreamHandler
from p2pnode.system import SystemClock, SystemRng
from testnet.sim.clock import SimClock, run_in_virtual_time
from testnet.sim.fabric import Fabric
from testnet.sim.network import SimNetwork
from testnet.sim.rng import generator
from testnet.sim.trace import Trace
from wire.ids import PeerId
from wire.protocol_ids import NetworkNames

NAMES = NetworkNames("contract", TESTNET.shared())
PROTOCOL = NAMES.protocol("echo")
TOPIC = NAMES.topic("news")

REAL_DEADLINE_S = 60.0
"""No claim takes longer on the slowest machine; it only guards against hanging."""

VIRTUAL_DEADLINE_S = 3600.0

SOON_S = 8.0
"""How long a refused dial may take; a silent one may take the profile's dial time."""

_POLL_S = 0.02


class Raw(Protocol):
    """A network that can be built and run; both kinds can."""

    async def run(self, *, task_status: OnRunning) -> None:
        """Run until cancelled."""
        ...


@dataclass(slots=True)
class Member:
    """A running network and the scope that ends it."""

    network: Network
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


Make = Callable[[SigningKey], Network]


class Lab:
    """Starts networks of one kind; all end with the claim."""

    def __init__(self, nursery: trio.Nursery, make: Make, keys: random.Random) -> None:
        """Build with `make`."""
        self._nursery = nursery
        self._make = make
        self._keys = keys

    async def start(
        self,
        handlers: Mapping[str, StreamHandler] | None = None,
        topics: Mapping[str, GossipHandler] | None = None,
    ) -> Member:
        """Start one more."""
        member = Member(self._make(SigningKey(self._keys.randbytes(SEED_BYTES))))
        for protocol, handler in (handlers or {}).items():
            member.network.handle(protocol, handler)
        for topic, heard in (topics or {}).items():
            member.network.subscribe(topic, heard)
        await self._nursery.start(member.run)
        return member


Claim = Callable[[Lab], Awaitable[None]]


def run_over_tcp(claim: Claim, seed: int) -> None:
    """Run a claim with real networks on loopback."""

    def make(key: SigningKey) -> Network:
        return Libp2pNetwork(
            key=key,
            names=NAMES,
            profile=TESTNET,
            clock=SystemClock(),
            rng=SystemRng(),
            listen=["/ip4/127.0.0.1/tcp/0"],
        )

    async def main() -> None:
        with trio.fail_after(REAL_DEADLINE_S):
            await _run(claim, make, seed)

    trio.run(main)


def run_simulated(claim: Claim, seed: int) -> None:
    """Run a claim with simulated networks in virtual time."""

    async def main(clock: SimClock) -> None:
        trace = Trace(clock)
        fabric = Fabric(clock=clock, rng=generator(seed, "fabric"), trace=trace)

        def make(key: SigningKey) -> Network:
            number = fabric.new_number()
            peer_id = PeerId(peer_id_of(key.public))
            return SimNetwork(fabric, name=f"n{number}", peer_id=peer_id, listen=[f"/ip4/10.0.0.{number}/tcp/4710"])

        with trio.fail_after(VIRTUAL_DEADLINE_S):
            await _run(claim, make, seed)

    run_in_virtual_time(main, seed=seed)


async def _run(claim: Claim, make: Make, seed: int) -> None:
    async with trio.open_nursery() as nursery:
        await claim(Lab(nursery, make, generator(seed, "keys")))
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

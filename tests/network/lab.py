"""Real networks on loopback for tests, each with a key from the test's seed."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_to_text
from p2pnode.config import TESTNET, Profile
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.transport import Transport
from p2pnode.seams import Stream, StreamEndedError
from p2pnode.system import SystemClock, SystemRng
from wire.protocol_ids import NetworkNames

LOOPBACK = "/ip4/127.0.0.1/tcp/0"
ECHO = "/test/echo"
DEADLINE_S = 30.0
"""A test that waits longer for anything has failed."""

NAMES = NetworkNames("test", TESTNET.shared())


def make_network(
    rng: random.Random,
    *,
    names: NetworkNames = NAMES,
    profile: Profile = TESTNET,
    listen: Sequence[str] = (LOOPBACK,),
    announce: Sequence[str] = (),
    transport: Transport | None = None,
) -> Libp2pNetwork:
    """Build a network that echoes on ECHO."""
    network = Libp2pNetwork(
        key=SigningKey(rng.randbytes(SEED_BYTES)),
        names=names,
        profile=profile,
        clock=SystemClock(),
        rng=SystemRng(),
        listen=listen,
        announce=announce,
        transport=transport,
    )
    network.handle(ECHO, echo)
    return network


@asynccontextmanager
async def running(*networks: Libp2pNetwork) -> AsyncIterator[None]:
    """Run networks for the length of a block."""
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            for network in networks:
                await start(nursery, network)
            yield
            nursery.cancel_scope.cancel()


async def start(nursery: trio.Nursery, network: Libp2pNetwork) -> trio.CancelScope:
    """Start one network; cancelling the scope that is returned stops it."""
    scope = trio.CancelScope()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with scope:
            await network.run(task_status=task_status)

    await nursery.start(run)
    return scope


def full_address(network: Libp2pNetwork) -> str:
    """Return an address that `bootstrap` takes."""
    return f"{network.addresses()[0]}/p2p/{peer_id_to_text(network.peer_id)}"


def impatient(ping_every_s: float) -> Profile:
    """Return a profile that looks for dead peers often, so that tests need not wait for half a minute."""
    return dataclasses.replace(TESTNET, ping_every_s=ping_every_s, dial_timeout_s=2.0)


async def echo(stream: Stream) -> None:
    """Send back what comes, four bytes at a time."""
    while True:
        try:
            data = await stream.receive_exactly(4)
        except StreamEndedError:
            return
        await stream.send(data)


async def assert_echoes(network: Libp2pNetwork, other: Libp2pNetwork) -> None:
    """Exchange four bytes on a new stream."""
    stream = await network.open_stream(other.peer_id, ECHO)
    await stream.send(b"ping")
    assert await stream.receive_exactly(4) == b"ping"
    await stream.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that several tasks bring about together; the test's deadline bounds it."""
    while not condition():
        await trio.lowlevel.checkpoint()
        await trio.sleep(_LOOK_EVERY_S)


_LOOK_EVERY_S = 0.005


def living_tasks() -> int:
    """Return how many tasks there are, to tell whether any was left behind."""
    return trio.lowlevel.current_statistics().tasks_living

"""What the tests of the services share: run a scenario on simulated nodes, and put and get in one call."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from p2pnode.config import TESTNET, Profile
from p2pnode.node import Node
from p2pnode.services.owner_face import NO_OPTIONS, PutOptions
from p2pnode.services.results import PutResult
from testnet.sim.machine import Machine
from testnet.sim.world import Chores, World, WorldReport, run_world
from wire.references import Reference

QUICK = replace(TESTNET, provisional_lease_s=120, audit_every_s=0)
"""The test profile with a provisional lease that a test can outwait, and no audits but those that a test asks for."""

Body = Callable[[World, list[Machine]], Awaitable[None]]


def simulate(
    rng: random.Random,
    nodes: int,
    body: Body,
    *,
    expected: tuple[type[Exception], ...] = (),
    profile: Profile = QUICK,
    minds_own_things: bool = False,
    repairs: bool = False,
) -> WorldReport:
    """Start some nodes that all know each other, then run the body, in virtual time."""

    async def scenario(world: World) -> None:
        machines = await world.start_nodes(nodes)
        await body(world, machines)

    return run_world(
        rng.getrandbits(32),
        scenario,
        profile=profile,
        expected=expected,
        chores=Chores(minds_own_things=minds_own_things, repairs=repairs),
    )


async def stream(data: bytes, *, step: int = 65_536) -> AsyncIterator[bytes]:
    """Yield data in steps."""
    for start in range(0, len(data), step):
        yield data[start : start + step]


async def put(
    machine: Machine, data: bytes, *, shards: int | None = None, options: PutOptions = NO_OPTIONS
) -> PutResult:
    """Store data through a node."""
    node = machine.node
    assert isinstance(node, Node)
    return await node.put(stream(data), shards=shards, size=len(data), options=options)


async def get(machine: Machine, text: str) -> bytes:
    """Read through a node, to the end."""
    async with machine.node.get(Reference.parse(text)) as download:
        data = b"".join([bytes(chunk) async for chunk in download.chunks])
        assert len(data) == download.size
        return data


def pair_files(machine: Machine) -> list[str]:
    """Return the names of the pair files on a machine's disk."""
    return [
        f"pairs/{directory}/{name}"
        for directory in machine.files.names("pairs")
        for name in machine.files.names(f"pairs/{directory}")
    ]

"""Scenarios that several tests share; `python -m tests.simulation.scenarios SEED` prints the trace hash of one."""

import sys
from collections.abc import AsyncIterator

from p2pnode.services.results import PutResult
from testnet.sim.machine import Machine, RunningNode
from testnet.sim.world import World, run_world
from wire.references import Reference

NODES = 10
LOST = 3

ONE_SEGMENT_BYTES = 100_000
SEVERAL_SEGMENTS_BYTES = 3_700_000
"""Three segments: at n = 10 a blob has at most 1,834,952 bytes."""

_CHUNK_BYTES = 200_000


async def put(machine: Machine, data: bytes) -> PutResult:
    """Store data through the node that runs on a machine, in its own process."""

    async def source() -> AsyncIterator[bytes]:
        for start in range(0, len(data), _CHUNK_BYTES):
            yield data[start : start + _CHUNK_BYTES]

    async def work(node: RunningNode) -> PutResult:
        return await node.put(source(), shards=None, size=len(data))

    return await machine.call(work)


async def get(machine: Machine, text: str) -> bytes:
    """Read data through the node that runs on a machine, in its own process."""

    async def work(node: RunningNode) -> bytes:
        async with node.get(Reference.parse(text)) as download:
            return b"".join([bytes(chunk) async for chunk in download.chunks])

    return await machine.call(work)


async def put_loss_get(world: World) -> None:
    """Put a blob and a file on ten nodes, lose three at random, and read both on every survivor."""
    await world.start_nodes(NODES)
    names = sorted(world.machines)
    blob, file = world.rng.randbytes(ONE_SEGMENT_BYTES), world.rng.randbytes(SEVERAL_SEGMENTS_BYTES)
    stored = [(await put(world.machines[world.rng.choice(names)], data), data) for data in (blob, file)]
    for name in world.rng.sample(names, LOST):
        world.kill(name, power=world.rng.random() < 0.5)
    for result, data in stored:
        assert await get(world.rng.choice(world.running()), result.id) == data


if __name__ == "__main__":
    print(run_world(int(sys.argv[1]), put_loss_get).trace_hash)  # noqa: T201 - this is its purpose

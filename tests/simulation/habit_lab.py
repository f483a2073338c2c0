"""A small world with one dishonest peer in it, and honest ones that talk with it and with each other."""

from collections.abc import AsyncIterator
from functools import partial

import trio

from p2pnode.coding import shard_of_pair
from p2pnode.network.requests import Reply, Requester
from p2pnode.services.results import PutResult
from p2pnode.storage.names import PAIRS_DIRECTORY
from testnet.sim.admission import SIMULATED
from testnet.sim.fabric import Packet
from testnet.sim.habits.bending import MESSAGES, READ, BadHabit, Follower, Spoken
from testnet.sim.machine import Machine, RunningNode
from testnet.sim.world import NETWORK_NAME, World
from wire import limits
from wire.ids import Axis, BlobId, PairIndex, ShardIndex
from wire.messages import BlobRecord, GetRecord, GetSliver
from wire.protocol_ids import NetworkNames
from wire.references import Reference

NODES = 7
"""f = 2: a put needs five holders."""

BAD = "n4"
SIZE = 5_000
LONG = 100_000
"""A pair of it is longer than what fits into one packet with its request."""

NAMES = NetworkNames(NETWORK_NAME, SIMULATED.shared())


async def start(world: World, habit: BadHabit) -> Machine:
    """Start seven nodes, one of them bad; return the bad one when the honest ones know each other and it."""
    await world.start_node("n0")
    async with trio.open_nursery() as nursery:
        for name in [f"n{number}" for number in range(1, NODES)]:
            chosen = habit if name == BAD else None
            nursery.start_soon(partial(world.start_node, name, bootstrap=["n0"], habit=chosen))
    await world.all_meet([f"n{number}" for number in range(NODES)])
    return world.machines[BAD]


async def put(world: World, name: str, *, size: int = SIZE, shards: int | None = None) -> tuple[PutResult, bytes]:
    """Store random bytes through a node; return the result and the bytes."""
    data = world.rng.randbytes(size)

    async def source() -> AsyncIterator[bytes]:
        yield data

    async def work(node: RunningNode) -> PutResult:
        return await node.put(source(), shards=shards, size=size)

    return await world.machines[name].call(work), data


async def get(world: World, name: str, text: str) -> bytes:
    """Read through a node."""

    async def work(node: RunningNode) -> bytes:
        async with node.get(Reference.parse(text)) as download:
            return b"".join([bytes(chunk) async for chunk in download.chunks])

    return await world.machines[name].call(work)


async def ask(world: World, name: str, message: object, *, of: str = BAD) -> Reply:
    """Ask a node something from the machine of another one. Raises as `Requester.request`."""
    asker = world.machines[name]
    assert asker.life is not None
    requester = Requester(asker.life.network, asker.clock, SIMULATED)
    protocol = NAMES.protocol(READ)

    async def work(_node: RunningNode) -> Reply:
        try:
            return await requester.request(world.machines[of].peer_id, protocol, message, expect=MESSAGES)
        finally:
            await requester.aclose()

    return await asker.call(work)


async def record_of(world: World, text: str) -> BlobRecord:
    """Return what an honest node tells of a blob."""
    reply = await ask(world, "n0", GetRecord(blob_id=BlobId.parse(text), wants_certificates=True), of="n1")
    assert isinstance(reply.message, BlobRecord)
    return reply.message


def primary_at(record: BlobRecord, blob_id: BlobId, shard: int) -> GetSliver:
    """Return the question for the primary sliver that belongs to a shard."""
    pairs = range(record.metadata.n)
    index = next(pair for pair in pairs if shard_of_pair(blob_id, PairIndex(pair), record.metadata.n) == shard)
    return GetSliver(blob_id=blob_id, axis=Axis.PRIMARY, index=index)


async def shards_of(world: World, name: str, blob_id: BlobId) -> list[ShardIndex]:
    """Return the shards of a blob whose files are on a machine's disk."""
    files = world.machines[name].files
    return [
        ShardIndex(shard)
        for shard in range(limits.SHARDS_MAX)
        if f"{blob_id.hex()}-{shard}.pair" in files.names(f"{PAIRS_DIRECTORY}/{blob_id.hex()[:2]}")
    ]


class Overheard:
    """What one node says on streams."""

    def __init__(self, world: World, name: str) -> None:
        """Listen from now on."""
        self._name = name
        self._followers: dict[int, Follower] = {}
        self.said: list[Spoken] = []
        self.packets: list[tuple[float, Packet]] = []
        self._world = world
        world.fabric.observers.append(self._hear)

    def _hear(self, packet: Packet) -> None:
        if packet.source == self._name:
            self.packets.append((self._world.clock.current_time(), packet))
            self.said += self._followers.setdefault(packet.stream, Follower()).feed(packet.data)

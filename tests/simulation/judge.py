"""A judge outside the nodes: every receipt that leaves a node must be true on that node's disk at that very moment.

It reads the packets between simulated nodes. When a node sends a receipt, the judge takes an image of what a power
loss at this instant would leave on the node's disk; later the production store is opened on the image and must hold
the pair, whole. So "signed before it was durable" is found even when no crash happens at the wrong moment, and one bad
node is found even when the other nodes make up for it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from p2pnode.coding import pair_of_shard, verify_sliver
from p2pnode.protocols.receipts import pairs_of
from p2pnode.protocols.store import open_metadata
from p2pnode.storage.store import SliverStore
from testnet.sim.fabric import Packet
from testnet.sim.files import SimFiles
from testnet.sim.offload import SimOffload
from testnet.sim.world import QUOTA_BYTES, World
from wire import limits
from wire.codec import decode
from wire.errors import WireError
from wire.framing import message_bytes
from wire.ids import Axis, BlobId, ShardIndex
from wire.messages import CommitLease, Committed, SliverData, Stored, StorePair, payload_bytes

Pair = tuple[BlobId, ShardIndex]

_WATCHED = (StorePair, Stored, CommitLease, Committed, SliverData)
"""The messages that matter here, and the one other that is followed by raw bytes."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A receipt: who signed it, for which pairs, and that node's disk as a power loss would have left it then."""

    node: str
    pairs: tuple[Pair, ...]
    image: SimFiles


@dataclass(slots=True)
class _Side:
    """What one side of a stream has sent, cut into messages."""

    buffer: bytearray = field(default_factory=bytearray)
    skip: int = 0

    def feed(self, data: bytes) -> list[object]:
        """Return the messages that are complete now; payloads are skipped."""
        self.buffer += data
        found: list[object] = []
        while True:
            skipped = min(self.skip, len(self.buffer))
            del self.buffer[:skipped]
            self.skip -= skipped
            if len(self.buffer) < limits.LENGTH_PREFIX_BYTES:
                return found
            end = limits.LENGTH_PREFIX_BYTES + message_bytes(bytes(self.buffer[: limits.LENGTH_PREFIX_BYTES]))
            if len(self.buffer) < end:
                return found
            body = bytes(self.buffer[limits.LENGTH_PREFIX_BYTES : end])
            del self.buffer[:end]
            try:
                found.append(decode(body, *_WATCHED, bytes_max=limits.MESSAGE_BYTES_MAX))
            except WireError:  # Some other message.
                continue
            self.skip = payload_bytes(found[-1])


class ReceiptJudge:
    """Watches one world."""

    def __init__(self, world: World, *, watched: Container[str] | None = None) -> None:
        """Watch these nodes, or all, from now on."""
        self._world = world
        self._watched = watched
        self._rng = world.generator("judge")
        self._sides: dict[tuple[int, str], _Side] = {}
        self._asked: dict[int, tuple[Pair, ...]] = {}
        self.promises: list[Promise] = []
        world.fabric.observers.append(self._see)

    def _see(self, packet: Packet) -> None:
        side = self._sides.setdefault((packet.stream, packet.source), _Side())
        for message in side.feed(packet.data):
            match message:
                case StorePair():
                    self._asked[packet.stream] = ((message.blob_id, ShardIndex(message.shard)),)
                case CommitLease():
                    self._asked[packet.stream] = tuple(pairs_of(message.page, message.shard_sets))
                case Stored() | Committed() if self._watched is None or packet.source in self._watched:
                    image = self._world.machines[packet.source].files.image(self._rng)
                    self.promises.append(Promise(packet.source, self._asked[packet.stream], image))
                case _:
                    pass

    async def check_promises(self) -> int:
        """Fail when a receipt was not true when it was sent. Returns how many were looked at, and forgets them."""
        promises, self.promises = self.promises, []
        for promise in promises:
            await self._check_holds(promise.node, promise.pairs, promise.image)
        return len(promises)

    async def check_holds_now(self, node: str, pairs: Iterable[Pair]) -> None:
        """Fail when a node does not hold these pairs, as its disk is now."""
        await self._check_holds(node, pairs, self._world.machines[node].files.image(self._rng))

    async def _check_holds(self, node: str, pairs: Iterable[Pair], files: SimFiles) -> None:
        machine = self._world.machines[node]
        offload = SimOffload(self._world.clock, self._world.generator("judge offload"))
        store = await SliverStore.open(files, offload, machine.clock, quota_bytes=QUOTA_BYTES)
        try:
            for blob_id, shard in pairs:
                held = await store.held(blob_id)
                assert held is not None, f"{node} signed for a pair of {blob_id.text()} and holds none"
                assert shard in held.shards, f"{node} signed for shard {shard} of {blob_id.text()} and does not hold it"
                metadata, n = open_metadata(blob_id, held.metadata), held.metadata.n
                pair = pair_of_shard(blob_id, shard=shard, n=n)
                for axis, index in ((Axis.PRIMARY, pair), (Axis.SECONDARY, n - 1 - pair)):
                    data = await store.read_sliver(blob_id, axis, index)
                    verify_sliver(metadata, axis, index, data)
        finally:
            await store.close()

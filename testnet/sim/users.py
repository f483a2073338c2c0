"""What users of a node do: store bytes, read them, renew and remove them, in the node's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from p2pnode.services.owner_face import Removed, Renewed
from p2pnode.services.results import BlobStatus, PutResult
from testnet.sim.machine import Machine, RunningNode
from wire.references import Reference

_CHUNK_BYTES = 200_000


async def put(machine: Machine, data: bytes, *, pace_s: float = 0.0) -> PutResult:
    """Store data through the node of a machine; a slow user waits `pace_s` before each 200,000 bytes.

    Raises a `P2PNodeError`, or `NodeDiedError`.
    """

    async def source() -> AsyncIterator[bytes]:
        for start in range(0, len(data), _CHUNK_BYTES):
            await trio.sleep(pace_s)
            yield data[start : start + _CHUNK_BYTES]

    async def work(node: RunningNode) -> PutResult:
        return await node.put(source(), shards=None, size=len(data))

    return await machine.call(work)


async def get(machine: Machine, text: str) -> bytes:
    """Read what a reference names through the node of a machine. Raises a `P2PNodeError`, or `NodeDiedError`."""

    async def work(node: RunningNode) -> bytes:
        async with node.get(Reference.parse(text)) as download:
            return b"".join([bytes(chunk) async for chunk in download.chunks])

    return await machine.call(work)


async def stat(machine: Machine, text: str) -> BlobStatus:
    """Ask the node of a machine how something that is stored is doing. Raises as `get` does."""

    async def work(node: RunningNode) -> BlobStatus:
        return await node.stat(Reference.parse(text))

    return await machine.call(work)


async def renew(machine: Machine, text: str) -> Renewed:
    """Renew something, or take a share in what somebody else stored, as the owner of a machine's node.

    Raises as `get` does.
    """

    async def work(node: RunningNode) -> Renewed:
        return await node.renew(Reference.parse(text))

    return await machine.call(work)


async def remove(machine: Machine, text: str) -> Removed:
    """End the lease that the owner of a machine's node has on something. Raises as `get` does."""

    async def work(node: RunningNode) -> Removed:
        return await node.remove(Reference.parse(text))

    return await machine.call(work)

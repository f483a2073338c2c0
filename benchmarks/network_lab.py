"""What the benchmarks of the network share: nodes on loopback that answer requests, and a process that floods them.

Run as a module it is a child process that serves until its standard input ends.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import trio

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_to_text
from p2pnode.config import TESTNET
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.payload_slots import PayloadSlots
from p2pnode.network.request_server import serve_requests
from p2pnode.network.requests import Requester
from p2pnode.seams import Stream
from p2pnode.system import SystemClock, SystemRng
from wire.ids import BLOB_ID_BYTES, BlobId, PeerId
from wire.messages import GetRecord, GetSliver, NoRecord, SliverData
from wire.protocol_ids import NetworkNames

NAMES = NetworkNames("benchmark", TESTNET.shared())
READ = NAMES.protocol("read")
BULK = NAMES.protocol("bulk")
LOOPBACK = "/ip4/127.0.0.1/tcp/0"
SLIVER = bytes(range(256)) * 64
"""16 KiB: what one request of a small file moves."""
QUESTION = GetSliver(blob_id=BlobId(bytes(BLOB_ID_BYTES)), axis=0, index=0)
BULK_PREFIX_BYTES = 8
READ_BYTES = 256 * 1024


def make_network(rng: random.Random) -> Libp2pNetwork:
    """Return a node that answers requests on READ and swallows bytes on BULK."""
    network = Libp2pNetwork(
        key=SigningKey(rng.randbytes(SEED_BYTES)),
        names=NAMES,
        profile=TESTNET,
        clock=SystemClock(),
        rng=SystemRng(),
        listen=[LOOPBACK],
    )
    slots = PayloadSlots(network.connections.resources)

    async def answer(_peer: PeerId, message: object, _payload: bytes) -> tuple[object, Sequence[bytes]]:
        await trio.lowlevel.checkpoint()
        return (SliverData(sliver_bytes=len(SLIVER)), [SLIVER]) if isinstance(message, GetSliver) else (NoRecord(), ())

    async def serve(stream: Stream) -> None:
        await serve_requests(stream, answer, accepts=(GetSliver, GetRecord), slots=slots)

    network.handle(READ, serve)
    network.handle(BULK, swallow)
    return network


async def swallow(stream: Stream) -> None:
    """Read as many bytes as the first eight announce, and answer with one."""
    left = int.from_bytes(await stream.receive_exactly(BULK_PREFIX_BYTES), "big")
    while left:
        left -= len(await stream.receive_exactly(min(left, READ_BYTES)))
    await stream.send(b"k")


def address_of(network: Libp2pNetwork) -> str:
    """Return an address that `bootstrap` takes."""
    return f"{network.addresses()[0]}/p2p/{peer_id_to_text(network.peer_id)}"


@asynccontextmanager
async def running(*networks: Libp2pNetwork) -> AsyncIterator[None]:
    """Run networks for the length of a block."""
    async with trio.open_nursery() as nursery:
        for network in networks:
            await nursery.start(lambda *, task_status, network=network: network.run(task_status=task_status))
        yield
        nursery.cancel_scope.cancel()


async def ask(requester: Requester, peer_id: PeerId) -> None:
    """Make one request, as an honest peer does."""
    await requester.request(peer_id, READ, QUESTION, expect=(SliverData,))


SERVER = "benchmarks.network_lab"


@contextmanager
def child(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run one of these modules in a process of its own for the length of a block."""
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def _serve() -> None:
    network = make_network(random.Random(os.getpid()))  # noqa: S311 - keys of a benchmark
    async with running(network):
        print(address_of(network), flush=True)  # noqa: T201 - it tells its parent
        await trio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    trio.run(_serve)

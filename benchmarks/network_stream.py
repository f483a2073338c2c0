"""Benchmark: one stream through our primitive, against bare streams of our own stack and of py-libp2p's.

The gate: at least 80 % of each. All three send the same bytes to a process of its own on loopback, and take turns. Run:
`python -m benchmarks.network_stream`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

import trio
from libp2p import create_yamux_muxer_option, new_host
from libp2p.abc import IHost, INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from multiaddr import Multiaddr

from benchmarks.network_lab import BULK, BULK_PREFIX_BYTES, READ_BYTES, SERVER, child, make_network, running
from p2pnode.config import TESTNET
from p2pnode.network.exchange import Exchange
from p2pnode.network.requests import Requester
from p2pnode.system import SystemClock

FOREIGN = "benchmarks.network_stream"
MIB = 1024 * 1024
WRITE_BYTES = 1 * MIB
PRIMITIVE, BARE, LIBRARY = "stream primitive", "bare yamux of ours", "bare py-libp2p"
SHARE_MIN = 0.8
TIMEOUT_S = 120.0
SETTLE_S = 0.5
_FOREIGN = TProtocol("/benchmark/bulk/1")

Send = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The throughput of one way to send."""

    way: str
    mb_per_s: float
    share_of_ours: float


def foreign_host() -> IHost:
    """Return a host of py-libp2p alone, with Noise and its own yamux."""
    key = create_new_key_pair(os.urandom(32))
    noise = NoiseTransport(key, noise_privkey=create_new_noise_key_pair().private_key)
    return new_host(key_pair=key, sec_opt={NOISE: noise}, muxer_opt=create_yamux_muxer_option())


async def _swallow(stream: INetStream) -> None:
    prefix = b""
    while len(prefix) < BULK_PREFIX_BYTES:
        prefix += await stream.read(BULK_PREFIX_BYTES - len(prefix))
    left = int.from_bytes(prefix, "big")
    while left:
        left -= len(await stream.read(min(left, READ_BYTES)))
    await stream.write(b"k")


async def serve_foreign() -> None:
    """Run py-libp2p's side of the comparison until standard input ends."""
    host = foreign_host()
    async with host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        host.set_stream_handler(_FOREIGN, _swallow)
        print(host.get_addrs()[0], flush=True)  # noqa: T201 - it tells its parent
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


@asynccontextmanager
async def _ours(address: str) -> AsyncIterator[dict[str, Send]]:
    network = make_network(random.Random(os.getpid()))  # noqa: S311 - keys of a benchmark
    data = random.Random(1).randbytes(WRITE_BYTES)  # noqa: S311 - only its length matters
    async with running(network):
        peer_id = await network.bootstrap(address)
        requester = Requester(network, SystemClock(), TESTNET)

        async def primitive(count: int) -> None:
            async with requester.stream(peer_id, BULK, timeout_s=TIMEOUT_S) as exchange:
                await _through(exchange, count)

        async def _through(exchange: Exchange, count: int) -> None:
            await exchange.send_pieces((count * WRITE_BYTES).to_bytes(BULK_PREFIX_BYTES, "big"))
            for _ in range(count):
                await exchange.send_pieces(data)
            assert await exchange.receive_payload(1) == b"k"

        async def bare(count: int) -> None:
            connection = network.connections.best(peer_id)
            assert connection is not None
            stream, _ = await connection.open_stream([BULK], timeout_s=TIMEOUT_S)
            await stream.write((count * WRITE_BYTES).to_bytes(BULK_PREFIX_BYTES, "big"))
            for _ in range(count):
                await stream.write(data)
            assert await stream.read_exactly(1) == b"k"
            stream.end()

        yield {PRIMITIVE: primitive, BARE: bare}


@asynccontextmanager
async def _theirs(address: str) -> AsyncIterator[Send]:
    host = foreign_host()
    data = random.Random(1).randbytes(WRITE_BYTES)  # noqa: S311 - only its length matters
    async with host.run(listen_addrs=[]):
        info = info_from_p2p_addr(Multiaddr(address))
        await host.connect(info)
        await trio.sleep(SETTLE_S)

        async def send(count: int) -> None:
            stream = await host.new_stream(info.peer_id, [_FOREIGN])
            await stream.write((count * WRITE_BYTES).to_bytes(BULK_PREFIX_BYTES, "big"))
            for _ in range(count):
                await stream.write(data)
            assert await stream.read(1) == b"k"
            await stream.close()

        yield send


async def measure(*, rounds: int, mib: int) -> list[Line]:
    """Send in all ways in turns and return the medians."""
    speeds: dict[str, list[float]] = {PRIMITIVE: [], BARE: [], LIBRARY: []}
    with child(SERVER) as ours, child(FOREIGN, "serve") as theirs:
        addresses = []
        for process in (ours, theirs):
            assert process.stdout is not None
            addresses.append((await trio.to_thread.run_sync(process.stdout.readline)).strip())
        async with _ours(addresses[0]) as ways, _theirs(addresses[1]) as foreign:
            for _ in range(rounds):
                for way, send in {**ways, LIBRARY: foreign}.items():
                    started = trio.current_time()
                    await send(mib)
                    speeds[way].append(mib * MIB / 1e6 / (trio.current_time() - started))
    median = {way: statistics.median(each) for way, each in speeds.items()}
    primitive = median[PRIMITIVE]
    return [Line(way=way, mb_per_s=each, share_of_ours=primitive / each) for way, each in median.items()]


def main() -> None:
    """Run the benchmark and print its lines."""
    if sys.argv[1:] == ["serve"]:
        trio.run(serve_foreign)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mib", type=int, default=64)
    options = parser.parse_args()
    for line in trio.run(lambda: measure(rounds=options.rounds, mib=options.mib)):
        print(json.dumps(asdict(line)))  # noqa: T201 - it is what the benchmark is for


if __name__ == "__main__":
    main()

"""Benchmark: a hundred real hosts in one process, over loopback TCP, gossip to all of them.

Each host dials some others at random, as an overlay does. Shown are the time until every host heard each of a number of
messages, the memory and the CPU time of the whole process, and what the hosts use while nothing happens. The process is
one of its own, so that nothing else is in its memory. Run: `python -m benchmarks.gossip`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import trio

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_to_text
from p2pnode.config import PRIVATE
from p2pnode.network import limits
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.seams import GossipHandler, Verdict
from p2pnode.system import SystemClock, SystemRng
from testnet.memory import PeakMemory
from wire.ids import PeerId
from wire.protocol_ids import NetworkNames

MB = 1_000_000
TOPIC = "benchmark"
LOOPBACK = "/ip4/127.0.0.1/tcp/0"
MESH_S = 2.5
"""Time for the meshes to settle: two heartbeats and a half."""
DEADLINE_S = 60.0
PROCESS_DEADLINE_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured."""

    hosts: int
    connections: int
    connect_seconds: float
    spread_seconds_median: float
    """From publishing to the moment when the last host heard, over the messages."""
    spread_seconds_max: float
    spread_cpu_seconds: float
    """CPU time of the whole process for one message, the mean: on a busy machine the truer figure."""
    rss_bytes: int
    """Peak of the whole process, the interpreter and its libraries included."""
    tasks: int
    idle_cpu_ms_per_host_s: float
    """CPU time of one host in one second without any message."""


def measure(*, hosts: int = 100, dials: int = 7, messages: int = 10, seed: int = 1) -> Figures:
    """Run the benchmark in a process of its own and return its figures. Raises `CalledProcessError`."""
    command = [sys.executable, "-m", "benchmarks.gossip", "--inside"]
    command += ["--hosts", str(hosts), "--dials", str(dials), "--messages", str(messages), "--seed", str(seed)]
    root = Path(__file__).parents[1]
    done = subprocess.run(  # noqa: S603 - our own module
        command, cwd=root, capture_output=True, check=True, timeout=PROCESS_DEADLINE_S
    )
    return Figures(**json.loads(done.stdout))


class Overlay:
    """The hosts, and what they heard."""

    def __init__(self, hosts: int, chance: random.Random) -> None:
        """Build hosts that do not run yet."""
        self.heard: dict[bytes, int] = {}
        self._chance = chance
        self.networks = [self._make() for _ in range(hosts)]

    def _make(self) -> Libp2pNetwork:
        network = Libp2pNetwork(
            key=SigningKey(self._chance.randbytes(SEED_BYTES)),
            names=NetworkNames("benchmark", PRIVATE.shared()),
            profile=PRIVATE,
            clock=SystemClock(),
            rng=SystemRng(),
            listen=[LOOPBACK],
        )
        network.subscribe(TOPIC, self._listener())
        return network

    def _listener(self) -> GossipHandler:
        def hear(_via: PeerId, data: bytes) -> Verdict:
            self.heard[data] = self.heard.get(data, 0) + 1
            return Verdict.ACCEPT

        return hear

    async def connect(self, dials: int) -> None:
        """Let every host dial some others, one host after the other."""
        for number, network in enumerate(self.networks):
            others = self.networks[:number] + self.networks[number + 1 :]
            for other in self._chance.sample(others, min(dials, len(others))):
                await network.bootstrap(f"{other.addresses()[0]}/p2p/{peer_id_to_text(other.peer_id)}")

    async def spread(self, data: bytes) -> float:
        """Publish from a random host; return the seconds until all others heard."""
        started = time.perf_counter()
        await self._chance.choice(self.networks).publish(TOPIC, data)
        await _until(lambda: self.heard.get(data, 0) == len(self.networks) - 1)
        return time.perf_counter() - started


async def _until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - a hundred hosts bring it about together
            await trio.sleep(0.005)


async def _run(hosts: int, dials: int, messages: int, seed: int) -> Figures:
    # The DHT's look around dials some twenty peers for each of its questions: a hundred handshakes a host, which have
    # nothing to do with gossip, and would make of the overlay a graph in which everyone knows everyone.
    limits.DHT_FIRST_REFRESH_S = PROCESS_DEADLINE_S
    overlay = Overlay(hosts, random.Random(seed))  # noqa: S311 - a benchmark that can be repeated
    with PeakMemory() as memory:  # Not getrusage: its peak has that of whoever started us in it.
        memory.watch("hosts", os.getpid())
        return await _measured(overlay, dials, messages, memory)


async def _measured(overlay: Overlay, dials: int, messages: int, memory: PeakMemory) -> Figures:
    hosts = len(overlay.networks)
    async with trio.open_nursery() as nursery:
        for network in overlay.networks:
            await nursery.start(network.run)
        started = time.perf_counter()
        await overlay.connect(dials)
        connected = time.perf_counter() - started
        await trio.sleep(MESH_S)
        cpu = time.process_time()
        times = [await overlay.spread(b"message %d" % number) for number in range(messages)]
        spread_cpu = (time.process_time() - cpu) / messages
        tasks = trio.lowlevel.current_statistics().tasks_living
        await trio.sleep(MESH_S)
        cpu, wall = time.process_time(), time.perf_counter()
        await trio.sleep(2 * MESH_S)
        idle = (time.process_time() - cpu) / (time.perf_counter() - wall)
        figures = Figures(
            hosts=hosts,
            connections=sum(len(network.connected()) for network in overlay.networks) // 2,
            connect_seconds=connected,
            spread_seconds_median=statistics.median(times),
            spread_seconds_max=max(times),
            spread_cpu_seconds=spread_cpu,
            rss_bytes=memory.peaks["hosts"],
            tasks=tasks,
            idle_cpu_ms_per_host_s=idle * 1000 / hosts,
        )
        nursery.cancel_scope.cancel()
    return figures


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description="gossip among a hundred hosts in one process")
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--dials", type=int, default=7)
    parser.add_argument("--messages", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    chosen = {"hosts": options.hosts, "dials": options.dials, "messages": options.messages, "seed": options.seed}
    if options.inside:
        json.dump(asdict(trio.run(_run, *chosen.values())), sys.stdout)
        return
    figures = measure(**chosen)
    sys.stdout.write(f"{figures.hosts} hosts, {figures.connections} connections in {figures.connect_seconds:.1f} s\n")
    median, longest = figures.spread_seconds_median, figures.spread_seconds_max
    sys.stdout.write(f"heard by all after {median:.2f} s (median), {longest:.2f} s (longest)\n")
    sys.stdout.write(f"CPU time for one message in all hosts: {figures.spread_cpu_seconds:.2f} s\n")
    sys.stdout.write(f"peak RSS {figures.rss_bytes / MB:.0f} MB, {figures.tasks} tasks\n")
    sys.stdout.write(f"idle: {figures.idle_cpu_ms_per_host_s:.2f} ms of CPU a second for each host\n")


if __name__ == "__main__":
    main()

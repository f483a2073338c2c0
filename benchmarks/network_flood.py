"""Benchmark: what one peer's flood at line rate costs an honest one, against an equal honest load.

The kinds of load take turns in every round, so that whatever else the machine does falls on all of them alike. Run:
`python -m benchmarks.network_flood`. The gate: p99 at most twice that under honest load, or 50 ms.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
from dataclasses import asdict, dataclass

import trio

from benchmarks.network_floods import FRAMES
from benchmarks.network_lab import SERVER, ask, child, make_network, running
from p2pnode.config import TESTNET
from p2pnode.errors import PeerUnavailableError
from p2pnode.network.requests import Requester
from p2pnode.system import SystemClock

LOADER = "benchmarks.network_floods"
QUIET = "quiet"
HONEST = "honest"
KINDS = (QUIET, HONEST, *FRAMES, "handshakes", "identities")
SETTLE_S = 1.0
PERCENTILE = 0.99
GATE_RATIO = 2.0
GATE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The latencies of the honest peer's requests under one kind of load."""

    load: str
    requests: int
    failed: int
    median_ms: float
    p99_ms: float
    is_within_gate: bool


async def measure(*, rounds: int, requests: int, kinds: tuple[str, ...] = KINDS) -> list[Line]:
    """Run all kinds of load in turns and return a line for each."""
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    failed = dict.fromkeys(kinds, 0)
    network = make_network(random.Random(1))  # noqa: S311 - keys of a benchmark
    with child(SERVER) as server:
        assert server.stdout is not None
        address = (await trio.to_thread.run_sync(server.stdout.readline)).strip()
        async with running(network):
            peer_id = await network.bootstrap(address)
            requester = Requester(network, SystemClock(), TESTNET)
            with child(LOADER, address) as loader:
                assert loader.stdin is not None
                for _ in range(rounds):
                    for kind in kinds:
                        loader.stdin.write(kind + "\n")
                        loader.stdin.flush()
                        await trio.sleep(SETTLE_S)
                        for _ in range(requests):
                            started = trio.current_time()
                            try:
                                await ask(requester, peer_id)
                            except PeerUnavailableError:
                                failed[kind] += 1
                            seconds[kind].append(trio.current_time() - started)
            await requester.aclose()
    honest = percentile(seconds[HONEST])
    return [
        Line(
            load=kind,
            requests=len(each),
            failed=failed[kind],
            median_ms=1_000 * statistics.median(each),
            p99_ms=1_000 * percentile(each),
            is_within_gate=percentile(each) <= max(GATE_RATIO * honest, GATE_S) and not failed[kind],
        )
        for kind, each in seconds.items()
    ]


def percentile(seconds: list[float]) -> float:
    """Return the time that 99 of 100 requests stayed within."""
    return sorted(seconds)[math.ceil(PERCENTILE * len(seconds)) - 1]


def main() -> None:
    """Run the benchmark and print its lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--kinds", default=",".join(KINDS))
    options = parser.parse_args()
    kinds = tuple(options.kinds.split(","))
    for line in trio.run(lambda: measure(rounds=options.rounds, requests=options.requests, kinds=kinds)):
        print(json.dumps(asdict(line)))  # noqa: T201 - it is what the benchmark is for


if __name__ == "__main__":
    main()

"""Benchmark: connections that come and go by the thousand leave slots, tasks, descriptors and memory at their base.

Run: `python -m benchmarks.network_cycles --count 5000`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import asdict, dataclass

import trio

from benchmarks.network_lab import BULK, BULK_PREFIX_BYTES, address_of, make_network, running
from benchmarks.network_leftovers import Held, held, settled
from p2pnode.network.libp2p_adapter import Libp2pNetwork

WARM_UP = 25
"""Cycles after which the base is taken: caches and tables of the libraries have filled by then."""

SETTLE_S = 15.0
OBJECTS_MAX = 3_000
"""Objects more than at the base: what gossip remembers of the last seconds. A leak of one a cycle would be above it in
the benchmark, and a leaked connection has hundreds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was held before and after."""

    cycles: int
    seconds: float
    base: Held
    after: Held

    @property
    def is_clean(self) -> bool:
        """Whether nothing was left behind."""
        return self.after.is_at(self.base, objects=OBJECTS_MAX)


async def cycles(count: int, *, seed: int = 1) -> Outcome:
    """Connect, use a stream and disconnect `count` times, with whole networks on both sides."""
    rng = random.Random(seed)  # noqa: S311 - keys of a benchmark
    server, client = make_network(rng), make_network(rng)
    async with running(server, client):
        for _ in range(WARM_UP):
            await _cycle(client, server)
        base = await settled(held(), server, client, timeout_s=SETTLE_S)
        started = trio.current_time()
        for _ in range(count):
            await _cycle(client, server)
        seconds = trio.current_time() - started
        after = await settled(base, server, client, timeout_s=SETTLE_S, objects=OBJECTS_MAX)
        return Outcome(cycles=count, seconds=seconds, base=base, after=after)


async def _cycle(client: Libp2pNetwork, server: Libp2pNetwork) -> None:
    await client.bootstrap(address_of(server))
    stream = await client.open_stream(server.peer_id, BULK)
    await stream.send((1).to_bytes(BULK_PREFIX_BYTES, "big") + b"x")
    assert await stream.receive_exactly(1) == b"k"
    await client.disconnect(server.peer_id)


def main() -> None:
    """Run the benchmark and print its outcome; exit status 1 when anything was left behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5_000)
    options = parser.parse_args()
    outcome = trio.run(lambda: cycles(options.count))
    print(json.dumps({**asdict(outcome), "is_clean": outcome.is_clean}))  # noqa: T201 - it is what the benchmark is for
    sys.exit(not outcome.is_clean)


if __name__ == "__main__":
    main()

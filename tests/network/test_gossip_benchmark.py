"""A small run of the gossip benchmark, in a process of its own."""

from __future__ import annotations

import trio

from benchmarks import gossip

MB = 1_000_000


async def test_thirty_hosts_in_one_process_hear_everything_within_its_memory() -> None:
    figures = await trio.to_thread.run_sync(lambda: gossip.measure(hosts=30, messages=3))
    assert figures.hosts == 30
    assert figures.rss_bytes < 200 * MB
    assert figures.spread_cpu_seconds < 1.0

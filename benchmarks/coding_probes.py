"""What `benchmarks/coding.py` asks of our own process beyond speed: its start, the event loop, the limits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import trio

from p2pnode.coding import EncodeJob, SpareMemory, choice
from p2pnode.coding.interface import node_count
from p2pnode.coding.shape import Shape
from p2pnode.services.coding_jobs import run_job
from p2pnode.system import ThreadOffload
from testnet.memory import resident_bytes

Answer = dict[str, object]

TICK_S = 0.002
TICKS_S = 3.0
WORKER_THREADS = 4
"""As many as a node has."""

BLOCK_BYTES = 128
"""What one BLAKE2b compression takes in."""

PROBE_S = 0.3
_COPY_BYTES = 64 * 1000 * 1000
_LEAVES = 1000
_LONG_LEAF_BYTES = 1023
"""With the tag byte before it exactly eight compressions; a thousand leaves fit the second-level cache."""


def load(_data: bytes, _n: int) -> Answer:
    """Return what it costs a fresh process to load and choose the kernel. Everything else is loaded before."""
    before = resident_bytes(os.getpid())
    start = time.perf_counter()
    chosen = choice()
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "bytes": resident_bytes(os.getpid()) - before,
        "kernel": chosen.kernel.name,
        "reason": chosen.reason,
        "available": list(chosen.available),
    }


def lateness(data: bytes, n: int) -> Answer:
    """Return how late a ticker of 2 ms wakes while nothing else is done, and while the blob is encoded in threads."""
    quiet = trio.run(_ticked, None, n)
    busy = trio.run(_ticked, data, n)
    return {"quiet": _late(quiet), "busy": _late(busy)}


async def _ticked(data: bytes | None, n: int) -> list[float]:
    """Return the time of each tick; with data, of those while it was encoded."""
    ticks: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tick, ticks)
        if data is None:
            await trio.sleep(TICKS_S)
        else:
            await _encode_for_a_while(data, n)
        nursery.cancel_scope.cancel()
    return ticks


async def _tick(ticks: list[float]) -> None:
    while True:
        ticks.append(trio.current_time())
        await trio.sleep(TICK_S)


async def _encode_for_a_while(data: bytes, n: int) -> None:
    offload, memory = ThreadOffload(WORKER_THREADS), SpareMemory()
    end = trio.current_time() + TICKS_S
    while trio.current_time() < end:
        await run_job(offload, EncodeJob(data, n, memory=memory))


def _late(ticks: list[float]) -> dict[str, float]:
    late = np.array([max(0.0, after - before - TICK_S) for before, after in pairwise(ticks)])
    return {
        "ticks": float(len(late)),
        "p50_s": float(np.percentile(late, 50)),
        "p99_s": float(np.percentile(late, 99)),
        "max_s": float(late.max()),
    }


def limits(_data: bytes, _n: int) -> Answer:
    """Return what one core of this machine can do at most: copy, touch fresh memory, hash.

    The seconds are those of a byte, and of a compression of BLAKE2b in a tree and in a long message.
    """
    kernel = choice().kernel
    source, target = np.ones(_COPY_BYTES, dtype=np.uint8), np.ones(_COPY_BYTES, dtype=np.uint8)
    lists = 16
    nodes = np.ones((lists, _LEAVES, 32), dtype=np.uint8)
    leaves = np.ones((_LEAVES, _LONG_LEAF_BYTES), dtype=np.uint8)
    inner = node_count(_LEAVES) - _LEAVES
    node_s = _best(lambda: kernel.fold(nodes)) / (lists * inner)
    blocks = (_LONG_LEAF_BYTES + 1) // BLOCK_BYTES
    long_s = (_best(lambda: kernel.merkle_root(leaves)) - inner * node_s) / (_LEAVES * blocks)
    return {
        "copy_s": _best(lambda: np.copyto(target, source)) / _COPY_BYTES,
        "fresh_s": _best(lambda: np.empty(_COPY_BYTES, dtype=np.uint8).fill(1)) / _COPY_BYTES,
        "node_s": node_s,
        "block_s": long_s,
    }


def stages(data: bytes, n: int) -> Answer:
    """Return where the time of an encode goes, and the time that hashing and copying alone would take."""
    memory = SpareMemory()
    measured = [_stages(data, n, memory) for _ in range(4)][1:]
    rows_s, columns_s, *rest = (float(np.median(each)) for each in zip(*measured, strict=True))
    shape = Shape.of(len(data), n=n)
    stored = shape.rows * n + (n - shape.rows) * shape.columns
    return {
        "rows_s": rows_s,
        "columns_s": columns_s,
        "finish_s": sum(rest),
        "leaf_blocks": n * n * -(-(1 + shape.symbol_bytes) // BLOCK_BYTES),
        "nodes": 2 * n * (node_count(n) - n),
        "symbol_bytes": shape.symbol_bytes,
        "stored_bytes": stored * shape.symbol_bytes,
    }


def _stages(data: bytes, n: int, memory: SpareMemory) -> list[float]:
    times = [time.perf_counter()]
    job = EncodeJob(data, n, memory=memory)
    for stage in job.stages():
        for part in stage:
            part()
        times.append(time.perf_counter())
    job.finish()
    times.append(time.perf_counter())
    return [after - before for before, after in pairwise(times)]


def _best(work: Callable[[], object]) -> float:
    """Return the shortest time: a limit is what the machine can do, whoever else uses it."""
    end = time.perf_counter() + PROBE_S
    best = float("inf")
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def ready(_data: bytes, _n: int) -> Answer:
    """Return nothing: whoever asked knows that everything is loaded."""
    return {}


PROBES: Mapping[str, Callable[[bytes, int], Answer]] = {
    "ready": ready,
    "load": load,
    "lateness": lateness,
    "limits": limits,
    "stages": stages,
}

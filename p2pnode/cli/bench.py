"""Measure how fast this machine does what a node does.

The figures are for a person who wonders what a machine can do, and for a bug report. How the code compares with others
is what `benchmarks/coding.py` measures.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import trio
import typer

from p2pnode.cli.options import JsonOption, bytes_of, new_app
from p2pnode.cli.output import print_facts, print_json, reporting
from p2pnode.coding import (
    Choice,
    DecodeJob,
    EncodedBlob,
    EncodeJob,
    Sliver,
    SpareMemory,
    blob_bytes_max,
    choice,
    verify_sliver,
)
from p2pnode.errors import CallerError
from p2pnode.services.coding_jobs import run_job
from p2pnode.services.nursery import open_nursery
from p2pnode.system import SystemRng, ThreadOffload
from p2pnode.wording import human_bytes
from wire import limits
from wire.ids import PairIndex

SIZE_BYTES_MAX = 256 * 1000 * 1000
"""An encode takes some five times its blob of memory, and a command that only measures should not take it all."""

SECONDS_EACH = 0.4
"""How long each of six figures is measured; all of it is then over in about three seconds."""

THREADS = (1, 2)
"""One thread says how fast the code is; two are what a node gives to one blob."""

_MB = 1000 * 1000

Work = Callable[[], Awaitable[None]]

app = new_app()


@app.callback()
def bench() -> None:
    """Measure how fast this machine does what a node does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """What one number of threads does, in millions of bytes a second."""

    threads: int
    encode_mb_per_s: float
    """Of the blob: all its slivers and hashes."""
    verify_mb_per_s: float
    """Of sliver pairs that arrive: each is extended and hashed."""
    decode_mb_per_s: float
    """Of the blob: from as few primary slivers as are needed, spread over all of them; decoded rows are hashed."""


@app.command()
def coding(
    *,
    n: Annotated[
        int, typer.Option("--n", min=limits.SHARDS_MIN, max=limits.SHARDS_MAX, help="Number of shards.")
    ] = 100,
    size: Annotated[str, typer.Option(help="The blob's size, such as 1MB or 64KiB.")] = "1MB",
    as_json: JsonOption = False,
) -> None:
    """Show which kernel does the erasure coding and why, and measure it for about three seconds."""
    with reporting(as_json=as_json):
        chosen = choice()
        length = _length_of(size, n=n)
        speeds = trio.run(_measure, length, n)
        if as_json:
            print_json(_as_json(chosen, speeds, n=n, length=length))
        else:
            _print_for_a_person(chosen, speeds, n=n, length=length)


def _length_of(size: str, *, n: int) -> int:
    length = bytes_of(size, option="--size")
    most = min(SIZE_BYTES_MAX, blob_bytes_max(n))
    if not 1 <= length <= most:
        message = f"--size {size}: a blob of {n} shards can be measured with 1 to {most} bytes ({human_bytes(most)})"
        raise CallerError(message)
    return length


async def _measure(length: int, n: int) -> list[Speeds]:
    return [await _speeds(length, n, threads) for threads in THREADS]


async def _speeds(length: int, n: int, threads: int) -> Speeds:
    offload = ThreadOffload(threads)
    data = SystemRng().random_bytes(length)
    memory = SpareMemory()

    async def encode() -> EncodedBlob:
        return await run_job(offload, EncodeJob(data, n, memory=memory))

    async def encode_only() -> None:
        await encode()

    encoded = await encode()
    slivers = _spread(encoded)

    async def decode() -> None:
        await run_job(offload, DecodeJob(encoded.metadata, slivers))

    async def verify() -> None:
        async with open_nursery() as nursery:
            for _ in range(threads):
                nursery.start_soon(offload.run, _verify_pair, encoded)

    pair_bytes = sum(len(sliver.data) for sliver in encoded.pair(PairIndex(0)))
    return Speeds(
        threads=threads,
        encode_mb_per_s=await _rate(encode_only, length),
        verify_mb_per_s=await _rate(verify, _VERIFIES * threads * pair_bytes),
        decode_mb_per_s=await _rate(decode, length),
    )


_VERIFIES = 16
"""Pairs that a thread checks in a row: one alone may take less time than handing it to the thread."""


def _verify_pair(encoded: EncodedBlob) -> None:
    pair = encoded.pair(PairIndex(0))
    for _ in range(_VERIFIES):
        for sliver in pair:
            verify_sliver(encoded.metadata, sliver.axis, sliver.index, sliver.data)


def _spread(encoded: EncodedBlob) -> list[Sliver]:
    """Return as many primaries as decoding needs, evenly spread, so that about a third of them are data as it is."""
    shape = encoded.metadata.shape
    return [encoded.primary(number * shape.n // shape.rows) for number in range(shape.rows)]


async def _rate(work: Work, count: int) -> float:
    """Return millions of bytes a second of work on `count` bytes; a first time does not count."""
    await work()
    start = time.perf_counter()
    rounds = 0
    while True:
        await work()
        rounds += 1
        elapsed = time.perf_counter() - start
        if elapsed >= SECONDS_EACH:
            return rounds * count / elapsed / _MB


def _as_json(chosen: Choice, speeds: list[Speeds], *, n: int, length: int) -> dict[str, object]:
    measured = [
        {
            "threads": each.threads,
            "encode_mb_per_s": round(each.encode_mb_per_s, 3),
            "verify_mb_per_s": round(each.verify_mb_per_s, 3),
            "decode_mb_per_s": round(each.decode_mb_per_s, 3),
        }
        for each in speeds
    ]
    return {
        "kernel": chosen.kernel.name,
        "reason": chosen.reason,
        "available": list(chosen.available),
        "n": n,
        "size": length,
        "speeds": measured,
    }


def _print_for_a_person(chosen: Choice, speeds: list[Speeds], *, n: int, length: int) -> None:
    others = [name for name in reversed(chosen.available) if name != chosen.kernel.name]
    facts = [
        ("kernel", f"{chosen.kernel.name} ({chosen.reason})"),
        ("also here", f"{', '.join(others) or 'none'} (P2PNODE_KERNEL=NAME uses another)"),
        ("measured", f"a blob of {human_bytes(length)} for {n} shards, MB/s"),
        ("", "".join(f"{_threads(each.threads):>12}" for each in speeds)),
        ("encode", "".join(f"{each.encode_mb_per_s:>12.3g}" for each in speeds) + "  of the blob"),
        ("verify", "".join(f"{each.verify_mb_per_s:>12.3g}" for each in speeds) + "  of sliver pairs"),
        ("decode", "".join(f"{each.decode_mb_per_s:>12.3g}" for each in speeds) + "  of the blob"),
    ]
    print_facts(facts)


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"


command = typer.main.get_command(app)

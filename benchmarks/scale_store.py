"""What a store with very many pairs takes: its index, and the memory and time to open it, measured on real files.

Each pair is of a blob of its own, the worst case for the index: two slivers of a few bytes, the metadata of a small n,
a provisional and a final lease, and the certificate, as a node holds what many users stored. The store is filled by
the functions that ship. Only fsync is left out while it is filled: nothing that is measured depends on it. Opening
runs in a process of its own, as at a start of the daemon, with a warm page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from p2pnode.storage import files, leasing, recovery, writer
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.writer import NewPair
from p2pnode.system import SystemClock
from testnet.memory import PeakMemory, cpu_seconds, resident_bytes
from testnet.sim.disk_harness_goods import make_pairs
from testnet.sim.escapes import replaced

P = ParamSpec("P")
T = TypeVar("T")

QUOTA_BYTES = 1 << 40
TRASH_S = 7 * 24 * 3600
OPEN_DEADLINE_S = 900.0
INDEX = "index.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What opening a store took."""

    seconds: float
    cpu_seconds: float
    rows_seconds: float
    """Of them, checking every row of the index."""
    files_seconds: float
    """Of them, comparing the index with the files."""
    memory_bytes: int
    """Resident memory at its peak, above that of the process before."""
    kept_bytes: int
    """The same once the store is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFigures:
    """What was measured of one store."""

    pairs: int
    fill_ms: float
    """To store one pair and certify it, without fsync."""
    index_bytes: int
    opened: Opened


def measure_store(pairs: int, *, seed: int = 1) -> StoreFigures:
    """Fill a store in a temporary directory and open it. Raises `CalledProcessError` when it cannot be opened."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "data"
        started = time.perf_counter()
        with replaced(files, "_sync", _nothing):
            _fill(root, pairs, random.Random(seed))  # noqa: S311 - measurements need chance that repeats, not secrets
        fill_s = time.perf_counter() - started
        index_bytes = sum(path.stat().st_size for path in root.glob(f"{INDEX}*"))
        command = [sys.executable, "-m", "benchmarks.scale_store", "--open", str(root)]
        done = subprocess.run(  # noqa: S603 - our own module
            command, cwd=Path(__file__).parents[1], capture_output=True, check=True, timeout=OPEN_DEADLINE_S
        )
        opened = Opened(**json.loads(done.stdout))
    return StoreFigures(pairs=pairs, fill_ms=fill_s / pairs * 1000, index_bytes=index_bytes, opened=opened)


class _UnsyncedFiles(DiskFiles):
    """A disk that is told to keep nothing at once."""

    def database(self, name: str) -> sqlite3.Connection:
        """Open a database whose commits are not synced."""
        connection = super().database(name)
        connection.execute("PRAGMA synchronous = OFF")
        return connection


def _fill(root: Path, pairs: int, chance: random.Random) -> None:
    engine = recovery.open_engine(_UnsyncedFiles(root), SystemClock(), QUOTA_BYTES, TRASH_S)
    for _ in range(pairs):
        (goods,) = make_pairs(chance)
        new = NewPair(
            blob_id=goods.blob_id,
            shard=goods.shard,
            metadata=goods.metadata,
            primary=goods.primary,
            secondary=goods.secondary,
            leases=(goods.provisional, goods.final),
        )
        writer.store_pair(engine, new)
        leasing.certify(engine, goods.certificates[1], goods.final)
    engine.database.close()


def _nothing(_descriptor: int) -> None:
    """Leave it to the system when the bytes reach the disk."""


def _open(root: Path) -> Opened:
    """Open a store in this process."""
    own = os.getpid()
    times: dict[str, float] = {}
    before = resident_bytes(own)
    cpu_s, started = cpu_seconds(own), time.perf_counter()
    with (
        replaced(recovery, "_open_index", _timed(times, "rows", recovery._open_index)),  # noqa: SLF001 - its phases
        replaced(recovery, "_reconcile", _timed(times, "files", recovery._reconcile)),  # noqa: SLF001 - as above
        PeakMemory() as memory,
    ):
        memory.watch("opening", own)
        engine = recovery.open_engine(DiskFiles(root), SystemClock(), QUOTA_BYTES, TRASH_S)
    seconds = time.perf_counter() - started
    opened = Opened(
        seconds=seconds,
        cpu_seconds=cpu_seconds(own) - cpu_s,
        rows_seconds=times["rows"],
        files_seconds=times["files"],
        memory_bytes=memory.peaks["opening"] - before,
        kept_bytes=resident_bytes(own) - before,
    )
    engine.database.close()
    return opened


def _timed(times: dict[str, float], name: str, function: Callable[P, T]) -> Callable[P, T]:
    """Return the function, which then notes how long it took."""

    def timed(*args: P.args, **kwargs: P.kwargs) -> T:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            times[name] = time.perf_counter() - started

    return timed


def main() -> None:
    """Measure one store and print the figures; with `--open` only the opening of one that there is."""
    parser = argparse.ArgumentParser(description="Measure a store with many pairs.")
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--open", type=Path, help="open this data directory and print what it took")
    arguments = parser.parse_args()
    figures = _open(arguments.open) if arguments.open is not None else measure_store(arguments.pairs)
    sys.stdout.write(json.dumps(asdict(figures)) + "\n")


if __name__ == "__main__":
    main()

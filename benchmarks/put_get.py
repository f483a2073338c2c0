"""Benchmark: put and get of 1 KB, 1 MB and 64 MB on ten real nodes on this machine.

The sizes take turns in every round, so that whatever else the machine does falls on all of them alike; the medians are
shown. The times are those of the whole command, as a user waits for it. Run: `python -m benchmarks.put_get`.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from testnet import client, signals
from testnet.memory import PeakMemory, cpu_seconds
from testnet.processes import Testnet

MB = 1000 * 1000
SIZES = {"1 KB": 1000, "1 MB": MB, "64 MB": 64 * MB}
WRITER = "node-03"
READER = "node-06"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One command."""

    seconds: float
    cpu_seconds: float
    """CPU time that all nodes used meanwhile; the command's own is not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The medians of one verb and size."""

    verb: str
    size: str
    seconds: float
    mb_per_s: float
    nodes_cpu_seconds: float


def main() -> None:
    """Run the benchmark and print its table, or JSON."""
    parser = argparse.ArgumentParser(description="put and get on ten real nodes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--seed", default="benchmark")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with signals.raising(), tempfile.TemporaryDirectory(prefix="p2pnode-benchmark-") as place:
        lines, peaks = measure(Path(place), rounds=options.rounds, nodes=options.nodes, seed=options.seed)
    if options.json:
        json.dump({"medians": [asdict(line) for line in lines], "peak_rss_bytes": peaks}, sys.stdout)
        return
    table = Table(
        "command", "size", "seconds", "MB/s", "CPU s of all nodes", title=f"medians of {options.rounds} rounds"
    )
    for line in lines:
        cells = (line.verb, line.size, f"{line.seconds:.2f}", f"{line.mb_per_s:.2f}", f"{line.nodes_cpu_seconds:.2f}")
        table.add_row(*cells)
    console = Console()
    console.print(table)
    nodes = [peak for name, peak in peaks.items() if name.startswith("node-")]
    console.print(f"peak RSS: nodes {min(nodes) / MB:.0f} to {max(nodes) / MB:.0f} MB")
    for name, peak in peaks.items():
        if name.startswith("p2pnode"):
            console.print(f"peak RSS: {name} {peak / MB:.0f} MB")


def measure(place: Path, *, rounds: int, nodes: int, seed: str) -> tuple[list[Line], dict[str, int]]:
    """Run all rounds on one testnet; return the medians, and the peak RSS of every process in bytes."""
    samples: dict[tuple[str, str], list[Sample]] = {}
    rng = random.Random(seed)  # noqa: S311 - a benchmark repeats its data.
    with Testnet(place / "net") as testnet, PeakMemory() as memory:
        testnet.start(nodes, seed=seed)
        for node in testnet.nodes:
            if node.process is not None:
                memory.watch(node.name, node.process.pid)
        for _ in range(rounds):
            for name, size in SIZES.items():
                source, copy = place / "source", place / "copy"
                source.write_bytes(rng.randbytes(size))
                put, stored = timed(testnet, WRITER, memory, "put", str(source), "--json")
                get, _ = timed(testnet, READER, memory, "get", stored.json()["id"], "-o", str(copy))
                if copy.read_bytes() != source.read_bytes():
                    sys.exit(f"{name}: what came back differs")
                copy.unlink()
                samples.setdefault(("put", name), []).append(put)
                samples.setdefault(("get", name), []).append(get)
    lines = [medians(verb, name, taken) for (verb, name), taken in samples.items()]
    return sorted(lines, key=lambda line: line.verb, reverse=True), memory.peaks


def timed(testnet: Testnet, name: str, memory: PeakMemory, *arguments: str) -> tuple[Sample, client.Finished]:
    """Run one command on one node."""
    before = total_cpu(testnet)
    finished = client.run(testnet.node(name).home, *arguments, timeout_s=600, memory=memory)
    if finished.exit_code:
        sys.exit(f"{arguments[0]} ended with {finished.exit_code}: {finished.stderr}")
    return Sample(seconds=finished.seconds, cpu_seconds=total_cpu(testnet) - before), finished


def total_cpu(testnet: Testnet) -> float:
    """Return the CPU seconds that all nodes have used."""
    return sum(cpu_seconds(node.process.pid) for node in testnet.nodes if node.process is not None)


def medians(verb: str, size: str, samples: list[Sample]) -> Line:
    """Summarise the samples of one verb and size."""
    seconds = statistics.median([sample.seconds for sample in samples])
    return Line(
        verb=verb,
        size=size,
        seconds=round(seconds, 3),
        mb_per_s=round(SIZES[size] / MB / seconds, 3),
        nodes_cpu_seconds=round(statistics.median([sample.cpu_seconds for sample in samples]), 3),
    )


if __name__ == "__main__":
    main()

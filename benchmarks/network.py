"""Benchmark: what the network layer promises in figures, with the gate of each. `make bench-network` runs it.

Each part runs in a process of its own, one after the other, so that none inherits the memory of another. Exit status 1
when a gate falls short.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import gossip

PART_S_MAX = 900
SPREAD_S_MAX = 3.0
HOSTS_BYTES_MAX = 300 * 1000 * 1000
STREAM_SHARE_MIN = 0.8
NOTICED_S_MAX = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One promise."""

    promise: str
    seen: str
    is_kept: bool


def main() -> None:
    """Run all parts and print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=5_000)
    parser.add_argument("--malformed", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    gates = []
    for gate in measure(cycles=options.cycles, malformed=options.malformed):
        gates.append(gate)
        sys.stderr.write(f"{'kept' if gate.is_kept else 'FELL SHORT'}: {gate.promise}: {gate.seen}\n")
    if options.json:
        print(json.dumps([asdict(gate) for gate in gates], indent=2))  # noqa: T201 - it is what the benchmark is for
    else:
        Console().print(table_of(gates))
    sys.exit(not all(gate.is_kept for gate in gates))


def measure(*, cycles: int, malformed: int) -> Iterator[Gate]:
    """Run the parts in turn; yields a gate as soon as it is known."""
    yield _cycles(cycles)
    yield _malformed(malformed)
    yield _silence()
    yield from _floods()
    yield from _gossip()
    yield _stream()


def table_of(gates: list[Gate]) -> Table:
    """Return the table for people."""
    table = Table(title="the network layer against its gates")
    for column in ("promise", "seen", "kept"):
        table.add_column(column)
    for gate in gates:
        table.add_row(gate.promise, gate.seen, "yes" if gate.is_kept else "no")
    return table


def _part(module: str, *arguments: str) -> list[Any]:
    """Run a part and return what its lines say."""
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=PART_S_MAX,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _cycles(count: int) -> Gate:
    ((outcome,), promise) = _part("network_cycles", "--count", str(count)), f"{count} connections leave nothing behind"
    base, after = outcome["base"], outcome["after"]
    seen = ", ".join(f"{name} {base[name]} to {after[name]}" for name in base)
    return Gate(promise=promise, seen=seen, is_kept=outcome["is_clean"])


def _malformed(count: int) -> Gate:
    (outcome,) = _part("network_fuzz", "--count", str(count))
    seen = ", ".join(f"{number} {name}" for name, number in outcome["sent"].items())
    return Gate(promise=f"{count} malformed things crash nothing", seen=seen, is_kept=outcome["is_clean"])


def _silence() -> Gate:
    (outcome,) = _part("network_silence")
    seen = (
        f"stopped {outcome['stopped_noticed_s']:.1f} s, black hole {outcome['black_hole_noticed_s']:.1f} s, "
        f"requests {outcome['requests_failed_after_s']:.1f} s; an honest p99 {outcome['honest_p99_before_ms']:.1f} ms "
        f"before, {outcome['honest_p99_meanwhile_ms']:.1f} ms meanwhile, {outcome['honest_failed']} failed"
    )
    promise = f"a peer that falls silent is noticed within {NOTICED_S_MAX:.0f} s and costs others nothing"
    return Gate(promise=promise, seen=seen, is_kept=outcome["is_within_gate"])


def _floods() -> Iterator[Gate]:
    for line in _part("network_flood"):
        seen = f"p99 {line['p99_ms']:.1f} ms, median {line['median_ms']:.1f} ms, {line['failed']} failed"
        yield Gate(promise=f"honest requests under load: {line['load']}", seen=seen, is_kept=line["is_within_gate"])


def _gossip() -> Iterator[Gate]:
    figures = gossip.measure()
    yield Gate(
        promise=f"gossip reaches {figures.hosts} hosts within {SPREAD_S_MAX:.0f} s",
        seen=f"{figures.spread_seconds_median:.2f} s median, {figures.spread_seconds_max:.2f} s longest",
        is_kept=figures.spread_seconds_max <= SPREAD_S_MAX,
    )
    yield Gate(
        promise=f"{figures.hosts} hosts in one process stay under {HOSTS_BYTES_MAX // 10**6} MB",
        seen=f"{figures.rss_bytes / 10**6:.0f} MB, {figures.connections} connections, {figures.tasks} tasks",
        is_kept=figures.rss_bytes <= HOSTS_BYTES_MAX,
    )


def _stream() -> Gate:
    lines = _part("network_stream")
    seen = ", ".join(f"{line['way']} {line['mb_per_s']:.0f} MB/s" for line in lines)
    share = min(line["share_of_ours"] for line in lines)
    return Gate(
        promise=f"one stream reaches {STREAM_SHARE_MIN:.0%} of bare libp2p",
        seen=f"{seen}: {share:.2f} of the fastest",
        is_kept=share >= STREAM_SHARE_MIN,
    )


if __name__ == "__main__":
    main()

"""`make bench-repair`: bytes that repair moves for each byte that was lost, beside Tahoe-LAFS and beside the theory.

Three parts, each left out with its reason where it cannot run: production nodes in simulation, real processes on a
loopback interface of their own, and Tahoe-LAFS on another one. Prints JSON; ends with 1 when a gate falls short.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks import repair_tahoe, repair_theory
from benchmarks.loopback import AloneError, alone
from benchmarks.repair_simulated import Case, measure

LOST = (1, 3)

SIZES = (5_000, 100_000, 1_000_000, 8_000_000)
"""Bytes stored on ten nodes: a note, a picture, a blob of one segment, a file of five."""

LARGE_BYTES = 8_000_000

NODES, MANY_NODES = 40, 125
"""On so many nodes one blob of LARGE_BYTES has 31 and 100 shards, and some nodes hold nothing of it."""

FILES = 4

MOVED_MAX = {1: 1.25, 3: 1.6}
"""The gates: bytes moved for each byte lost of blobs of GATED_BYTES and more, by how many of ten nodes are lost."""

GATED_BYTES = 1_000_000

TIMEOUT_S = 1_800.0


def simulated(seed: int, *, large: Sequence[int]) -> list[Case]:
    """Measure in simulation: small networks with all sizes, and those of so many nodes with one."""
    few = [case for lost in LOST for size in SIZES for case in measure(seed, nodes=10, losses=(lost,), size=size)]
    return few + [case for nodes in large for case in measure(seed, nodes=nodes, losses=LOST, size=LARGE_BYTES)]


def on_loopback() -> list[dict[str, Any]]:
    """Measure real nodes. Raises `AloneError`."""
    return [_alone("benchmarks.repair_loopback", lost) for lost in LOST]


def tahoe() -> list[dict[str, Any]]:
    """Measure Tahoe-LAFS. Raises `AloneError` and `TahoeError`."""
    program = str(repair_tahoe.install())
    return [_alone("benchmarks.repair_tahoe", lost, program) for lost in LOST]


def _alone(module: str, lost: int, *arguments: str) -> dict[str, Any]:
    printed = alone(module, *arguments, "--lost", str(lost), "--files", str(FILES), timeout_s=TIMEOUT_S)
    case: dict[str, Any] = json.loads(printed)
    return case


def _or_why_not(work: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]] | str:
    """Return what was measured, or why it could not be."""
    try:
        return work()
    except (AloneError, repair_tahoe.TahoeError) as error:
        return f"left out: {error}"


def failures(cases: list[Case], looped: list[dict[str, Any]] | str) -> list[str]:
    """Return the gates that fall short, a line each."""
    rows = [
        (f"simulated, {case.size} bytes, {case.lost} lost", case.lost, max(case.moved_per_byte, case.wire_per_byte))
        for case in cases
        if case.wire_per_byte is not None and case.size >= GATED_BYTES
    ]
    if not isinstance(looped, str):
        rows += [(f"on loopback, {case['lost']} lost", case["lost"], case["looped_per_byte"]) for case in looped]
    return [
        f"{what}: {moved} bytes for each byte, {MOVED_MAX[lost]} may be"
        for what, lost, moved in rows
        if moved > MOVED_MAX[lost]
    ]


def main() -> None:
    """Measure, and print all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="decides who is asked for what, in simulation")
    parser.add_argument("--quick", action="store_true", help="ten simulated nodes only")
    options = parser.parse_args()
    cases = simulated(options.seed, large=[] if options.quick else [NODES, MANY_NODES])
    looped: list[dict[str, Any]] | str = "left out: --quick" if options.quick else _or_why_not(on_loopback)
    peer: list[dict[str, Any]] | str = "left out: --quick" if options.quick else _or_why_not(tahoe)
    missed = failures(cases, looped)
    found = {
        "simulated": [asdict(case) for case in cases],
        "on loopback": looped,
        "Tahoe-LAFS on loopback": peer,
        "theory": [
            {"n": n, "lost": lost, **asdict(way)}
            for n in sorted({case.n for case in cases})
            for lost in LOST
            for way in repair_theory.ways(n, lost)
        ],
        "gates missed": missed,
    }
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    if missed:
        sys.exit(1)


if __name__ == "__main__":
    main()

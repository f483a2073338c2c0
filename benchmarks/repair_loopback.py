"""What repair moves on real nodes: bytes over a loopback interface of their own, less what idle nodes move.

Run by `benchmarks.repair` in a network namespace. When all is whole is told by the disks, for asking would be traffic.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.loopback import bring_up, looped_bytes
from p2pnode.storage.names import PAIRS_DIRECTORY
from testnet import client, signals
from testnet.processes import Testnet
from testnet.state import NodeState

NODES = 10
WRITER = 0
FILE_BYTES = 16_000_000
"""Nine blobs of 1.8 MB, the longest that there are of ten shards."""

SETTLE_S = 30.0
"""After the puts, and after the repair: new receipts are audited within 15 s on the profile testnet."""

IDLE_S = 30.0
WITHIN_S = 600.0
POLL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopbackCase:
    """What one loss has cost."""

    nodes: int
    lost: int
    files: int
    file_bytes: int
    bytes_lost: int
    """Files of pairs on the disks of those who left."""
    bytes_rebuilt: int
    bytes_moved: int
    """Questions and answers, as the repairers count them."""
    bytes_looped: int
    """Over the interface from the loss until all was whole, and what idle nodes move meanwhile."""
    idle_bytes_per_s: float
    """Of those who are left, measured when all is whole again."""
    seconds: float
    """From the loss until every pair is on a disk again; a long grace of 60 s is in it."""
    looped_per_byte: float
    """Net of what idle nodes move."""


def measure(place: Path, *, lost: int, files: int, seed: str) -> LoopbackCase:
    """Store some files on ten nodes, kill some for ever, and wait until all is rebuilt."""
    rng = random.Random(seed)  # noqa: S311 - a benchmark repeats its data
    with Testnet(place / "net") as testnet:
        testnet.start(NODES, seed=seed)
        source = place / "source"
        for _ in range(files):
            source.write_bytes(rng.randbytes(FILE_BYTES))
            put = client.run(testnet.nodes[WRITER].home, "put", str(source), timeout_s=120)
            if put.exit_code:
                sys.exit(f"put ended with {put.exit_code}: {put.stderr}")
        time.sleep(SETTLE_S)
        wanted = len(_pairs(testnet.nodes))
        leavers = testnet.nodes[-lost:]
        bytes_lost = sum(_pairs(leavers).values())
        started, before = time.monotonic(), looped_bytes()
        testnet.kill([node.name for node in leavers])
        _wait_whole(testnet, wanted)
        seconds, looped = time.monotonic() - started, looped_bytes() - before
        time.sleep(SETTLE_S)
        before = looped_bytes()
        time.sleep(IDLE_S)
        idle_per_s = (looped_bytes() - before) / IDLE_S
        told = [_told(node) for node in testnet.running]
    return LoopbackCase(
        nodes=NODES,
        lost=lost,
        files=files,
        file_bytes=FILE_BYTES,
        bytes_lost=bytes_lost,
        bytes_rebuilt=sum(each["bytes_rebuilt"] for each in told),
        bytes_moved=sum(each["bytes_moved"] for each in told),
        bytes_looped=looped,
        idle_bytes_per_s=round(idle_per_s),
        seconds=round(seconds, 1),
        looped_per_byte=round((looped - idle_per_s * seconds) / bytes_lost, 3),
    )


def _pairs(nodes: Iterable[NodeState]) -> dict[str, int]:
    """Return the pairs that these nodes have on their disks, by their names, and the bytes of each file."""
    return {
        path.name: path.stat().st_size
        for node in nodes
        for path in (node.home / "data" / PAIRS_DIRECTORY).rglob("*.pair")
    }


def _told(node: NodeState) -> dict[str, Any]:
    """Return what a node tells of its repairs."""
    told = client.run(node.home, "repair", "--dry-run", "--json")
    if told.exit_code:
        sys.exit(f"repair --dry-run ended with {told.exit_code}: {told.stderr}")
    answer: dict[str, Any] = told.json()
    return answer


def _wait_whole(testnet: Testnet, pairs: int) -> None:
    """Wait until every pair is on the disk of a node that runs."""
    deadline = time.monotonic() + WITHIN_S
    while len(_pairs(testnet.running)) < pairs:
        if time.monotonic() > deadline:
            sys.exit(f"only {len(_pairs(testnet.running))} of {pairs} pairs are there after {WITHIN_S:.0f} s")
        time.sleep(POLL_S)


def main() -> None:
    """Measure one case and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lost", type=int, required=True)
    parser.add_argument("--files", type=int, required=True)
    parser.add_argument("--seed", default="benchmark")
    options = parser.parse_args()
    bring_up()
    with signals.raising(), tempfile.TemporaryDirectory(prefix="p2pnode-benchmark-") as place:
        case = measure(Path(place), lost=options.lost, files=options.files, seed=options.seed)
    sys.stdout.write(json.dumps(asdict(case)))


if __name__ == "__main__":
    main()

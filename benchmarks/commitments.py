"""`make bench-commitments`: what an epoch's commitment costs a node with very many pairs, on a real index.

The rows of pairs are put into the index alone, without their files. All of them are read once in a life, in steps,
while a node waits before its first commitment; from then on only what changed is looked at. Prints JSON, one object a
case, and ends with 1 when the gate falls short.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from crypto.keys import SigningKey
from p2pnode.protocols.commitments import SecretSheet, make_commitment
from p2pnode.protocols.entry_tree import EntryTree, Key
from p2pnode.storage import commitments, index
from p2pnode.storage.engine import Engine
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.index import PairRow, PairState
from p2pnode.storage.recovery import open_engine
from p2pnode.system import SystemClock
from wire.codec import encode
from wire.ids import BlobId, ShardIndex

PAIRS = 1_000_000

CHANGES = (0, 1_500, 10_000)
"""Pairs that changed within the epoch: none; as many as renewals of a million leases of 31 days make in an hour; and
one of a hundred."""

GATE_S = 1.0
"""CPU time of an epoch, whatever the number of changes above, and of each step ahead of the first one."""

EPOCHS = 3
"""Of each number of changes; the slowest counts."""

LEASE_END = 1_800_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one commitment has cost."""

    pairs: int
    changes: int
    cpu_s: float
    longest_step_s: float = 0.0
    """Of the steps ahead of the first commitment; nobody waits for more than one of them."""
    is_ahead: bool = False
    """Whether it is what is done ahead of the first commitment."""


def random_row(rng: random.Random) -> PairRow:
    """Return the row of a pair that is held."""
    return PairRow(
        blob_id=BlobId(rng.randbytes(BlobId.length)),
        shard=ShardIndex(rng.randrange(100)),
        n=100,
        state=PairState.HELD,
        file_bytes=30_000,
        final_until=LEASE_END,
    )


def put_rows(engine: Engine, rows: list[PairRow]) -> None:
    """Write rows of pairs."""
    with engine.database.writing() as connection:
        for row in rows:
            index.put_pair(connection, row)


def look_ahead(engine: Engine) -> tuple[EntryTree, Case]:
    """Do what is done before the first commitment of a life."""
    commitments.watch(engine)
    tree = EntryTree()
    last: Key | None = None
    whole, longest, started = 0.0, 0.0, time.process_time()
    while entries := commitments.entries_after(engine, last):
        tree = tree.changed(entries)
        last = next(reversed(entries))
        now = time.process_time()
        whole, longest, started = whole + now - started, max(longest, now - started), now
    case = Case(
        pairs=tree.count,
        changes=tree.count,
        cpu_s=round(whole, 3),
        longest_step_s=round(longest, 3),
        is_ahead=True,
    )
    return tree, case


def look_again(engine: Engine, tree: EntryTree) -> EntryTree:
    """Do what each one after it does."""
    while changes := commitments.take_changes(engine):
        tree = tree.changed(changes)
    return tree


def sign(tree: EntryTree, epoch: int) -> None:
    """Bind new secrets and sign."""
    sheet = SecretSheet(bytes(32))
    key = SigningKey(bytes(32))
    encode(make_commitment(tree, epoch=epoch, time=epoch, secrets=sheet.root, key=key, network="bench").envelope)


def measure(pairs: int, seed: int) -> list[Case]:
    """Measure on an index in a directory of its own."""
    rng = random.Random(seed)  # noqa: S311 - figures must repeat
    with tempfile.TemporaryDirectory() as directory:
        engine = open_engine(DiskFiles(Path(directory)), SystemClock(), 1 << 50, 0)
        rows = [random_row(rng) for _ in range(pairs)]
        put_rows(engine, rows)
        tree, ahead = look_ahead(engine)
        found = [ahead]
        for changes in CHANGES:
            slowest = 0.0
            for epoch in range(EPOCHS):
                renewed = [replace(row, final_until=LEASE_END + epoch) for row in rng.sample(rows, changes // 2)]
                put_rows(engine, [*renewed, *(random_row(rng) for _ in range(changes - len(renewed)))])
                started = time.process_time()
                tree = look_again(engine, tree)
                sign(tree, 1 + epoch)
                slowest = max(slowest, time.process_time() - started)
            found.append(Case(pairs=tree.count, changes=changes, cpu_s=round(slowest, 3)))
        engine.database.close()
        return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cases = measure(arguments.pairs, arguments.seed)
    for case in cases:
        sys.stdout.write(json.dumps(asdict(case)) + "\n")
    if any((case.longest_step_s if case.is_ahead else case.cpu_s) > GATE_S for case in cases):
        sys.exit(f"an epoch, or a step ahead of the first, takes more than {GATE_S} s of CPU")


if __name__ == "__main__":
    main()

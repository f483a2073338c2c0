"""What `benchmarks/coding.py` asks its contestants: one JSON object a line, answered by one.

Files carry the blobs, so that no contestant is measured while it parses. `walrus.mjs` reads the same questions.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from typing import Self

from p2pnode.bft import primary_source
from p2pnode.coding import (
    EncodedBlob,
    SymbolProof,
    blob_bytes_max,
    primary_bytes,
    secondary_bytes,
    symbols_with_proofs,
)

MB = 1000 * 1000
SIZE_NAMES = {1000: "1 KB", MB: "1 MB", 32 * MB: "32 MB"}
SHARD_COUNTS = (10, 31, 100, 1000)
WORKS = {
    "encode": "Encode: all slivers and all hashes",
    "metadata": "Metadata only: the blob id, no slivers kept",
    "verify": "Verify an arriving sliver pair: extend and hash both",
    "decode": "Decode from as few primaries as are needed, chosen at random",
    "recover": "Recover one primary sliver from symbols with proofs",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A blob of some size for n shards."""

    n: int
    size: int

    @property
    def name(self) -> str:
        """For tables: `n=10, 1 MB`."""
        return f"n={self.n}, {SIZE_NAMES[self.size]}"

    def chosen(self, seed: str) -> tuple[int, ...]:
        """Return the random primaries that a decode gets."""
        rng = random.Random(f"{seed} {self.n}")  # noqa: S311 - a benchmark repeats its data.
        return tuple(rng.sample(range(self.n), primary_source(self.n)))

    def bytes_of(self, work: str) -> int:
        """Return what rates count: the blob's bytes, those of a sliver pair, or those of a sliver."""
        if work == "verify":
            return primary_bytes(self.size, n=self.n) + secondary_bytes(self.size, n=self.n)
        return primary_bytes(self.size, n=self.n) if work == "recover" else self.size


SCENARIOS = tuple(Scenario(n, size) for n in SHARD_COUNTS for size in SIZE_NAMES if size <= blob_bytes_max(n))
"""The format has a limit for few shards: 32 MB do not fit n = 10 or n = 31."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing to do, `repeat` times."""

    work: str
    file: str = ""
    n: int = 0
    repeat: int = 1
    chosen: tuple[int, ...] = ()

    def line(self) -> str:
        """Return the question as its line."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def of_line(cls, line: str) -> Self:
        """Read a line."""
        fields = json.loads(line)
        return cls(**{**fields, "chosen": tuple(fields["chosen"])})


def symbols_for_first_primary(encoded: EncodedBlob) -> tuple[SymbolProof, ...]:
    """Return as many symbols as rebuild primary 0, from the last secondaries: none of them is a part of it as it is."""
    metadata = encoded.metadata
    shape = metadata.shape
    sources = [encoded.secondary(index) for index in range(shape.n - shape.columns, shape.n)]
    return tuple(symbols_with_proofs(metadata, source, [0])[0] for source in sources)

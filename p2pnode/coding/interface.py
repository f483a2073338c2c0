"""What computes the code: the same operations, by numpy (`reference`) or by the compiled kernel (`kernel`).

Each operation is one call for many symbols, takes arrays of octets, and works on a range, so that worker threads can
share the work. Ranges that do not overlap may be computed at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from crypto.hashing import HASH_BYTES, Buffer
from p2pnode.coding.field import Octets
from p2pnode.coding.reed_solomon import Code
from p2pnode.coding.shape import Shape


@dataclass(frozen=True, slots=True)
class EncodeBuffers:
    """Where an encode writes to. Columns are computed by the *page*, a power of two of them."""

    top: Octets
    """The first P rows of the expanded matrix, all n columns: (P, n, symbol bytes)."""
    bottom: Octets | None
    """The other rows, first S columns: (n - P, S, symbol bytes). None when only the hashes are wanted."""
    row_nodes: Octets
    """For each row the nodes of its tree above each page: (n, pages, 32)."""
    column_roots: Octets
    """The hashes of all columns: (n, 32)."""
    page_columns: int

    @property
    def pages(self) -> int:
        """How many pages there are; at least two."""
        return int(self.row_nodes.shape[1])


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which symbols of a codeword are here and which are wanted, with what was computed from that, once for all."""

    code: Code
    received: tuple[int, ...]
    """Exactly k positions; originals count from 0, recovery symbols from k."""
    wanted: tuple[int, ...]
    """Originals that were not received."""
    factors: Octets
    """Private to the kernel that made it."""


@dataclass(frozen=True, slots=True)
class ExpandedSliver:
    """The symbols that a sliver extends to, and their tree."""

    recovery: Octets
    """The n - k symbols after those of the sliver: (n - k, symbol bytes)."""
    nodes: Octets
    """All levels of the tree, leaves first, one after the other: (nodes, 32)."""


class Kernel(Protocol):
    """The operations. Wrong shapes, lengths and indices raise `KernelInputError`."""

    @property
    def name(self) -> str:
        """What P2PNODE_KERNEL calls it."""
        ...

    def encode_rows(self, shape: Shape, data: Octets, top: Octets, rows: range) -> None:
        """Fill these rows of `top` from the message matrix, or the beginning of it that `data` is."""
        ...

    def encode_columns(self, shape: Shape, buffers: EncodeBuffers, pages: range) -> None:
        """Extend the columns of these pages downwards, and hash them: fills all buffers but `top`."""
        ...

    def fold(self, nodes: Octets) -> Octets:
        """Return the roots, (lists, 32), over lists of nodes, (lists, count, 32), which may be overwritten."""
        ...

    def sliver_hashes(self, code: Code, slivers: Octets) -> Octets:
        """Return the hashes, (count, 32), of slivers, (count, k, symbol bytes)."""
        ...

    def expand(self, code: Code, sliver: Octets) -> ExpandedSliver:
        """Extend one sliver, (k, symbol bytes), to n symbols, and hash them."""
        ...

    def merkle_root(self, leaves: Octets) -> bytes:
        """Return the root over 1 to 1000 leaves of one length: (count, leaf bytes)."""
        ...

    def follow_paths(
        self, leaves: Sequence[Buffer], siblings: Sequence[bytes], *, index: int, height: int
    ) -> list[bytes]:
        """Return where the proofs of leaves of one length, all with the same index, end.

        Each element of `siblings` is a proof of `height` siblings, joined.
        """
        ...

    def locate(self, code: Code, *, received: Sequence[int], wanted: Sequence[int]) -> Pattern:
        """Prepare restoring."""
        ...

    def restore(self, pattern: Pattern, inputs: Sequence[Octets], outputs: Sequence[Octets]) -> None:
        """Compute the wanted symbols of many codewords from the received ones.

        Each input and output has the symbols of one position, of the same codewords: (words, symbol bytes).
        """
        ...


def new_buffers(shape: Shape, *, top: Octets, bottom: Octets | None) -> EncodeBuffers:
    """Return buffers for an encode into these two."""
    page_columns = _page_columns(shape)
    pages = -(-shape.n // page_columns)
    return EncodeBuffers(
        top=top,
        bottom=bottom,
        row_nodes=np.empty((shape.n, pages, HASH_BYTES), dtype=np.uint8),
        column_roots=np.empty((shape.n, HASH_BYTES), dtype=np.uint8),
        page_columns=page_columns,
    )


PAGE_BYTES = 1 << 20
"""About how many bytes a page of columns has: so few that they stay in the cache between the steps, so many that the
nodes which are kept for each page are few, and so are numpy's calls."""

PAGE_SYMBOLS_MIN = 32
"""So many symbols are hashed together at least: up to eight at a time, and a rest leaves lanes empty."""

PAGE_COLUMNS_MAX = 64
"""The kernel's own limit."""


def _page_columns(shape: Shape) -> int:
    """Return a power of two of columns. At least two pages: a page is a part of every row's tree, never the whole."""
    fitting = max(-(-PAGE_SYMBOLS_MIN // shape.n), PAGE_BYTES // (shape.n * (shape.symbol_bytes + HASH_BYTES)))
    return min(PAGE_COLUMNS_MAX, 1 << (fitting.bit_length() - 1), 1 << ((shape.n - 1).bit_length() - 1))


def node_count(leaf_count: int) -> int:
    """Return how many nodes all levels of a tree have together."""
    total = leaf_count
    while leaf_count > 1:
        leaf_count = -(-leaf_count // 2)
        total += leaf_count
    return total

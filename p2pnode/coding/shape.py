"""The dimensions of an encoded blob: symbol size, sliver lengths, limits, and which pair lies on which shard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from p2pnode.bft import primary_source, secondary_source
from p2pnode.coding.errors import BlobTooLargeError, SliverMismatchError
from wire.ids import Axis, BlobId, PairIndex, ShardIndex
from wire.limits import SYMBOL_BYTES_MAX


def across(axis: Axis) -> Axis:
    """Return the other axis: the one whose slivers each hold one symbol of a sliver of this axis."""
    return Axis.SECONDARY if axis is Axis.PRIMARY else Axis.PRIMARY


@dataclass(frozen=True, slots=True)
class Shape:
    """The message matrix has P rows and S columns of symbols; the expanded matrix has n of both."""

    n: int
    rows: int
    columns: int
    symbol_bytes: int

    @classmethod
    def of(cls, length: int, *, n: int) -> Self:
        """Return the shape of a blob of `length` bytes. Raises `BadShardCountError` or `BlobTooLargeError`."""
        most = blob_bytes_max(n)
        if not 0 <= length <= most:
            message = f"a blob of n = {n} shards has at most {most} bytes, got {length}"
            raise BlobTooLargeError(message)
        rows, columns = primary_source(n), secondary_source(n)
        needed = max(-(-length // (rows * columns)), 1)  # The empty blob has symbols too.
        return cls(n, rows, columns, needed + needed % 2)

    @property
    def matrix_bytes(self) -> int:
        """The bytes of the message matrix: the blob and its zero padding."""
        return self.rows * self.columns * self.symbol_bytes

    def symbols_of(self, axis: Axis) -> int:
        """Return how many symbols a sliver has: a primary is a row of S, a secondary a column of P."""
        return self.columns if axis is Axis.PRIMARY else self.rows

    def sliver_bytes(self, axis: Axis) -> int:
        """Return the exact length of a sliver."""
        return self.symbols_of(axis) * self.symbol_bytes

    def check_index(self, axis: Axis, index: int) -> None:
        """Raise `SliverMismatchError` when there is no such sliver."""
        if not 0 <= index < self.n:
            message = f"{axis.name.lower()} sliver {index} of a blob of n = {self.n} shards"
            raise SliverMismatchError(message)


def blob_bytes_max(n: int) -> int:
    """Return the longest blob for n shards, in bytes. Raises `BadShardCountError`."""
    return primary_source(n) * secondary_source(n) * SYMBOL_BYTES_MAX


def symbol_bytes(length: int, *, n: int) -> int:
    """Return the symbol size for a blob of `length` bytes. Raises `BadShardCountError` or `BlobTooLargeError`."""
    return Shape.of(length, n=n).symbol_bytes


def primary_bytes(length: int, *, n: int) -> int:
    """Return the size of each primary sliver. Raises `BadShardCountError` or `BlobTooLargeError`."""
    return Shape.of(length, n=n).sliver_bytes(Axis.PRIMARY)


def secondary_bytes(length: int, *, n: int) -> int:
    """Return the size of each secondary sliver. Raises `BadShardCountError` or `BlobTooLargeError`."""
    return Shape.of(length, n=n).sliver_bytes(Axis.SECONDARY)


def pair_of_primary(index: int) -> PairIndex:
    """Return the sliver pair that primary `index` is in."""
    return PairIndex(index)


def pair_of_secondary(index: int, *, n: int) -> PairIndex:
    """Return the sliver pair that secondary `index` is in: pairs couple them in reverse order (spec section 2)."""
    return PairIndex(n - 1 - index)


def shard_of_pair(blob_id: BlobId, pair: PairIndex, n: int) -> ShardIndex:
    """Return the shard that a pair lies on: the blob id rotates them, so that no shard always has the data rows."""
    return ShardIndex((pair + int.from_bytes(blob_id, "big")) % n)


def pair_of_shard(blob_id: BlobId, shard: ShardIndex, n: int) -> PairIndex:
    """Return the pair that lies on a shard: the inverse of `shard_of_pair`."""
    return PairIndex((shard - int.from_bytes(blob_id, "big")) % n)

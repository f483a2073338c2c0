"""From a blob to its slivers and its metadata (spec sections 2 and 3).

Memory is what limits a node that stores large files, so an encode keeps only what the slivers need: the first P rows of
the expanded matrix, and of the other rows the first S columns. The corner of pure redundancy passes through in batches
of columns, and of its hashes, and those of all rows, only the nodes above each batch are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from crypto.hashing import Buffer
from crypto.merkle import hash_leaves, page_root_of_hashes, root_of_hashes
from p2pnode.coding.field import Octets
from p2pnode.coding.layout import to_labels, to_octets
from p2pnode.coding.metadata import BlobMetadata, metadata_of_hashes
from p2pnode.coding.reed_solomon import Code, extend
from p2pnode.coding.shape import Shape
from p2pnode.coding.sliver import Sliver, code_of
from wire.ids import Axis, BlobId, PairIndex

_BATCH_BYTES = 1 << 19
"""Rows and columns are extended in batches of about this size: large enough for numpy, small beside a blob."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedBlob:
    """All slivers of a blob. The arrays are private; at most 3.5 times the blob in all."""

    metadata: BlobMetadata
    top: Octets = field(repr=False)
    """The first P rows of the expanded matrix, all n columns: (P, n, symbol bytes)."""
    bottom: Octets = field(repr=False)
    """The other rows, first S columns: (n - P, S, symbol bytes)."""

    @property
    def blob_id(self) -> BlobId:
        """The blob's name."""
        return self.metadata.blob_id

    def primary(self, index: int) -> Sliver:
        """Return a primary sliver, as a view. Raises `SliverMismatchError` when there is no such sliver."""
        shape = self.metadata.shape
        shape.check_index(Axis.PRIMARY, index)
        is_data = index < shape.rows
        row = self.top[index, : shape.columns] if is_data else self.bottom[index - shape.rows]
        return Sliver(self.blob_id, Axis.PRIMARY, index, row.data.cast("B"))

    def secondary(self, index: int) -> Sliver:
        """Return a secondary sliver, as a copy. Raises `SliverMismatchError` when there is no such sliver."""
        self.metadata.shape.check_index(Axis.SECONDARY, index)
        return Sliver(self.blob_id, Axis.SECONDARY, index, self.top[:, index].tobytes())

    def pair(self, pair: PairIndex) -> tuple[Sliver, Sliver]:
        """Return the slivers of a pair, primary first. Raises `SliverMismatchError` when there is no such pair."""
        return self.primary(pair), self.secondary(self.metadata.n - 1 - pair)

    def sliver(self, axis: Axis, index: int) -> Sliver:
        """Return a sliver of either axis. Raises `SliverMismatchError` when there is no such sliver."""
        return self.primary(index) if axis is Axis.PRIMARY else self.secondary(index)


def encode(data: Buffer, n: int) -> EncodedBlob:
    """Return the encoding of a blob for n shards.

    Raises `BadShardCountError` or `BlobTooLargeError`.
    """
    return encode_padded(data, length=len(data), n=n)


def encode_padded(data: Buffer, *, length: int, n: int) -> EncodedBlob:
    """Return the encoding of a blob of `length` bytes, of which `data` is the message matrix or a beginning of it.

    An honest writer's padding is zero, but nothing forces a writer, and the judge of an encoding must not mind.
    """
    shape = Shape.of(length, n=n)
    top = _message_rows(shape, data)
    _extend_rows(shape, top)
    bottom = np.empty((n - shape.rows, shape.columns, shape.symbol_bytes), dtype=np.uint8)
    primary_hashes, secondary_hashes = _extend_columns(shape, top=top, bottom=bottom)
    for array in (top, bottom):
        array.flags.writeable = False  # Slivers are views of them.
    metadata = metadata_of_hashes(length, primary_hashes=primary_hashes, secondary_hashes=secondary_hashes)
    return EncodedBlob(metadata, top, bottom)


def blob_id(data: Buffer, n: int) -> BlobId:
    """Return the name that a blob has when it is encoded for n shards.

    Raises `BadShardCountError` or `BlobTooLargeError`.
    """
    return encode(data, n).blob_id


def _message_rows(shape: Shape, data: Buffer) -> Octets:
    """Return P rows of n symbols whose first S columns hold the blob and its zero padding."""
    top = np.zeros((shape.rows, shape.n, shape.symbol_bytes), dtype=np.uint8)
    flat = np.frombuffer(data, dtype=np.uint8)
    row_bytes = shape.columns * shape.symbol_bytes
    full_rows, rest = divmod(len(flat), row_bytes)
    message = top[:, : shape.columns]
    message[:full_rows] = flat[: full_rows * row_bytes].reshape(full_rows, shape.columns, shape.symbol_bytes)
    if rest:
        last = np.zeros(row_bytes, dtype=np.uint8)
        last[:rest] = flat[full_rows * row_bytes :]
        message[full_rows] = last.reshape(shape.columns, shape.symbol_bytes)
    return top


def _extend_rows(shape: Shape, top: Octets) -> None:
    """Fill columns S to n of the first P rows."""
    code = code_of(shape, Axis.PRIMARY)
    step = max(1, _BATCH_BYTES // (shape.n * shape.symbol_bytes))
    for start in range(0, shape.rows, step):
        rows = top[start : start + step]
        rows[:, shape.columns :] = _extended(code, rows[:, : shape.columns].swapaxes(0, 1)).swapaxes(0, 1)


def _extend_columns(shape: Shape, *, top: Octets, bottom: Octets) -> tuple[list[bytes], list[bytes]]:
    """Fill the lower rows; return the hashes of all rows and of all columns."""
    code = code_of(shape, Axis.SECONDARY)
    height = _batch_height(shape)
    row_nodes: list[list[bytes]] = [[] for _ in range(shape.n)]
    column_hashes: list[bytes] = []
    for start in range(0, shape.n, 1 << height):
        end = min(start + (1 << height), shape.n)
        columns = np.empty((shape.n, end - start, shape.symbol_bytes), dtype=np.uint8)
        columns[: shape.rows] = top[:, start:end]
        columns[shape.rows :] = _extended(code, columns[: shape.rows])
        stored = max(0, min(end, shape.columns) - start)
        bottom[:, start : start + stored] = columns[shape.rows :, :stored]
        hashes = hash_leaves(shape.split(columns.data.cast("B")))
        width = end - start
        column_hashes.extend(root_of_hashes(hashes[column::width]) for column in range(width))
        for row, nodes in enumerate(row_nodes):
            nodes.append(page_root_of_hashes(hashes[row * width : (row + 1) * width], height=height))
    return [root_of_hashes(nodes) for nodes in row_nodes], column_hashes


def _batch_height(shape: Shape) -> int:
    """Return h so that a batch of 2**h columns has a good size, and there are at least two batches.

    A batch is then a page of every row's Merkle tree, so its hashes can be folded at once.
    """
    columns = max(1, _BATCH_BYTES // (shape.n * shape.symbol_bytes))
    return min(columns.bit_length(), (shape.n - 1).bit_length()) - 1


def _extended(code: Code, originals: Octets) -> Octets:
    """Return the recovery symbols of many codewords at once; the first axis counts the symbols of a codeword."""
    count, width, symbol_bytes = originals.shape
    labels = to_labels(originals).reshape(count, -1)
    return to_octets(extend(code, labels).reshape(-1, width, symbol_bytes // 2))

"""From a blob to its slivers and its metadata (spec sections 2 and 3).

Memory is what limits a node that stores large files, so an encode keeps only what the slivers need: the first P rows of
the expanded matrix, and of the other rows the first S columns. The corner of pure redundancy passes through in pages of
columns, and of its hashes, and those of all rows, only the nodes above each page are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from crypto.hashing import HASH_BYTES, Buffer
from p2pnode.coding.field import Octets
from p2pnode.coding.interface import new_buffers
from p2pnode.coding.jobs import Part, parts_of, run, split
from p2pnode.coding.kernel import current
from p2pnode.coding.memory import SpareMemory
from p2pnode.coding.metadata import BlobMetadata, metadata_of_hashes
from p2pnode.coding.shape import Shape
from p2pnode.coding.sliver import Sliver
from wire.ids import Axis, BlobId, PairIndex


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


class _Encoding:
    """The stages of an encode, whatever is wanted of it."""

    def __init__(
        self, data: Buffer, n: int, *, length: int | None, memory: SpareMemory | None, keeps_slivers: bool
    ) -> None:
        self._length = len(data) if length is None else length
        self._shape = shape = Shape.of(self._length, n=n)
        self._data = np.frombuffer(data, dtype=np.uint8)
        self._parts = parts_of(symbols=n * n, symbol_bytes=shape.symbol_bytes)
        memory = memory or SpareMemory()
        top = _array(memory, shape.rows, shape.n, shape.symbol_bytes)
        bottom = _array(memory, shape.n - shape.rows, shape.columns, shape.symbol_bytes) if keeps_slivers else None
        self._buffers = new_buffers(shape, top=top, bottom=bottom)
        self._row_roots = np.empty((n, HASH_BYTES), dtype=np.uint8)

    @property
    def is_small(self) -> bool:
        """Whether no stage has more than one part."""
        return self._parts == 1

    def stages(self) -> Iterator[Sequence[Part]]:
        """Yield the rows, then the columns, which are extended from the rows and hashed, then the trees of all rows."""
        shape, buffers, kernel = self._shape, self._buffers, current()
        rows = split(shape.rows, self._parts)
        yield [partial(kernel.encode_rows, shape, self._data, buffers.top, part) for part in rows]
        pages = split(buffers.pages, self._parts)
        yield [partial(kernel.encode_columns, shape, buffers, part) for part in pages]
        yield [partial(self._fold_rows, part) for part in split(shape.n, self._parts)]

    def _metadata(self) -> BlobMetadata:
        return metadata_of_hashes(
            self._length,
            primary_hashes=[root.tobytes() for root in self._row_roots],
            secondary_hashes=[root.tobytes() for root in self._buffers.column_roots],
        )

    def _fold_rows(self, rows: range) -> None:
        self._row_roots[rows.start : rows.stop] = current().fold(self._buffers.row_nodes[rows.start : rows.stop])


class EncodeJob(_Encoding):
    """The encoding of a blob for n shards, in parts: a `Job` of an `EncodedBlob`.

    `data` is read by the first stage and must not change before that is done. Memory that is handed out again saves the
    time for fresh pages; the encoding keeps it until nothing refers to its slivers any more.
    """

    def __init__(self, data: Buffer, n: int, *, length: int | None = None, memory: SpareMemory | None = None) -> None:
        """Compute nothing yet. Raises `BadShardCountError` or `BlobTooLargeError`.

        With a `length` the data is the message matrix of a blob of that length, or a beginning of it: an honest
        writer's padding is zero, but nothing forces a writer, and the judge of an encoding must not mind.
        """
        super().__init__(data, n, length=length, memory=memory, keeps_slivers=True)

    def finish(self) -> EncodedBlob:
        """Return the encoding."""
        top, bottom = self._buffers.top, self._buffers.bottom
        assert bottom is not None, "an encode keeps its slivers"
        for array in (top, bottom):
            array.flags.writeable = False  # Slivers are views of them.
        return EncodedBlob(self._metadata(), top, bottom)


class MetadataJob(_Encoding):
    """What `EncodeJob` does, for who wants the hashes only: a `Job` of `BlobMetadata`, in half the memory."""

    def __init__(self, data: Buffer, n: int, *, memory: SpareMemory | None = None) -> None:
        """Compute nothing yet. Raises `BadShardCountError` or `BlobTooLargeError`."""
        super().__init__(data, n, length=None, memory=memory, keeps_slivers=False)

    def finish(self) -> BlobMetadata:
        """Return the metadata."""
        return self._metadata()


def encode(data: Buffer, n: int) -> EncodedBlob:
    """Return the encoding of a blob for n shards.

    Raises `BadShardCountError` or `BlobTooLargeError`.
    """
    return run(EncodeJob(data, n))


def encode_padded(data: Buffer, *, length: int, n: int) -> EncodedBlob:
    """Return the encoding of a blob of `length` bytes, of which `data` is the message matrix or a beginning of it."""
    return run(EncodeJob(data, n, length=length))


def blob_id(data: Buffer, n: int) -> BlobId:
    """Return the name that a blob has when it is encoded for n shards.

    Raises `BadShardCountError` or `BlobTooLargeError`.
    """
    return run(MetadataJob(data, n)).blob_id


def _array(memory: SpareMemory, *shape: int) -> Octets:
    return memory.take(int(np.prod(shape))).reshape(shape)

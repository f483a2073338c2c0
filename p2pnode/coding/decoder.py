"""From verified slivers back to the blob, and the checks that it is a blob at all (spec section 5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from p2pnode.coding.encoder import EncodeJob
from p2pnode.coding.errors import (
    DuplicateSliverError,
    InconsistentBlobError,
    SliverMismatchError,
    TooFewSliversError,
)
from p2pnode.coding.field import Octets
from p2pnode.coding.interface import Pattern
from p2pnode.coding.jobs import Part, parts_of, run, split
from p2pnode.coding.kernel import current
from p2pnode.coding.metadata import BlobMetadata
from p2pnode.coding.shape import across
from p2pnode.coding.sliver import Sliver, code_of, symbols_of
from wire.ids import Axis


class MatrixJob:
    """The message matrix from any P primary or any S secondary slivers, in parts: a `Job` of an array.

    Nothing is checked afterwards.
    """

    def __init__(self, metadata: BlobMetadata, slivers: Sequence[Sliver]) -> None:
        """Choose what is used. Raises `SliverMismatchError`, `DuplicateSliverError` or `TooFewSliversError`."""
        self._metadata = metadata
        self._axis, self._chosen = choose_slivers(metadata, slivers)
        shape = metadata.shape
        self._matrix = np.empty((shape.rows, shape.columns, shape.symbol_bytes), dtype=np.uint8)
        self._parts = parts_of(symbols=shape.rows * shape.columns, symbol_bytes=shape.symbol_bytes)

    @property
    def is_small(self) -> bool:
        """Whether no stage has more than one part."""
        return self._parts == 1

    def stages(self) -> Iterator[Sequence[Part]]:
        """Yield one stage: each part fills a range of every line."""
        shape, kernel = self._metadata.shape, current()
        code = code_of(shape, across(self._axis))
        received = [sliver.index for sliver in self._chosen]
        wanted = sorted(set(range(code.originals)) - set(received))
        pattern = kernel.locate(code, received=received, wanted=wanted)
        parts = split(shape.symbols_of(self._axis), self._parts)
        yield [partial(self._fill, pattern, part) for part in parts]

    def finish(self) -> Octets:
        """Return the matrix, of shape (P, S, symbol bytes)."""
        return self._matrix

    def _fill(self, pattern: Pattern, words: range) -> None:
        """Fill these symbols of every line: a data row when the slivers are primary, else a data column."""
        lines = self._matrix if self._axis is Axis.PRIMARY else self._matrix.swapaxes(0, 1)
        inputs = [symbols_of(self._metadata.shape, sliver.data)[words.start : words.stop] for sliver in self._chosen]
        for sliver, symbols in zip(self._chosen, inputs, strict=True):
            if sliver.index < len(lines):
                lines[sliver.index, words.start : words.stop] = symbols
        if pattern.wanted:
            outputs = [lines[index, words.start : words.stop] for index in pattern.wanted]
            current().restore(pattern, inputs, outputs)


class DecodeJob:
    """The blob from its slivers, checked, in parts: a `Job` of a view of its bytes."""

    def __init__(self, metadata: BlobMetadata, slivers: Sequence[Sliver], *, strict: bool = False) -> None:
        """Check nothing but the slivers' places; raises as `decode` does."""
        self._metadata = metadata
        self._matrix_job = MatrixJob(metadata, slivers)
        shape = metadata.shape
        verified = {sliver.index for sliver in slivers if sliver.axis is Axis.PRIMARY}
        self._unverified = [index for index in range(shape.rows) if index not in verified]
        self._strict = strict
        checked = shape.n if strict else len(self._unverified)
        self._parts = parts_of(symbols=max(checked, shape.rows) * shape.n, symbol_bytes=shape.symbol_bytes)

    @property
    def is_small(self) -> bool:
        """Whether no stage has more than one part: the checks touch more symbols than the matrix has."""
        return self._parts == 1

    def stages(self) -> Iterator[Sequence[Part]]:
        """Yield the stages of the matrix and those of its checks. Raises `InconsistentBlobError`."""
        yield from self._matrix_job.stages()
        if self._strict:
            encode_job = EncodeJob(self.finish(), self._metadata.n)
            yield from encode_job.stages()
            self._check_id(encode_job)
        elif self._unverified:
            parts = split(len(self._unverified), self._parts)
            yield [partial(self._check_rows, self._unverified[part.start : part.stop]) for part in parts]

    def finish(self) -> memoryview:
        """Return the blob's bytes, which nobody can change, without a copy of them."""
        matrix = self._matrix_job.finish()
        return matrix.data.cast("B")[: self._metadata.length].toreadonly()

    def _check_rows(self, rows: Sequence[int]) -> None:
        """Compare the hashes of decoded rows, those that stand together at once. Raises `InconsistentBlobError`."""
        metadata = self._metadata
        matrix, code = self._matrix_job.finish(), code_of(metadata.shape, Axis.PRIMARY)
        breaks = [at for at in range(1, len(rows)) if rows[at] != rows[at - 1] + 1]
        for start, end in zip([0, *breaks], [*breaks, len(rows)], strict=True):
            run_of_rows = rows[start:end]
            hashes = current().sliver_hashes(code, matrix[run_of_rows[0] : run_of_rows[-1] + 1])
            for index, actual in zip(run_of_rows, hashes, strict=True):
                if actual.tobytes() != metadata.primary_hashes[index]:
                    message = f"blob {metadata.blob_id.text()}: the decoded row {index} is not what its metadata says"
                    raise InconsistentBlobError(message)

    def _check_id(self, encode_job: EncodeJob) -> None:
        actual = encode_job.finish().blob_id
        if actual != self._metadata.blob_id:
            message = f"blob {self._metadata.blob_id.text()}: what was decoded encodes to blob {actual.text()}"
            raise InconsistentBlobError(message)


def decode(metadata: BlobMetadata, slivers: Sequence[Sliver], *, strict: bool = False) -> bytes:
    """Return the blob from any P primary or any S secondary slivers; what is there beyond that is not used.

    The data rows that were not among the slivers are hashed and compared with the metadata. With `strict` the result is
    encoded again and must give the same blob id: that also finds wrong hashes of other slivers, and padding that is
    not zero.

    Raises `SliverMismatchError` when a sliver is of another blob, `DuplicateSliverError`, `TooFewSliversError`, and
    `InconsistentBlobError` when the result contradicts the metadata.
    """
    return bytes(run(DecodeJob(metadata, slivers, strict=strict)))


def message_matrix(metadata: BlobMetadata, slivers: Sequence[Sliver]) -> Octets:
    """Return the message matrix, of shape (P, S, symbol bytes). Raises as `decode` does, but checks nothing after."""
    return run(MatrixJob(metadata, slivers))


def choose_slivers(metadata: BlobMetadata, slivers: Sequence[Sliver]) -> tuple[Axis, list[Sliver]]:
    """Return exactly as many slivers of one axis as decoding needs; those that hold data as it is come first."""
    shape = metadata.shape
    by_place: dict[tuple[Axis, int], Sliver] = {}
    for sliver in slivers:
        place = (sliver.axis, sliver.index)
        name = f"{sliver.axis.name.lower()} sliver {sliver.index}"
        if sliver.blob_id != metadata.blob_id:
            message = f"{name} is of blob {sliver.blob_id.text()}, not of {metadata.blob_id.text()}"
            raise SliverMismatchError(message)
        if place in by_place:
            message = f"{name} of blob {metadata.blob_id.text()} twice"
            raise DuplicateSliverError(message)
        by_place[place] = sliver
    for axis in Axis:
        found = [by_place[place] for place in sorted(by_place) if place[0] is axis]
        needed = shape.symbols_of(across(axis))
        if len(found) >= needed:
            return axis, found[:needed]
    message = (
        f"{len(slivers)} slivers of blob {metadata.blob_id.text()}: it takes {shape.rows} primary or {shape.columns} "
        "secondary ones to decode"
    )
    raise TooFewSliversError(message)

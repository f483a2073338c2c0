"""From verified slivers back to the blob, and the checks that it is a blob at all (spec section 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from p2pnode.coding.encoder import blob_id
from p2pnode.coding.errors import (
    DuplicateSliverError,
    InconsistentBlobError,
    SliverMismatchError,
    TooFewSliversError,
)
from p2pnode.coding.field import Octets
from p2pnode.coding.layout import to_octets
from p2pnode.coding.metadata import BlobMetadata
from p2pnode.coding.reed_solomon import restore
from p2pnode.coding.shape import Shape, across
from p2pnode.coding.sliver import Sliver, code_of, labels_of, sliver_hash
from wire.ids import Axis


def decode(metadata: BlobMetadata, slivers: Sequence[Sliver], *, strict: bool = False) -> bytes:
    """Return the blob from any P primary or any S secondary slivers; what is there beyond that is not used.

    The data rows that were not among the slivers are hashed and compared with the metadata. With `strict` the result is
    encoded again and must give the same blob id: that also finds wrong hashes of other slivers, and padding that is
    not zero.

    Raises `SliverMismatchError` when a sliver is of another blob, `DuplicateSliverError`, `TooFewSliversError`, and
    `InconsistentBlobError` when the result contradicts the metadata.
    """
    matrix = message_matrix(metadata, slivers)
    if not strict:
        _check_rows(metadata, matrix, {sliver.index for sliver in slivers if sliver.axis is Axis.PRIMARY})
    data = matrix.data.cast("B")[: metadata.length].tobytes()
    del matrix  # The strict check needs the memory.
    if strict:
        _check_id(metadata, data)
    return data


def message_matrix(metadata: BlobMetadata, slivers: Sequence[Sliver]) -> Octets:
    """Return the message matrix, of shape (P, S, symbol bytes). Raises as `decode` does, but checks nothing after."""
    shape = metadata.shape
    axis, chosen = choose_slivers(metadata, slivers)
    matrix = np.empty((shape.rows, shape.columns, shape.symbol_bytes), dtype=np.uint8)
    lines = matrix if axis is Axis.PRIMARY else matrix.swapaxes(0, 1)
    known = [sliver for sliver in chosen if sliver.index < len(lines)]
    for sliver in known:
        lines[sliver.index] = np.frombuffer(sliver.data, dtype=np.uint8).reshape(-1, shape.symbol_bytes)
    missing = sorted(set(range(len(lines))) - {sliver.index for sliver in known})
    if missing:
        lines[missing] = _restored_lines(shape, axis, chosen, missing)
    return matrix


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


def _restored_lines(shape: Shape, axis: Axis, chosen: Sequence[Sliver], missing: Sequence[int]) -> Octets:
    """Return the missing data rows (or columns) from k others: every column (or row) is a codeword through them."""
    code = code_of(shape, across(axis))
    labels = np.empty((len(chosen), shape.sliver_bytes(axis) // 2), dtype=np.uint16)
    for line, sliver in zip(labels, chosen, strict=True):
        line[...] = labels_of(shape, sliver.data).reshape(-1)
    restored = restore(code, labels, positions=[sliver.index for sliver in chosen], wanted=missing)
    return to_octets(restored.reshape(len(missing), -1, shape.symbol_bytes // 2))


def _check_rows(metadata: BlobMetadata, matrix: Octets, verified: set[int]) -> None:
    for index, row in enumerate(matrix):
        if index in verified:
            continue
        if sliver_hash(metadata.shape, Axis.PRIMARY, row.data.cast("B")) != metadata.primary_hashes[index]:
            message = f"blob {metadata.blob_id.text()}: the decoded row {index} is not what its metadata says"
            raise InconsistentBlobError(message)


def _check_id(metadata: BlobMetadata, data: bytes) -> None:
    actual = blob_id(data, metadata.n)
    if actual != metadata.blob_id:
        message = f"blob {metadata.blob_id.text()}: what was decoded encodes to blob {actual.text()}"
        raise InconsistentBlobError(message)

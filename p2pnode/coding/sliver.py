"""One sliver: its checked type, the check, and the n symbols that it extends to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from crypto.hashing import Buffer
from crypto.merkle import merkle_root
from p2pnode.coding.errors import SliverMismatchError
from p2pnode.coding.field import Labels, Octets
from p2pnode.coding.layout import to_labels, to_octets
from p2pnode.coding.metadata import BlobMetadata
from p2pnode.coding.reed_solomon import Code, extend
from p2pnode.coding.shape import Shape
from wire.ids import Axis, BlobId


@dataclass(frozen=True, slots=True)
class Sliver:
    """A sliver that matches its blob's metadata. Only `verify_sliver`, `recover_sliver` and the encoder make one."""

    blob_id: BlobId
    axis: Axis
    index: int
    data: bytes | memoryview = field(repr=False)


def code_of(shape: Shape, axis: Axis) -> Code:
    """Return the code that extends a sliver of this axis to n symbols."""
    count = shape.symbols_of(axis)
    return Code(originals=count, recovery=shape.n - count)


def labels_of(shape: Shape, data: Buffer) -> Labels:
    """Return a sliver's symbols as rows of labels."""
    return to_labels(np.frombuffer(data, dtype=np.uint8).reshape(-1, shape.symbol_bytes))


def expand(shape: Shape, axis: Axis, data: Buffer) -> Iterable[memoryview]:
    """Return all n symbols of the row or column that this sliver begins."""
    recovery: Octets = to_octets(extend(code_of(shape, axis), labels_of(shape, data)))
    return chain(shape.split(data), shape.split(recovery.data.cast("B")))


def sliver_hash(shape: Shape, axis: Axis, data: Buffer) -> bytes:
    """Return the hash of a sliver: the root over its n symbols."""
    return merkle_root(expand(shape, axis, data))


def verify_sliver(metadata: BlobMetadata, axis: Axis, index: int, data: Buffer) -> Sliver:
    """Check a sliver that came from outside: its index, its length, and its hash after extending it to n symbols.

    The result shares the bytes of `data`, which must not change any more. Raises `SliverMismatchError`.
    """
    shape = metadata.shape
    expected_hash = metadata.hash_of(axis, index)
    name = f"{axis.name.lower()} sliver {index} of blob {metadata.blob_id.text()}"
    if len(data) != shape.sliver_bytes(axis):
        message = f"{name} has {shape.sliver_bytes(axis)} bytes, got {len(data)}"
        raise SliverMismatchError(message)
    actual_hash = sliver_hash(shape, axis, data)
    if actual_hash != expected_hash:
        message = f"{name} has hash {expected_hash.hex()[:12]}, what came has {actual_hash.hex()[:12]}"
        raise SliverMismatchError(message)
    return Sliver(metadata.blob_id, axis, index, data if isinstance(data, bytes) else memoryview(data).toreadonly())

"""One sliver: its checked type and the check."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from crypto.hashing import Buffer
from p2pnode.coding.errors import SliverMismatchError
from p2pnode.coding.field import Octets
from p2pnode.coding.kernel import current
from p2pnode.coding.metadata import BlobMetadata
from p2pnode.coding.reed_solomon import Code
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


def symbols_of(shape: Shape, data: Buffer) -> Octets:
    """Return a sliver's symbols, (symbols, symbol bytes), as a view."""
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, shape.symbol_bytes)


def sliver_hash(shape: Shape, axis: Axis, data: Buffer) -> bytes:
    """Return the hash of a sliver: the root over its n symbols."""
    hashes = current().sliver_hashes(code_of(shape, axis), symbols_of(shape, data)[np.newaxis])
    return hashes.tobytes()


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

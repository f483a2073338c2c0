"""What names a blob: the hashes of its slivers, its length, and the id that follows from them (spec section 3).

`BlobMetadata` is the checked type: only `check_metadata` and the encoder make one. What travels is another type.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from crypto.hashing import HASH_BYTES, blake2b_256
from crypto.merkle import MerkleProof, MerkleTree
from p2pnode.coding.errors import MetadataMismatchError
from p2pnode.coding.kernel import current
from p2pnode.coding.shape import Shape
from wire.ids import Axis, BlobId, PairIndex

PAIR_HASH_BYTES = 2 * HASH_BYTES
"""A leaf of the blob's tree: the hash of primary i, then that of secondary n - 1 - i."""

_BLOB_ID_PREFIX = b"\x01"
_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class BlobMetadata:
    """The sliver hashes of a blob, checked against its id. Make one with `check_metadata`."""

    blob_id: BlobId
    n: int
    length: int
    primary_hashes: tuple[bytes, ...] = field(repr=False)
    secondary_hashes: tuple[bytes, ...] = field(repr=False)

    @property
    def shape(self) -> Shape:
        """The dimensions of the encoding."""
        return Shape.of(self.length, n=self.n)

    @property
    def symbol_bytes(self) -> int:
        """The size of one symbol."""
        return self.shape.symbol_bytes

    @property
    def pair_hashes(self) -> bytes:
        """The n leaves of the blob's tree, joined: what `check_metadata` takes."""
        return b"".join(_pair_leaves(self.primary_hashes, self.secondary_hashes))

    @property
    def root(self) -> bytes:
        """The blob root, which the id hashes together with the length."""
        return _root_of_pairs(self.primary_hashes, self.secondary_hashes)

    def hash_of(self, axis: Axis, index: int) -> bytes:
        """Return the hash of a sliver. Raises `SliverMismatchError` when there is no such sliver."""
        if not 0 <= index < self.n:  # A recovery asks for hundreds: the shape is computed for the message only.
            self.shape.check_index(axis, index)
        return (self.primary_hashes if axis is Axis.PRIMARY else self.secondary_hashes)[index]

    def pair_hash(self, pair: PairIndex) -> bytes:
        """Return one leaf of the blob's tree. Raises `SliverMismatchError` when there is no such pair."""
        primary = self.hash_of(Axis.PRIMARY, pair)
        return primary + self.secondary_hashes[self.n - 1 - pair]

    def prove_pairs(self, pairs: Collection[PairIndex]) -> MerkleProof:
        """Return the joint proof of some leaves of the blob's tree.

        Raises `SliverMismatchError` when there is no such pair.
        """
        for pair in pairs:
            self.shape.check_index(Axis.PRIMARY, pair)
        return MerkleTree.from_leaves(_pair_leaves(self.primary_hashes, self.secondary_hashes)).prove_leaves(pairs)


def blob_id_of_root(root: bytes, length: int) -> BlobId:
    """Return the id of the blob with this root and length: H(0x01 || u64le(length) || root)."""
    return BlobId(blake2b_256(_BLOB_ID_PREFIX + length.to_bytes(_LENGTH_BYTES, "little") + root))


def check_metadata(blob_id: BlobId, *, n: int, length: int, pair_hashes: bytes) -> BlobMetadata:
    """Return checked metadata of the blob that was asked for, from a peer's claim of n times 64 bytes of hashes.

    Raises `BadShardCountError`, `BlobTooLargeError`, or `MetadataMismatchError` when the recomputed id differs.
    """
    Shape.of(length, n=n)
    if len(pair_hashes) != n * PAIR_HASH_BYTES:
        message = f"metadata of n = {n} shards has {n * PAIR_HASH_BYTES} bytes of hashes, got {len(pair_hashes)}"
        raise MetadataMismatchError(message)
    hashes = [pair_hashes[start : start + HASH_BYTES] for start in range(0, len(pair_hashes), HASH_BYTES)]
    metadata = metadata_of_hashes(length, primary_hashes=hashes[0::2], secondary_hashes=hashes[1::2][::-1])
    if metadata.blob_id != blob_id:
        message = f"metadata of blob {metadata.blob_id.text()} came for blob {blob_id.text()}"
        raise MetadataMismatchError(message)
    return metadata


def metadata_of_hashes(
    length: int, *, primary_hashes: Sequence[bytes], secondary_hashes: Sequence[bytes]
) -> BlobMetadata:
    """Return the metadata that these hashes define, each list in the order of its sliver indices."""
    root = _root_of_pairs(primary_hashes, secondary_hashes)
    return BlobMetadata(
        blob_id=blob_id_of_root(root, length),
        n=len(primary_hashes),
        length=length,
        primary_hashes=tuple(primary_hashes),
        secondary_hashes=tuple(secondary_hashes),
    )


def _root_of_pairs(primary_hashes: Sequence[bytes], secondary_hashes: Sequence[bytes]) -> bytes:
    leaves = np.frombuffer(b"".join(_pair_leaves(primary_hashes, secondary_hashes)), dtype=np.uint8)
    return current().merkle_root(leaves.reshape(-1, PAIR_HASH_BYTES))


def _pair_leaves(primary_hashes: Sequence[bytes], secondary_hashes: Sequence[bytes]) -> list[bytes]:
    return [primary + secondary for primary, secondary in zip(primary_hashes, reversed(secondary_hashes), strict=True)]

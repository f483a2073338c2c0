"""Blobs for the tests of the code, honest ones and those of a writer that cheats."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from p2pnode.coding import BlobMetadata, EncodedBlob, Sliver, SymbolProof, encode, symbol_with_proof
from p2pnode.coding.metadata import metadata_of_hashes
from p2pnode.coding.shape import across
from wire.ids import Axis

SHARD_COUNTS = [4, 5, 6, 7, 8, 9, 10, 12, 13, 17, 31]
"""Among them n that are not 3f + 1, and codes of high rate, low rate and the tie between them."""

BOTH_AXES = [Axis.PRIMARY, Axis.SECONDARY]


@dataclass(frozen=True)
class Sample:
    """A blob and its encoding."""

    data: bytes
    encoded: EncodedBlob

    @property
    def metadata(self) -> BlobMetadata:
        return self.encoded.metadata

    def slivers(self, axis: Axis, indices: Sequence[int]) -> list[Sliver]:
        return [self.encoded.sliver(axis, index) for index in indices]

    def symbols_for(self, axis: Axis, index: int, sources: Sequence[int]) -> list[SymbolProof]:
        """Return the symbols of one sliver that these slivers of the other axis give."""
        return [symbol_with_proof(self.metadata, sliver, index) for sliver in self.slivers(across(axis), sources)]


def sample(rng: random.Random, n: int, *, size: int | None = None) -> Sample:
    """Return a random blob, of a size that leaves some padding unless one is named."""
    data = rng.randbytes(n * n * 5 + 1 if size is None else size)
    return Sample(data, encode(data, n))


def with_hash(metadata: BlobMetadata, axis: Axis, index: int, fake_hash: bytes) -> BlobMetadata:
    """Return metadata that names itself rightly, but commits to this hash for one sliver."""
    hashes = {Axis.PRIMARY: list(metadata.primary_hashes), Axis.SECONDARY: list(metadata.secondary_hashes)}
    hashes[axis][index] = fake_hash
    return metadata_of_hashes(
        metadata.length, primary_hashes=hashes[Axis.PRIMARY], secondary_hashes=hashes[Axis.SECONDARY]
    )

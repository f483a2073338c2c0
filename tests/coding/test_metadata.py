"""Metadata proves itself: what a peer claims becomes `BlobMetadata` only if it gives the id that was asked for."""

import itertools
import random
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.merkle import verify_leaves
from p2pnode.coding import (
    PAIR_HASH_BYTES,
    BadShardCountError,
    BlobMetadata,
    BlobTooLargeError,
    CodingError,
    MetadataMismatchError,
    SliverMismatchError,
    blob_bytes_max,
    blob_id_of_root,
    check_metadata,
)
from tests.coding.samples import sample
from wire.ids import Axis, BlobId, PairIndex


@pytest.fixture
def metadata(rng: random.Random) -> BlobMetadata:
    return sample(rng, 10, size=1000).metadata


def test_true_claims_become_the_same_metadata(metadata: BlobMetadata) -> None:
    checked = check_metadata(metadata.blob_id, n=metadata.n, length=metadata.length, pair_hashes=metadata.pair_hashes)
    assert checked == metadata
    assert hash(checked) == hash(metadata)


def test_the_id_is_computed_as_the_spec_says(metadata: BlobMetadata) -> None:
    digest = blake2b(b"\x01" + (1000).to_bytes(8, "little") + metadata.root, digest_size=32).digest()
    assert metadata.blob_id == blob_id_of_root(metadata.root, 1000) == digest


def test_pair_hashes_couple_a_primary_with_the_mirrored_secondary(metadata: BlobMetadata) -> None:
    first = metadata.pair_hashes[:PAIR_HASH_BYTES]
    assert first == metadata.primary_hashes[0] + metadata.secondary_hashes[9] == metadata.pair_hash(PairIndex(0))
    assert metadata.hash_of(Axis.SECONDARY, 9) == first[32:]


def test_every_two_pairs_are_provable_together_against_the_blob_root(metadata: BlobMetadata) -> None:
    for one, other in itertools.product(map(PairIndex, range(10)), repeat=2):
        leaves = {int(pair): metadata.pair_hash(pair) for pair in (one, other)}
        verify_leaves(metadata.root, leaves, leaf_count=10, proof=metadata.prove_pairs({one, other}))


@pytest.mark.parametrize("index", [-1, 10])
def test_there_is_no_hash_outside_n(metadata: BlobMetadata, index: int) -> None:
    for refused in (
        lambda: metadata.hash_of(Axis.PRIMARY, index),
        lambda: metadata.pair_hash(PairIndex(index)),
        lambda: metadata.prove_pairs([PairIndex(0), PairIndex(index)]),
    ):
        with pytest.raises(SliverMismatchError):
            refused()


def test_any_flipped_bit_in_the_hashes_is_noticed(metadata: BlobMetadata, rng: random.Random) -> None:
    for _ in range(50):
        forged = bytearray(metadata.pair_hashes)
        forged[rng.randrange(len(forged))] ^= 1 << rng.randrange(8)
        with pytest.raises(MetadataMismatchError, match=metadata.blob_id.text()):
            check_metadata(metadata.blob_id, n=10, length=1000, pair_hashes=bytes(forged))


def test_swapped_pairs_are_noticed(metadata: BlobMetadata) -> None:
    hashes = metadata.pair_hashes
    swapped = hashes[64:128] + hashes[:64] + hashes[128:]
    with pytest.raises(MetadataMismatchError):
        check_metadata(metadata.blob_id, n=10, length=1000, pair_hashes=swapped)


def test_another_length_is_another_blob(metadata: BlobMetadata) -> None:
    with pytest.raises(MetadataMismatchError):
        check_metadata(metadata.blob_id, n=10, length=999, pair_hashes=metadata.pair_hashes)


@pytest.mark.parametrize("n", [9, 11])
def test_the_number_of_hashes_fits_n(metadata: BlobMetadata, n: int) -> None:
    with pytest.raises(MetadataMismatchError, match=f"n = {n}"):
        check_metadata(metadata.blob_id, n=n, length=1000, pair_hashes=metadata.pair_hashes)
    for hashes in (metadata.pair_hashes[: 64 * n], metadata.pair_hashes.ljust(64 * n, b"\x00")[: 64 * n]):
        with pytest.raises(MetadataMismatchError):
            check_metadata(metadata.blob_id, n=n, length=1000, pair_hashes=hashes)


def test_impossible_dimensions_are_refused(metadata: BlobMetadata) -> None:
    with pytest.raises(BadShardCountError):
        check_metadata(metadata.blob_id, n=3, length=1000, pair_hashes=metadata.pair_hashes)
    for length in (-1, blob_bytes_max(10) + 1, 2**64):
        with pytest.raises(BlobTooLargeError):
            check_metadata(metadata.blob_id, n=10, length=length, pair_hashes=metadata.pair_hashes)


@given(st.integers(-2, 1010), st.integers(-2, 2**40), st.binary(max_size=300))
def test_made_up_claims_raise_documented_errors_only(n: int, length: int, pair_hashes: bytes) -> None:
    with pytest.raises((CodingError, BadShardCountError)):
        check_metadata(BlobId(bytes(32)), n=n, length=length, pair_hashes=pair_hashes)

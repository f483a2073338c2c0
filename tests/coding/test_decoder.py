"""Any P primaries or S secondaries give the blob; fewer give nothing; a writer that cheats is noticed."""

import itertools
import random
from dataclasses import replace

import pytest

from p2pnode import bft
from p2pnode.coding import (
    CodingError,
    DuplicateSliverError,
    InconsistentBlobError,
    SliverMismatchError,
    TooFewSliversError,
    decode,
    verify_sliver,
)
from p2pnode.coding.encoder import encode_padded
from tests.coding.samples import BOTH_AXES, SHARD_COUNTS, sample, with_hash
from wire.ids import Axis


def needed(axis: Axis, n: int) -> int:
    return bft.primary_source(n) if axis is Axis.PRIMARY else bft.secondary_source(n)


@pytest.mark.parametrize("axis", BOTH_AXES)
@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_every_choice_of_slivers_of_a_small_blob_decodes(rng: random.Random, n: int, axis: Axis) -> None:
    blob = sample(rng, n)
    for indices in itertools.combinations(range(n), needed(axis, n)):
        assert decode(blob.metadata, blob.slivers(axis, indices)) == blob.data


@pytest.mark.parametrize("axis", BOTH_AXES)
@pytest.mark.parametrize("n", [*SHARD_COUNTS, 100])
def test_random_choices_in_any_order_decode(rng: random.Random, n: int, axis: Axis) -> None:
    blob = sample(rng, n)
    for strict in (False, True):
        slivers = blob.slivers(axis, rng.sample(range(n), needed(axis, n)))
        assert decode(blob.metadata, slivers, strict=strict) == blob.data


@pytest.mark.parametrize("size", [0, 1, 2, 27, 28, 29, 55, 56, 57, 28 * 64, 28 * 65, 28 * 66])
def test_every_length_comes_back_exactly(rng: random.Random, size: int) -> None:
    """With n = 10 the message matrix has 28 symbols."""
    blob = sample(rng, 10, size=size)
    for axis in BOTH_AXES:
        last = range(10 - needed(axis, 10), 10)
        assert decode(blob.metadata, blob.slivers(axis, last), strict=True) == blob.data


def test_a_blob_of_a_thousand_shards_decodes(rng: random.Random) -> None:
    blob = sample(rng, 1000, size=10_000)
    assert decode(blob.metadata, blob.slivers(Axis.PRIMARY, rng.sample(range(1000), 334))) == blob.data


@pytest.mark.parametrize("axis", BOTH_AXES)
@pytest.mark.parametrize("n", SHARD_COUNTS)
def test_one_sliver_too_few_is_a_shortage(rng: random.Random, n: int, axis: Axis) -> None:
    blob = sample(rng, n)
    slivers = blob.slivers(axis, rng.sample(range(n), needed(axis, n) - 1))
    with pytest.raises(TooFewSliversError, match=f"takes {needed(Axis.PRIMARY, n)} primary or"):
        decode(blob.metadata, slivers)


def test_the_two_axes_do_not_add_up(rng: random.Random) -> None:
    blob = sample(rng, 7)
    slivers = blob.slivers(Axis.PRIMARY, [0, 1]) + blob.slivers(Axis.SECONDARY, [0, 1, 2, 3])
    with pytest.raises(TooFewSliversError, match="6 slivers of blob"):
        decode(blob.metadata, slivers)
    with pytest.raises(TooFewSliversError):
        decode(blob.metadata, [])


def test_more_slivers_than_needed_and_both_axes_together_are_fine(rng: random.Random) -> None:
    blob = sample(rng, 7)
    everything = blob.slivers(Axis.PRIMARY, range(7)) + blob.slivers(Axis.SECONDARY, range(7))
    assert decode(blob.metadata, everything) == blob.data
    mixed = blob.slivers(Axis.PRIMARY, [6]) + blob.slivers(Axis.SECONDARY, [6, 5, 4, 3, 2])
    assert decode(blob.metadata, mixed) == blob.data


def test_the_same_sliver_twice_is_refused(rng: random.Random) -> None:
    blob = sample(rng, 7)
    for axis in BOTH_AXES:
        with pytest.raises(DuplicateSliverError, match=f"{axis.name.lower()} sliver 1 of blob"):
            decode(blob.metadata, blob.slivers(axis, [0, 1, 2, 1, 3, 4]))


def test_a_sliver_of_another_blob_is_refused(rng: random.Random) -> None:
    blob, other = sample(rng, 7), sample(rng, 7)
    slivers = [*blob.slivers(Axis.PRIMARY, [0, 1, 2]), *other.slivers(Axis.PRIMARY, [3])]
    with pytest.raises(SliverMismatchError, match=other.metadata.blob_id.text()):
        decode(blob.metadata, slivers)


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_a_data_row_that_contradicts_its_hash_is_noticed_by_default(rng: random.Random, axis: Axis) -> None:
    blob, other = sample(rng, 7), sample(rng, 7)
    metadata = with_hash(blob.metadata, Axis.PRIMARY, 1, other.metadata.primary_hashes[1])
    indices = [2, 3, 4] if axis is Axis.PRIMARY else range(5)
    slivers = [replace(sliver, blob_id=metadata.blob_id) for sliver in blob.slivers(axis, indices)]
    for strict in (False, True):
        with pytest.raises(InconsistentBlobError, match=metadata.blob_id.text()):
            decode(metadata, slivers, strict=strict)


def test_two_sets_of_slivers_never_decode_to_different_blobs(rng: random.Random) -> None:
    """The writer swaps one data row for another, with its right hash: readers get an error or the same bytes."""
    blob, other = sample(rng, 7), sample(rng, 7)
    metadata = with_hash(blob.metadata, Axis.PRIMARY, 0, other.metadata.primary_hashes[0])
    slivers = [verify_sliver(metadata, Axis.PRIMARY, 0, other.encoded.primary(0).data)]
    slivers += [verify_sliver(metadata, Axis.PRIMARY, i, blob.encoded.primary(i).data) for i in range(1, 7)]
    results = set()
    for chosen in itertools.combinations(slivers, 3):
        try:
            results.add(decode(metadata, chosen))
        except InconsistentBlobError:
            continue
        with pytest.raises(InconsistentBlobError):
            decode(metadata, chosen, strict=True)
    assert len(results) <= 1


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_a_wrong_hash_of_a_recovery_sliver_is_noticed_by_the_strict_check_only(rng: random.Random, axis: Axis) -> None:
    blob = sample(rng, 7)
    metadata = with_hash(blob.metadata, axis, 6, bytes(32))
    slivers = [replace(sliver, blob_id=metadata.blob_id) for sliver in blob.slivers(Axis.PRIMARY, [3, 4, 5])]
    assert decode(metadata, slivers) == blob.data
    with pytest.raises(InconsistentBlobError, match="encodes to blob"):
        decode(metadata, slivers, strict=True)


def test_padding_that_is_not_zero_is_noticed_by_the_strict_check_only() -> None:
    encoded = encode_padded(b"eleven data" + b"\x01", length=11, n=4)
    slivers = [encoded.primary(1), encoded.primary(3)]
    assert decode(encoded.metadata, slivers) == b"eleven data"
    with pytest.raises(InconsistentBlobError):
        decode(encoded.metadata, slivers, strict=True)


def test_every_error_is_a_coding_error_and_a_value_error() -> None:
    for error in (TooFewSliversError, DuplicateSliverError, SliverMismatchError, InconsistentBlobError):
        assert issubclass(error, CodingError)
        assert issubclass(error, ValueError)

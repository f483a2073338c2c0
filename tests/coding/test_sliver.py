"""A sliver from outside becomes a `Sliver` only if it is the one that the metadata commits to."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnode.coding import SliverMismatchError, encode, verify_sliver
from tests.coding.samples import BOTH_AXES, SHARD_COUNTS, sample, with_hash
from wire.ids import Axis


@pytest.mark.parametrize("n", [*SHARD_COUNTS, 100])
def test_every_sliver_of_an_honest_writer_passes(rng: random.Random, n: int) -> None:
    blob = sample(rng, n, size=n * n * 3)
    for axis in BOTH_AXES:
        for index in range(n):
            sliver = blob.encoded.sliver(axis, index)
            assert verify_sliver(blob.metadata, axis, index, bytes(sliver.data)) == sliver


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_a_sliver_passes_only_at_its_own_place(rng: random.Random, axis: Axis) -> None:
    blob = sample(rng, 7)
    data = blob.encoded.sliver(axis, 3).data
    for index in (0, 2, 4, 6):
        with pytest.raises(SliverMismatchError, match=f"{axis.name.lower()} sliver {index} of blob"):
            verify_sliver(blob.metadata, axis, index, data)
    for index in (-1, 7):
        with pytest.raises(SliverMismatchError, match="n = 7"):
            verify_sliver(blob.metadata, axis, index, data)


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_a_sliver_of_another_blob_is_refused(rng: random.Random, axis: Axis) -> None:
    blob, other = sample(rng, 7), sample(rng, 7)
    with pytest.raises(SliverMismatchError, match=blob.metadata.blob_id.text()):
        verify_sliver(blob.metadata, axis, 0, other.encoded.sliver(axis, 0).data)


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_another_length_is_refused(rng: random.Random, axis: Axis) -> None:
    blob = sample(rng, 7)
    data = bytes(blob.encoded.sliver(axis, 0).data)
    for wrong in (b"", data[:-1], data[: -blob.metadata.symbol_bytes], data + b"\x00", data + data):
        with pytest.raises(SliverMismatchError, match=f"has {len(data)} bytes, got {len(wrong)}"):
            verify_sliver(blob.metadata, axis, 0, wrong)


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_any_flipped_bit_is_noticed(rng: random.Random, axis: Axis) -> None:
    blob = sample(rng, 7)
    for index in (0, 6):
        for _ in range(20):
            forged = bytearray(blob.encoded.sliver(axis, index).data)
            forged[rng.randrange(len(forged))] ^= 1 << rng.randrange(8)
            with pytest.raises(SliverMismatchError, match="what came has"):
                verify_sliver(blob.metadata, axis, index, forged)


def test_a_hash_over_the_right_symbols_with_wrong_recovery_symbols_is_refused(rng: random.Random) -> None:
    """A writer that commits to a row which is no codeword cannot place that sliver anywhere."""
    blob = sample(rng, 7)
    metadata = with_hash(blob.metadata, Axis.PRIMARY, 2, bytes(32))
    with pytest.raises(SliverMismatchError):
        verify_sliver(metadata, Axis.PRIMARY, 2, blob.encoded.primary(2).data)
    verify_sliver(metadata, Axis.PRIMARY, 3, blob.encoded.primary(3).data)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_buffer_is_taken_and_kept_without_a_copy(rng: random.Random, kind: type) -> None:
    blob = sample(rng, 7)
    data = kind(bytes(blob.encoded.primary(1).data))
    sliver = verify_sliver(blob.metadata, Axis.PRIMARY, 1, data)
    assert sliver == blob.encoded.primary(1)
    assert memoryview(sliver.data).readonly
    assert memoryview(sliver.data).obj is memoryview(data).obj


_FIXED = encode(b"a fixed blob", 4)


@given(st.sampled_from(Axis), st.integers(-2, 6), st.binary(max_size=12))
def test_made_up_slivers_raise_sliver_mismatch_error_only(axis: Axis, index: int, data: bytes) -> None:
    with pytest.raises(SliverMismatchError):
        verify_sliver(_FIXED.metadata, axis, index, data)

"""Sizes, limits and the way from pairs to shards."""

import random

import pytest

from p2pnode.coding import (
    BadShardCountError,
    BlobTooLargeError,
    SliverMismatchError,
    across,
    blob_bytes_max,
    pair_of_primary,
    pair_of_secondary,
    pair_of_shard,
    primary_bytes,
    secondary_bytes,
    shard_of_pair,
    symbol_bytes,
)
from p2pnode.coding.shape import Shape
from wire.ids import Axis, BlobId, PairIndex, ShardIndex

# The longest blobs that spec section 1 names.
LIMITS = {
    4: 393_204,
    7: 983_010,
    10: 1_834_952,
    13: 2_949_030,
    31: 15_138_354,
    100: 149_286_452,
    1000: 14_599_533_452,
}


@pytest.mark.parametrize(("n", "limit"), LIMITS.items())
def test_the_limits_are_those_of_the_spec(n: int, limit: int) -> None:
    assert blob_bytes_max(n) == limit
    assert symbol_bytes(limit, n=n) == 65_534
    for wrong in (limit + 1, -1):
        with pytest.raises(BlobTooLargeError, match=f"at most {limit} bytes, got {wrong}"):
            symbol_bytes(wrong, n=n)


@pytest.mark.parametrize(
    ("length", "expected"),
    {0: 2, 1: 2, 12: 2, 13: 4, 24: 4, 25: 6, 6 * 63: 64, 6 * 64: 64, 6 * 64 + 1: 66}.items(),
)
def test_symbols_are_as_small_as_an_even_size_can_be(length: int, expected: int) -> None:
    """With n = 4 the message matrix has 2 x 3 symbols."""
    assert symbol_bytes(length, n=4) == expected
    assert primary_bytes(length, n=4) == 3 * expected
    assert secondary_bytes(length, n=4) == 2 * expected


@pytest.mark.parametrize("n", [0, 3, 1001])
def test_a_shard_count_outside_the_format_is_refused(n: int) -> None:
    with pytest.raises(BadShardCountError):
        blob_bytes_max(n)
    for size in (symbol_bytes, primary_bytes, secondary_bytes):
        with pytest.raises(BadShardCountError):
            size(1, n=n)


def test_the_matrix_covers_the_blob() -> None:
    shape = Shape.of(100, n=10)
    assert (shape.rows, shape.columns, shape.symbol_bytes) == (4, 7, 4)
    assert shape.matrix_bytes == 112


def test_an_index_is_below_n() -> None:
    shape = Shape.of(100, n=10)
    shape.check_index(Axis.PRIMARY, 9)
    for index in (-1, 10):
        with pytest.raises(SliverMismatchError, match=f"secondary sliver {index} .* n = 10"):
            shape.check_index(Axis.SECONDARY, index)


def test_each_axis_lies_across_the_other() -> None:
    assert across(Axis.PRIMARY) is Axis.SECONDARY
    assert across(Axis.SECONDARY) is Axis.PRIMARY


@pytest.mark.parametrize("n", [4, 7, 10, 1000])
def test_shards_are_the_pairs_rotated_by_the_blob_id(rng: random.Random, n: int) -> None:
    blob_id = BlobId(rng.randbytes(32))
    pairs = [PairIndex(pair) for pair in range(n)]
    shards = [shard_of_pair(blob_id, pair, n) for pair in pairs]
    assert shards[0] == int(blob_id.hex(), 16) % n
    assert sorted(shards) == list(range(n))
    assert [pair_of_shard(blob_id, shard, n) for shard in shards] == pairs
    assert shard_of_pair(blob_id, pair_of_shard(blob_id, ShardIndex(n - 1), n), n) == n - 1


def test_secondaries_lie_in_the_pairs_in_reverse() -> None:
    assert [pair_of_primary(index) for index in range(4)] == [0, 1, 2, 3]
    assert [pair_of_secondary(index, n=4) for index in range(4)] == [3, 2, 1, 0]

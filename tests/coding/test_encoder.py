"""The encoding's own properties; that its bytes are the right ones is shown in `test_vectors`."""

import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from p2pnode import bft
from p2pnode.coding import (
    BadShardCountError,
    BlobTooLargeError,
    SliverMismatchError,
    blob_id,
    encode,
    interface,
    reference,
)
from p2pnode.coding.field import tables
from p2pnode.coding.reed_solomon import Code
from tests.coding.samples import BOTH_AXES, SHARD_COUNTS, sample
from wire.ids import Axis, PairIndex


@pytest.mark.parametrize("n", SHARD_COUNTS)
def test_extending_the_lower_rows_by_the_row_code_gives_the_same_corner(rng: random.Random, n: int) -> None:
    """The encoder extends columns to the bottom; going right from there must give the columns' own symbols."""
    encoded = sample(rng, n).encoded
    row_code = Code(bft.secondary_source(n), bft.faulty(n))
    column_code = Code(bft.primary_source(n), 2 * bft.faulty(n))
    from_rows = reference._extended(row_code, encoded.bottom.swapaxes(0, 1)).swapaxes(0, 1)
    from_columns = reference._extended(column_code, encoded.top[:, bft.secondary_source(n) :])
    assert from_rows.shape == (2 * bft.faulty(n), bft.faulty(n), encoded.metadata.symbol_bytes)
    assert (from_rows == from_columns).all()


def test_the_first_primaries_are_the_blob(rng: random.Random) -> None:
    blob = sample(rng, 7, size=1001)
    rows = b"".join(bytes(blob.encoded.primary(index).data) for index in range(3))
    assert rows[:1001] == blob.data
    assert not any(rows[1001:])


def test_a_pair_is_a_primary_and_the_mirrored_secondary(rng: random.Random) -> None:
    encoded = sample(rng, 7).encoded
    for index in range(7):
        primary, secondary = encoded.pair(PairIndex(index))
        assert primary == encoded.primary(index) == encoded.sliver(Axis.PRIMARY, index)
        assert secondary == encoded.secondary(6 - index) == encoded.sliver(Axis.SECONDARY, 6 - index)


@pytest.mark.parametrize("index", [-1, 7, 10**9])
def test_there_is_no_sliver_outside_n(rng: random.Random, index: int) -> None:
    encoded = sample(rng, 7).encoded
    for axis in BOTH_AXES:
        with pytest.raises(SliverMismatchError):
            encoded.sliver(axis, index)
    with pytest.raises(SliverMismatchError):
        encoded.pair(PairIndex(index))


def test_slivers_cannot_be_changed(rng: random.Random) -> None:
    encoded = sample(rng, 7).encoded
    for index in (0, 6):
        assert memoryview(encoded.primary(index).data).readonly
        assert memoryview(encoded.secondary(index).data).readonly


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_buffer_encodes_alike(rng: random.Random, kind: type) -> None:
    data = rng.randbytes(333)
    assert encode(kind(data), 5).blob_id == blob_id(data, 5)
    assert encode(kind(b""), 5).blob_id == blob_id(b"", 5)


def test_the_input_may_change_after_the_call(rng: random.Random) -> None:
    data = bytearray(rng.randbytes(333))
    encoded = encode(data, 5)
    before = bytes(encoded.primary(0).data)
    data[:] = bytes(333)
    assert encoded.primary(0).data == before


def test_the_id_depends_on_every_part_of_the_input(rng: random.Random) -> None:
    data = rng.randbytes(100)
    ids = {blob_id(data, 7), blob_id(data, 8), blob_id(data[:-1], 7), blob_id(data + b"\x00", 7)}
    assert len(ids) == 4


@pytest.mark.parametrize("n", [-1, 0, 1, 2, 3, 1001])
def test_a_shard_count_outside_the_format_is_refused(n: int) -> None:
    with pytest.raises(BadShardCountError):
        encode(b"data", n)


def test_the_longest_blob_fits_and_one_byte_more_does_not(rng: random.Random) -> None:
    data = rng.randbytes(393_205)
    assert encode(memoryview(data)[:-1], 4).metadata.symbol_bytes == 65_534
    with pytest.raises(BlobTooLargeError, match="393205"):
        encode(data, 4)


@pytest.mark.parametrize("batch_bytes", [1, 500, 2000, 1 << 30])
@pytest.mark.parametrize("n", [4, 9, 17, 33])
def test_the_size_of_the_batches_changes_nothing(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch, n: int, batch_bytes: int
) -> None:
    blob = sample(rng, n)
    monkeypatch.setattr(interface, "PAGE_BYTES", batch_bytes)
    again = encode(blob.data, n)
    assert again.metadata == blob.metadata
    assert (again.top == blob.encoded.top).all()
    assert (again.bottom == blob.encoded.bottom).all()


@pytest.mark.parametrize("n", [10, 31])
def test_an_encode_holds_at_most_five_and_a_half_times_the_blob(rng: random.Random, n: int) -> None:
    data = np.random.default_rng(rng.getrandbits(64)).bytes(1_800_000)
    encode(data[:1000], n)  # Builds the tables, which are no part of the claim.
    tracemalloc.start()
    try:
        encoded = encode(data, n)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak + len(data) <= 5.5 * len(data)
    assert kept <= 3.6 * len(data)
    assert encoded.metadata.length == len(data)


@pytest.mark.parametrize("n", [10, 100])
def test_the_name_of_a_blob_takes_half_the_memory_of_its_slivers(rng: random.Random, n: int) -> None:
    data = rng.randbytes(1_000_000)
    expected = encode(data, n).blob_id
    tracemalloc.start()
    assert blob_id(data, n) == expected
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 2.5 * len(data)


def test_threads_that_start_together_encode_alike(rng: random.Random) -> None:
    """The first calls of a process may come from several worker threads, before the tables exist."""
    data = rng.randbytes(5000)
    expected = blob_id(data, 13)
    tables.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: blob_id(data, 13), range(8))) == {expected}

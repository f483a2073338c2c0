"""Long work in parts gives the same as in one go, whoever does the parts, and in whatever order."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from p2pnode.coding import DecodeJob, EncodeJob, InconsistentBlobError, Job, decode, encode, jobs, run
from p2pnode.coding.decoder import MatrixJob
from p2pnode.coding.jobs import PARTS_MAX, parts_of, split
from tests.coding.samples import BOTH_AXES, sample, with_hash
from wire.ids import Axis


def run_shuffled(rng: random.Random, job: Job[object]) -> object:
    """Do the parts of each stage in any order, four at a time."""
    with ThreadPoolExecutor(4) as pool:
        for stage in job.stages():
            parts = list(stage)
            rng.shuffle(parts)
            for future in [pool.submit(part) for part in parts]:
                future.result()
    return job.finish()


@pytest.fixture
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut even small work into as many parts as there may be."""
    monkeypatch.setattr(jobs, "PART_BYTES_MIN", 1)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 1000])
@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_ranges_cover_everything_once_and_are_even(count: int, parts: int) -> None:
    ranges = split(count, parts)
    assert [index for part in ranges for index in part] == list(range(count))
    assert len(ranges) == min(count, parts)
    assert len({len(part) for part in ranges}) <= 2


def test_small_work_is_one_part_and_large_work_no_more_than_the_bound() -> None:
    assert parts_of(symbols=100, symbol_bytes=1000) == 1
    assert parts_of(symbols=10_000, symbol_bytes=15_000) == PARTS_MAX
    assert parts_of(symbols=1_000_000, symbol_bytes=6) == PARTS_MAX


@pytest.mark.usefixtures("many_parts")
@pytest.mark.parametrize("n", [4, 7, 10, 33])
def test_an_encode_in_parts_is_the_encode(rng: random.Random, n: int) -> None:
    data = rng.randbytes(n * n * 7 + 3)
    encoded = run_shuffled(rng, EncodeJob(data, n))
    expected = encode(data, n)
    assert (encoded.metadata, encoded.top.tobytes(), encoded.bottom.tobytes()) == (  # type: ignore[attr-defined]
        expected.metadata,
        expected.top.tobytes(),
        expected.bottom.tobytes(),
    )


@pytest.mark.usefixtures("many_parts")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("axis", BOTH_AXES)
@pytest.mark.parametrize("n", [4, 7, 10, 33])
def test_a_decode_in_parts_is_the_decode(rng: random.Random, n: int, axis: Axis, *, strict: bool) -> None:
    blob = sample(rng, n)
    slivers = blob.slivers(axis, rng.sample(range(n), n - (n - 1) // 3))
    assert run_shuffled(rng, DecodeJob(blob.metadata, slivers, strict=strict)) == blob.data
    assert decode(blob.metadata, slivers, strict=strict) == blob.data


@pytest.mark.usefixtures("many_parts")
def test_an_inconsistent_blob_is_found_by_its_part(rng: random.Random) -> None:
    blob, other = sample(rng, 10), sample(rng, 10)
    metadata = with_hash(blob.metadata, Axis.PRIMARY, 2, other.metadata.primary_hashes[2])
    slivers = [replace(sliver, blob_id=metadata.blob_id) for sliver in blob.slivers(Axis.PRIMARY, range(6, 10))]
    job = DecodeJob(metadata, slivers)
    with pytest.raises(InconsistentBlobError, match="row 2"):
        run_shuffled(rng, job)


def test_a_job_is_small_when_it_has_one_part(rng: random.Random) -> None:
    blob = sample(rng, 10)
    assert EncodeJob(blob.data, 10).is_small
    assert DecodeJob(blob.metadata, blob.slivers(Axis.PRIMARY, range(4))).is_small
    large = EncodeJob(bytes(8_000_000), 31)
    assert not large.is_small
    assert max(len(stage) for stage in large.stages()) > 1
    encoded = run(large)
    slivers = [encoded.primary(index) for index in range(20, 31)]
    assert not DecodeJob(encoded.metadata, slivers).is_small
    assert not MatrixJob(encoded.metadata, slivers).is_small


def test_the_result_of_a_decode_cannot_be_changed(rng: random.Random) -> None:
    blob = sample(rng, 7)
    view = run(DecodeJob(blob.metadata, blob.slivers(Axis.PRIMARY, range(3))))
    assert view.readonly
    assert view.format == "B"
    assert view == blob.data

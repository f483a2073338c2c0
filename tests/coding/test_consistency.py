"""A writer that cheats is convicted by anyone who holds enough, and an honest writer by nobody."""

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnode import bft
from p2pnode.coding import (
    BlobMetadata,
    InconsistencyProof,
    InconsistentBlobError,
    NotInconsistentError,
    Sliver,
    TooFewSliversError,
    decode,
    encode,
    find_inconsistency,
    prove_inconsistency,
    recover_sliver,
    symbol_with_proof,
    verify_inconsistency,
    verify_sliver,
)
from p2pnode.coding.encoder import encode_padded
from p2pnode.coding.shape import across
from tests.coding.samples import BOTH_AXES, SHARD_COUNTS, Sample, sample, with_hash
from wire.ids import Axis


def sources_needed(axis: Axis, n: int) -> int:
    return bft.secondary_source(n) if axis is Axis.PRIMARY else bft.primary_source(n)


def bent(rng: random.Random, n: int, axis: Axis, index: int) -> tuple[Sample, BlobMetadata, list[Sliver]]:
    """Return a blob, metadata in which one sliver is a stranger's, and all verified slivers of that axis."""
    blob, other = sample(rng, n), sample(rng, n)
    metadata = with_hash(blob.metadata, axis, index, other.metadata.hash_of(axis, index))
    slivers = [
        verify_sliver(metadata, axis, i, (other if i == index else blob).encoded.sliver(axis, i).data) for i in range(n)
    ]
    return blob, metadata, slivers


@pytest.mark.parametrize("axis", BOTH_AXES)
@pytest.mark.parametrize("n", SHARD_COUNTS)
def test_the_symbols_of_a_failed_recovery_convict(rng: random.Random, n: int, axis: Axis) -> None:
    blob, metadata, _ = bent(rng, n, axis, n - 2)
    symbols = blob.symbols_for(axis, n - 2, rng.sample(range(n), sources_needed(axis, n)))
    with pytest.raises(InconsistentBlobError):
        recover_sliver(metadata, axis, n - 2, symbols)
    proof = prove_inconsistency(metadata, axis, n - 2, symbols)
    assert len(proof.symbols) == sources_needed(axis, n)
    verify_inconsistency(metadata, proof)
    with pytest.raises(NotInconsistentError):
        verify_inconsistency(blob.metadata, proof)


def test_more_symbols_than_needed_still_make_an_exact_proof(rng: random.Random) -> None:
    blob, metadata, _ = bent(rng, 7, Axis.PRIMARY, 0)
    proof = prove_inconsistency(metadata, Axis.PRIMARY, 0, blob.symbols_for(Axis.PRIMARY, 0, range(7)))
    assert [symbol.source_index for symbol in proof.symbols] == list(range(5))


@pytest.mark.parametrize("axis", BOTH_AXES)
@pytest.mark.parametrize("index", [0, 6])
@pytest.mark.parametrize("n", [7, 8])
def test_any_set_of_slivers_that_decodes_convicts(rng: random.Random, n: int, index: int, axis: Axis) -> None:
    """Whichever slivers a reader holds, with the strange one or without: what strict decoding notices is provable."""
    blob, metadata, slivers = bent(rng, n, axis, index)
    others = [
        replace(sliver, blob_id=metadata.blob_id) for sliver in blob.slivers(across(axis), range(n))
    ]  # Verified too: their hashes are those of the honest blob.
    for held in (slivers, others):
        count = sources_needed(across(held[0].axis), n)
        for chosen in itertools.islice(itertools.combinations(held, count), 0, None, 3):
            with pytest.raises(InconsistentBlobError):
                decode(metadata, chosen, strict=True)
            verify_inconsistency(metadata, find_inconsistency(metadata, chosen))


def test_a_sliver_that_nobody_can_hold_convicts(rng: random.Random) -> None:
    """The hash is of no codeword at all."""
    blob = sample(rng, 7)
    for axis in BOTH_AXES:
        metadata = with_hash(blob.metadata, axis, 3, bytes(32))
        slivers = [replace(sliver, blob_id=metadata.blob_id) for sliver in blob.slivers(Axis.PRIMARY, [4, 5, 6])]
        proof = find_inconsistency(metadata, slivers)
        assert (proof.axis, proof.index) == (axis, 3)


def test_an_honest_writer_is_never_convicted(rng: random.Random) -> None:
    blob = sample(rng, 10)
    for axis in BOTH_AXES:
        for index in range(10):
            symbols = blob.symbols_for(axis, index, rng.sample(range(10), sources_needed(axis, 10)))
            with pytest.raises(NotInconsistentError, match="as its metadata says"):
                prove_inconsistency(blob.metadata, axis, index, symbols)
        count = sources_needed(across(axis), 10)
        with pytest.raises(NotInconsistentError, match="one encoding"):
            find_inconsistency(blob.metadata, blob.slivers(axis, rng.sample(range(10), count)))


def test_padding_that_is_not_zero_convicts_nobody() -> None:
    encoded = encode_padded(b"eleven data" + b"\x01", length=11, n=4)
    with pytest.raises(NotInconsistentError):
        find_inconsistency(encoded.metadata, [encoded.primary(0), encoded.primary(1)])


def test_too_few_slivers_find_nothing(rng: random.Random) -> None:
    _, metadata, slivers = bent(rng, 7, Axis.PRIMARY, 0)
    with pytest.raises(TooFewSliversError):
        find_inconsistency(metadata, slivers[:2])


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_a_forged_proof_does_not_convict(rng: random.Random, axis: Axis) -> None:
    blob, metadata, _ = bent(rng, 7, axis, 2)
    symbols = blob.symbols_for(axis, 2, range(sources_needed(axis, 7)))
    proof = prove_inconsistency(metadata, axis, 2, symbols)
    first = proof.symbols[0]
    one_more = blob.symbols_for(axis, 2, [6])[0]
    other_target = symbol_with_proof(blob.metadata, blob.encoded.sliver(across(axis), 0), 3)
    forgeries = {
        "one symbol too few": proof.symbols[1:],
        "one too many": (*proof.symbols, one_more),
        "one twice": (first, *proof.symbols[:-1]),
        "none": (),
        "made up data": (replace(first, data=bytes(len(first.data))), *proof.symbols[1:]),
        "a symbol for another target": (other_target, *proof.symbols[1:]),
    }
    for forged in forgeries.values():
        with pytest.raises(NotInconsistentError):
            verify_inconsistency(metadata, replace(proof, symbols=forged))
    for index in (-1, 0, 3, 7):
        with pytest.raises(NotInconsistentError):
            verify_inconsistency(metadata, replace(proof, index=index))
    with pytest.raises(NotInconsistentError):
        verify_inconsistency(metadata, replace(proof, axis=across(axis)))


_FIXED = encode(b"a fixed blob", 4)
_SYMBOLS = [
    symbol_with_proof(_FIXED.metadata, _FIXED.sliver(axis, source), target)
    for axis in Axis
    for source in range(4)
    for target in range(4)
]


@given(st.sampled_from(Axis), st.integers(-1, 4), st.lists(st.sampled_from(_SYMBOLS), max_size=4).map(tuple))
def test_no_choice_of_true_symbols_convicts_an_honest_writer(
    axis: Axis, index: int, symbols: tuple[object, ...]
) -> None:
    proof = InconsistencyProof(axis, index, symbols)  # type: ignore[arg-type] # The strategy's map loses the type.
    with pytest.raises(NotInconsistentError):
        verify_inconsistency(_FIXED.metadata, proof)

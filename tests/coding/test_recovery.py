"""A lost sliver comes back from one symbol of each of enough others, and from nothing less or false."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.merkle import EMPTY_NODE, MerkleProof, MerkleTree
from p2pnode import bft
from p2pnode.coding import (
    BadSymbolError,
    DuplicateSymbolError,
    InconsistentBlobError,
    SliverMismatchError,
    SymbolProof,
    TooFewSymbolsError,
    encode,
    recover_sliver,
    symbol_with_proof,
    symbols_with_proofs,
    verify_symbol,
)
from p2pnode.coding.shape import across
from tests.coding.samples import BOTH_AXES, SHARD_COUNTS, Sample, sample, with_hash
from wire.ids import Axis


def needed(axis: Axis, n: int) -> int:
    return bft.secondary_source(n) if axis is Axis.PRIMARY else bft.primary_source(n)


def symbols_for(rng: random.Random, blob: Sample, axis: Axis, index: int) -> list[SymbolProof]:
    """Return exactly enough symbols, from a random choice of sources in random order."""
    n = blob.metadata.n
    return blob.symbols_for(axis, index, rng.sample(range(n), needed(axis, n)))


@pytest.mark.parametrize("axis", BOTH_AXES)
@pytest.mark.parametrize("n", [*SHARD_COUNTS, 49])
def test_a_lost_sliver_is_recovered_from_random_sources(rng: random.Random, n: int, axis: Axis) -> None:
    blob = sample(rng, n)
    for index in {0, n - 1, rng.randrange(n)}:
        recovered = recover_sliver(blob.metadata, axis, index, symbols_for(rng, blob, axis, index))
        assert recovered == blob.encoded.sliver(axis, index)


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_every_sliver_is_recovered_from_the_first_and_from_the_last_sources(rng: random.Random, axis: Axis) -> None:
    blob = sample(rng, 10)
    count = needed(axis, 10)
    for index in range(10):
        for sources in (range(count), range(10 - count, 10)):
            symbols = blob.symbols_for(axis, index, sources)
            assert recover_sliver(blob.metadata, axis, index, symbols) == blob.encoded.sliver(axis, index)


def test_one_sliver_of_many_shards_is_recovered(rng: random.Random) -> None:
    blob = sample(rng, 300, size=3000)
    symbols = symbols_for(rng, blob, Axis.SECONDARY, 299)
    assert recover_sliver(blob.metadata, Axis.SECONDARY, 299, symbols) == blob.encoded.secondary(299)


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_one_symbol_too_few_is_a_shortage(rng: random.Random, axis: Axis) -> None:
    blob = sample(rng, 7)
    symbols = symbols_for(rng, blob, axis, 2)
    with pytest.raises(TooFewSymbolsError, match=f"^{len(symbols) - 1} symbols .* {len(symbols)} are needed"):
        recover_sliver(blob.metadata, axis, 2, symbols[:-1])
    with pytest.raises(TooFewSymbolsError):
        recover_sliver(blob.metadata, axis, 2, [])


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_a_symbol_that_comes_late_changes_nothing_but_is_checked(rng: random.Random, axis: Axis) -> None:
    blob = sample(rng, 7)
    symbols = blob.symbols_for(axis, 2, range(7))
    assert recover_sliver(blob.metadata, axis, 2, symbols) == blob.encoded.sliver(axis, 2)
    symbols[-1] = replace(symbols[-1], data=bytes(len(symbols[-1].data)))
    with pytest.raises(BadSymbolError):
        recover_sliver(blob.metadata, axis, 2, symbols)


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_two_symbols_of_one_source_do_not_count_as_two(rng: random.Random, axis: Axis) -> None:
    blob = sample(rng, 7)
    symbols = symbols_for(rng, blob, axis, 2)
    with pytest.raises(DuplicateSymbolError, match=f"sliver {symbols[0].source_index}"):
        recover_sliver(blob.metadata, axis, 2, [*symbols[:-1], symbols[0]])


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_a_forged_symbol_is_refused(rng: random.Random, axis: Axis) -> None:
    blob = sample(rng, 7)
    good = symbols_for(rng, blob, axis, 2)
    symbol = good[0]
    siblings = symbol.proof.siblings
    flipped = bytes([symbol.data[0] ^ 1]) + symbol.data[1:]
    forgeries = {
        "other data": replace(symbol, data=flipped),
        "shorter data": replace(symbol, data=symbol.data[:-1]),
        "longer data": replace(symbol, data=symbol.data + b"\x00"),
        "another source": replace(symbol, source_index=(symbol.source_index + 1) % 7),
        "no such source": replace(symbol, source_index=7),
        "a source below zero": replace(symbol, source_index=-1),
        "the other axis": replace(symbol, source_axis=axis),
        "another target": replace(symbol, target_index=3),
        "no such target": replace(symbol, target_index=7),
        "a short proof": replace(symbol, proof=MerkleProof(siblings[:-1])),
        "a long proof": replace(symbol, proof=MerkleProof((*siblings, EMPTY_NODE))),
        "a sibling of another length": replace(symbol, proof=MerkleProof((b"", *siblings[1:]))),
        "another proof": replace(symbol, proof=good[1].proof),
    }
    for forged in forgeries.values():
        with pytest.raises(BadSymbolError):
            recover_sliver(blob.metadata, axis, 2, [forged, *good[1:]])
        with pytest.raises(BadSymbolError):
            verify_symbol(blob.metadata, forged)


def test_a_true_symbol_for_another_target_is_refused(rng: random.Random) -> None:
    blob = sample(rng, 7)
    for axis in BOTH_AXES:
        symbols = symbols_for(rng, blob, axis, 2)
        other = blob.symbols_for(axis, 3, [symbols[0].source_index])
        verify_symbol(blob.metadata, other[0])
        with pytest.raises(BadSymbolError, match=f"{axis.name.lower()} sliver 3 came for {axis.name.lower()} sliver 2"):
            recover_sliver(blob.metadata, axis, 2, other + symbols[1:])
        with pytest.raises(BadSymbolError):
            recover_sliver(blob.metadata, across(axis), 2, symbols)


@pytest.mark.parametrize("index", [-1, 7])
def test_there_is_no_target_outside_n(rng: random.Random, index: int) -> None:
    blob = sample(rng, 7)
    with pytest.raises(SliverMismatchError):
        recover_sliver(blob.metadata, Axis.PRIMARY, index, [])
    with pytest.raises(SliverMismatchError):
        symbol_with_proof(blob.metadata, blob.encoded.primary(0), index)


def test_a_helper_serves_every_index_from_one_sliver(rng: random.Random) -> None:
    blob = sample(rng, 7)
    symbols = symbols_with_proofs(blob.metadata, blob.encoded.secondary(5), range(7))
    assert [symbol.target_index for symbol in symbols] == list(range(7))
    for symbol in symbols:
        verify_symbol(blob.metadata, symbol)
        assert symbol == symbol_with_proof(blob.metadata, blob.encoded.secondary(5), symbol.target_index)


def test_a_helper_does_not_mix_blobs(rng: random.Random) -> None:
    blob, other = sample(rng, 7), sample(rng, 7)
    with pytest.raises(SliverMismatchError, match=other.metadata.blob_id.text()):
        symbol_with_proof(blob.metadata, other.encoded.primary(0), 0)


@pytest.mark.parametrize("axis", BOTH_AXES)
def test_valid_symbols_that_contradict_the_metadata_show_an_inconsistent_blob(rng: random.Random, axis: Axis) -> None:
    blob, other = sample(rng, 7), sample(rng, 7)
    metadata = with_hash(blob.metadata, axis, 2, other.metadata.hash_of(axis, 2))
    with pytest.raises(InconsistentBlobError, match=metadata.blob_id.text()):
        recover_sliver(metadata, axis, 2, symbols_for(rng, blob, axis, 2))


def test_a_leaf_of_another_length_in_the_tree_is_no_symbol(rng: random.Random) -> None:
    """Only the writer can put one there; nobody must take it for a symbol, even with a proof that fits."""
    blob = sample(rng, 7)
    tree = MerkleTree.from_leaves([b"long" * 100] * 7)
    metadata = with_hash(blob.metadata, Axis.SECONDARY, 0, tree.root)
    symbol = SymbolProof(Axis.SECONDARY, 0, 2, b"long" * 100, tree.prove(2))
    with pytest.raises(BadSymbolError, match="400 bytes"):
        verify_symbol(metadata, symbol)


_FIXED = encode(b"a fixed blob", 4)
_CLAIMS = st.builds(
    SymbolProof,
    st.sampled_from(Axis),
    st.integers(-2, 6),
    st.integers(-2, 6),
    st.binary(max_size=4),
    st.builds(MerkleProof, st.lists(st.binary(min_size=31, max_size=33), max_size=4).map(tuple)),
)


@given(_CLAIMS)
def test_made_up_symbols_raise_bad_symbol_error_only(symbol: SymbolProof) -> None:
    with pytest.raises(BadSymbolError):
        verify_symbol(_FIXED.metadata, symbol)

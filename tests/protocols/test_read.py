"""Claims about the read plan: whom it asks, when it asks more, and which error a read ends with."""

from __future__ import annotations

import random

import pytest

from p2pnode import bft
from p2pnode.coding import (
    EncodedBlob,
    InconsistentBlobError,
    Sliver,
    decode,
    encode,
    pair_of_shard,
    shard_of_pair,
    verify_sliver,
)
from p2pnode.errors import HoldersSilentError, InconsistentDataError, IntegrityError, TooFewPairsError
from p2pnode.protocols.inconsistency import check_contradiction
from p2pnode.protocols.read import LATE_S_MIN, LATE_TIMES, Ask, ReadPlan, why_unreadable
from testnet.sim.habits.crooked_blobs import crooked_blob
from tests.factories import peer_id
from wire.ids import Axis, PairIndex, PeerId, ShardIndex

N = 10
P = 4


@pytest.fixture
def encoded(rng: random.Random) -> EncodedBlob:
    return encode(rng.randbytes(5000), N)


def holders(*, missing: tuple[int, ...] = ()) -> dict[ShardIndex, tuple[PeerId, ...]]:
    """Return one holder a shard, node i for shard i, without the shards that are missing."""
    return {ShardIndex(shard): (peer_id(shard),) for shard in range(N) if shard not in missing}


def plan_for(encoded: EncodedBlob, **kwargs: tuple[int, ...]) -> ReadPlan:
    """Return a plan in which everyone is equally near."""
    known = holders(**kwargs)
    return ReadPlan(encoded.metadata, known, distance={peer: 1 for each in known.values() for peer in each})


def answer(encoded: EncodedBlob, ask: Ask) -> Sliver:
    """Return what an honest holder answers."""
    return encoded.primary(ask.pair)


def test_the_data_itself_is_asked_for_first(encoded: EncodedBlob) -> None:
    asks = plan_for(encoded).start()
    assert [ask.pair for ask in asks] == [0, 1, 2, 3]
    assert all(ask.peer_id == peer_id(shard_of_pair(encoded.blob_id, ask.pair, N)) for ask in asks)


def test_p_answers_complete_a_read(encoded: EncodedBlob) -> None:
    plan = plan_for(encoded)
    asks = plan.start()
    for ask in asks:
        assert not plan.is_complete
        plan.arrived(ask, answer(encoded, ask), took_s=0.5)
    assert plan.is_complete
    assert not plan.is_hopeless
    assert len(plan.slivers) == P
    assert plan.start() == []


def test_a_failure_is_replaced_by_the_next_pair(encoded: EncodedBlob) -> None:
    plan = plan_for(encoded)
    first = plan.start()[0]
    plan.failed(first, reason="refused", was_silent=False)
    assert [ask.pair for ask in plan.start()] == [4]


def test_a_late_answer_is_overtaken_but_still_counts(encoded: EncodedBlob) -> None:
    plan = plan_for(encoded)
    asks = plan.start()
    extra = plan.hedge()
    assert extra is not None
    assert extra.pair == 4
    for ask in [extra, *asks]:
        plan.arrived(ask, answer(encoded, ask), took_s=0.5)
    assert len(plan.slivers) == P + 1


def test_near_holders_come_before_systematic_pairs_of_far_ones(encoded: EncodedBlob) -> None:
    far = peer_id(shard_of_pair(encoded.blob_id, PairIndex(0), N))
    distance = {peer_id(number): 1 for number in range(N) if peer_id(number) != far}
    asks = ReadPlan(encoded.metadata, holders(), distance=distance).start()
    assert [ask.pair for ask in asks] == [1, 2, 3, 4]


def test_a_second_holder_of_a_pair_is_asked_only_after_the_first_failed(encoded: EncodedBlob) -> None:
    shard = shard_of_pair(encoded.blob_id, PairIndex(0), N)
    known = holders() | {shard: (peer_id(50), peer_id(51))}
    plan = ReadPlan(encoded.metadata, known, distance={})
    first = plan.start()[0]
    assert first == Ask(PairIndex(0), peer_id(50))
    plan.failed(first, reason="gone", was_silent=False)
    assert plan.start() == [Ask(PairIndex(0), peer_id(51))]


def test_exactly_p_pairs_are_enough_and_one_fewer_is_a_typed_shortage(encoded: EncodedBlob) -> None:
    enough = plan_for(encoded, missing=tuple(range(P, N)))
    for ask in enough.start():
        enough.arrived(ask, answer(encoded, ask), took_s=0.5)
    assert enough.is_complete
    short = plan_for(encoded, missing=tuple(range(P - 1, N)))
    for ask in short.start():
        assert not short.is_hopeless
        short.arrived(ask, answer(encoded, ask), took_s=0.5)
    assert short.is_hopeless
    error = short.shortage()
    assert isinstance(error, TooFewPairsError)
    assert "3 pairs are left and 4 are needed" in str(error)


def test_refusals_end_in_too_few_pairs_with_the_last_reason(encoded: EncodedBlob) -> None:
    plan = plan_for(encoded)
    while not plan.is_hopeless:
        for ask in plan.start():
            plan.failed(ask, reason="the pair is damaged", was_silent=False)
    assert isinstance(plan.shortage(), TooFewPairsError)
    assert "the pair is damaged" in str(plan.shortage())


def test_silence_is_told_apart_from_refusal(encoded: EncodedBlob) -> None:
    plan = plan_for(encoded)
    plan.start()
    plan.abandon()
    assert plan.is_hopeless
    assert isinstance(plan.shortage(), HoldersSilentError)


def test_every_shard_has_one_pair_and_back(encoded: EncodedBlob) -> None:
    for shard in map(ShardIndex, range(N)):
        pair = pair_of_shard(encoded.blob_id, shard, N)
        assert shard_of_pair(encoded.blob_id, pair, N) == shard


def test_what_a_writer_made_inconsistent_is_told_from_damage_by_a_proof(rng: random.Random) -> None:
    n = 7
    crooked = crooked_blob(rng.randbytes(3_000), n, rng, bad_slivers=n)
    slivers = [
        verify_sliver(crooked.metadata, Axis.PRIMARY, index, crooked.slivers[Axis.PRIMARY, index])
        for index in range(n - bft.primary_source(n), n)
    ]
    with pytest.raises(InconsistentBlobError) as caught:
        decode(crooked.metadata, slivers)
    told, proof = why_unreadable(crooked.metadata, slivers, caught.value)
    assert isinstance(told, InconsistentDataError)
    assert proof is not None
    check_contradiction(proof.message, proof.symbols, crooked.metadata.blob_id)
    assert "its own hashes prove it" in str(told)


def test_without_a_proof_nobody_says_that_the_writer_is_to_blame_for_its_hashes(rng: random.Random) -> None:
    blob = encode(rng.randbytes(3_000), n=7)
    slivers = [blob.sliver(Axis.PRIMARY, index) for index in range(bft.primary_source(7))]
    told, proof = why_unreadable(blob.metadata, slivers, InconsistentBlobError("padding"))
    assert proof is None
    assert type(told) is IntegrityError
    assert str(told).endswith("cannot be read: padding")


def test_while_nothing_has_come_everybody_has_the_whole_time(encoded: EncodedBlob) -> None:
    plan = plan_for(encoded)
    plan.start()
    assert plan.patience_s(1.0) == 1.0


@pytest.mark.parametrize(
    ("took_s", "patience_s"),
    [
        ((0.2, 0.3, 0.9), LATE_TIMES * 0.3),
        ((0.01, 0.01), LATE_S_MIN),
        ((5.0,), 1.0),
    ],
)
def test_late_is_who_takes_much_longer_than_those_that_answered_and_never_a_moment_nor_too_long(
    encoded: EncodedBlob, took_s: tuple[float, ...], patience_s: float
) -> None:
    plan = plan_for(encoded)
    for ask, each in zip(plan.start(), took_s, strict=False):
        plan.arrived(ask, answer(encoded, ask), took_s=each)
    assert plan.patience_s(1.0) == patience_s

"""Claims about weighted rendezvous placement: common ranks, one shard a node and domain, minimal movement."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from p2pnode.placement.rendezvous import (
    Candidate,
    assign,
    capacity_weights,
    draw,
    lookup_order,
    rank,
)
from tests.factories import peer_id
from wire.ids import ShardIndex

SHARD = ShardIndex(3)


def candidates(count: int, *, domains: int | None = None, weight: float = 1.0) -> list[Candidate]:
    """Return candidates with equal weights, spread over domains in turn (each its own by default)."""
    return [Candidate(peer_id(i), bytes(peer_id(i)), weight, f"domain-{i % (domains or count)}") for i in range(count)]


def test_every_node_ranks_the_same_whatever_the_order_it_knows_the_members_in(rng: random.Random) -> None:
    known = candidates(30)
    shuffled = rng.sample(known, len(known))
    seed = rng.randbytes(32)
    assert rank(seed, SHARD, known) == rank(seed, SHARD, shuffled)
    assert assign(seed, 10, known).holders == assign(seed, 10, shuffled).holders


def test_shards_go_to_distinct_nodes_while_there_are_enough(rng: random.Random) -> None:
    committee = assign(rng.randbytes(32), 10, candidates(10))
    assert committee.n == 10
    assert len({holder.peer_id for holder in committee.holders}) == 10


def test_shards_go_to_distinct_domains_while_there_are_enough(rng: random.Random) -> None:
    committee = assign(rng.randbytes(32), 10, candidates(40, domains=10))
    assert len({holder.domain for holder in committee.holders}) == 10


def test_beyond_the_domains_their_shares_are_even(rng: random.Random) -> None:
    committee = assign(rng.randbytes(32), 12, candidates(40, domains=4))
    assert set(Counter(holder.domain for holder in committee.holders).values()) == {3}


def test_one_crowded_domain_does_not_keep_a_blob_from_being_placed(rng: random.Random) -> None:
    crowd = [Candidate(peer_id(i), bytes(peer_id(i)), 1.0, "crowd" if i else "lone") for i in range(10)]
    committee = assign(rng.randbytes(32), 10, crowd)
    assert len({holder.peer_id for holder in committee.holders}) == 10


def test_more_shards_than_nodes_are_spread_evenly(rng: random.Random) -> None:
    committee = assign(rng.randbytes(32), 10, candidates(4))
    counts = Counter(holder.peer_id for holder in committee.holders)
    assert sorted(counts.values()) == [2, 2, 3, 3]


def test_nobody_to_choose_from_is_an_error(rng: random.Random) -> None:
    with pytest.raises(ValueError, match="at least one candidate"):
        assign(rng.randbytes(32), 4, [])


def test_spares_leave_out_those_that_are_taken_and_keep_the_rank(rng: random.Random) -> None:
    committee = assign(rng.randbytes(32), 4, candidates(12))
    taken = {holder.peer_id for holder in committee.holders}
    spares = committee.spares(SHARD, taken=taken)
    assert len(spares) == 8
    assert spares == [each for each in rank(committee.seed, SHARD, committee.candidates) if each.peer_id not in taken]


def test_a_newcomer_takes_about_its_share_and_moves_nothing_else(rng: random.Random) -> None:
    old = candidates(20)
    newcomer = Candidate(peer_id(99), bytes(peer_id(99)), 1.0, "new")
    won = 0
    for _ in range(1000):
        seed = rng.randbytes(32)
        before, after = rank(seed, SHARD, old), rank(seed, SHARD, [*old, newcomer])
        assert [each for each in after if each is not newcomer] == before
        won += after[0] is newcomer
    assert 20 < won < 90  # The expectation is 1000 / 21; these bounds are seven standard deviations away.


def test_twice_the_weight_wins_about_twice_as_often(rng: random.Random) -> None:
    light = candidates(9)
    heavy = Candidate(peer_id(99), bytes(peer_id(99)), 2.0, "heavy")
    wins = sum(rank(rng.randbytes(32), SHARD, [*light, heavy])[0] is heavy for _ in range(2000))
    assert 270 < wins < 460  # The expectation is 2000 * 2 / 11 = 364.


def test_draws_differ_between_shards_and_seeds(rng: random.Random) -> None:
    one = candidates(1)[0]
    seed = rng.randbytes(32)
    values = {draw(seed, ShardIndex(shard), one) for shard in range(50)} | {draw(rng.randbytes(32), SHARD, one)}
    assert len(values) == 51


def test_weights_are_classes_of_two_clamped_around_the_median() -> None:
    gib = 2**30
    assert capacity_weights([gib, gib, 2 * gib, 100 * gib, gib // 100]) == [1.0, 1.0, 2.0, 4.0, 0.25]
    assert capacity_weights([0]) == [1.0]
    assert capacity_weights([]) == []


def test_a_reader_who_knows_no_n_asks_holders_first(rng: random.Random) -> None:
    members = candidates(200)
    for n in (4, 10, 31):
        seed = rng.randbytes(32)
        holders = {holder.peer_id for holder in assign(seed, n, members).holders}
        order = [each.peer_id for each in lookup_order(seed, members)]
        assert len(set(order)) == len(members)
        assert len(holders & set(order[:16])) >= min(n, 12)
    assert lookup_order(rng.randbytes(32), []) == []

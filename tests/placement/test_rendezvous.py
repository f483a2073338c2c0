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


@pytest.mark.parametrize("n", [4, 10, 37, 100])
def test_of_all_pairs_the_smallest_number_that_its_level_allows_wins_first(rng: random.Random, n: int) -> None:
    """The rule, spelled out without any care for speed."""
    known = [
        Candidate(peer_id(at), rng.randbytes(32), rng.choice([0.25, 1.0, 4.0]), f"domain-{rng.randrange(30)}")
        for at in rng.sample(range(200), rng.randrange(3, 60))
    ]
    seed = rng.randbytes(32)
    chosen: dict[int, Candidate] = {}
    while len(chosen) < n:
        having = Counter({each.peer_id: 0 for each in known} | Counter(each.peer_id for each in chosen.values()))
        roomy = [each for each in known if having[each.peer_id] == min(having.values())]
        in_domain = Counter(each.domain for each in chosen.values())
        level = min(in_domain[each.domain] for each in roomy)
        allowed = [each for each in roomy if in_domain[each.domain] == level]
        while allowed and len(chosen) < n:
            shard, winner = min(
                ((shard, each) for shard in range(n) if shard not in chosen for each in allowed),
                key=lambda pair: (draw(seed, ShardIndex(pair[0]), pair[1]), pair[0], pair[1].peer_id),
            )
            chosen[shard] = winner
            allowed = [each for each in allowed if each.domain != winner.domain]
    assert assign(seed, n, known).holders == tuple(chosen[shard] for shard in range(n))


def test_nobody_to_choose_from_is_an_error(rng: random.Random) -> None:
    with pytest.raises(ValueError, match="at least one candidate"):
        assign(rng.randbytes(32), 4, [])


def test_spares_leave_out_those_that_are_taken_and_keep_the_rank(rng: random.Random) -> None:
    committee = assign(rng.randbytes(32), 4, candidates(12))
    taken = {holder.peer_id for holder in committee.holders}
    spares = committee.spares(SHARD, taken=taken)
    assert len(spares) == 8
    assert spares == [each for each in rank(committee.seed, SHARD, committee.candidates) if each.peer_id not in taken]


def test_spares_come_from_domains_that_hold_nothing_first(rng: random.Random) -> None:
    committee = assign(rng.randbytes(32), 4, candidates(18, domains=6))
    holder = committee.holders[SHARD]
    others = {each.domain for each in committee.holders} - {holder.domain}
    taken = {each.peer_id for each in committee.holders}
    used = [each.domain in others for each in committee.spares(SHARD, taken=taken)]
    assert used == sorted(used)
    assert used.count(False) == 8, "three nodes in each unused domain, and two more where the one replaced is"


def test_leaving_candidates_out_never_changes_the_ranks_of_the_others(rng: random.Random) -> None:
    """Score, liveness and vetting differ from node to node; all that they do is to leave somebody out."""
    known = [
        Candidate(peer_id(at), rng.randbytes(32), rng.choice([0.25, 0.5, 1.0, 2.0, 4.0]), f"domain-{rng.randrange(9)}")
        for at in range(40)
    ]
    for _ in range(20):
        seed = rng.randbytes(32)
        mine, theirs = (set(rng.sample(range(40), 30)) for _ in range(2))
        ranks = [rank(seed, SHARD, [known[at] for at in sorted(view)]) for view in (mine, theirs)]
        both = {known[at] for at in mine & theirs}
        assert [each for each in ranks[0] if each in both] == [each for each in ranks[1] if each in both]
        assert [each for each in rank(seed, SHARD, known) if each in both] == [
            each for each in ranks[0] if each in both
        ]


def test_a_median_one_class_off_changes_the_ranks_of_none_but_the_clamped(rng: random.Random) -> None:
    """Views that differ may see another median; capacities that are far from both keep their ranks all the same."""
    classes = [rng.choice([9, 10, 11, 12]) for _ in range(30)]
    extremes = [2, 3, 20, 21]
    capacities = [2**each for each in (*classes, *extremes)]
    weights = capacity_weights([*capacities, *[2**10] * 40]), capacity_weights([*capacities, *[2**11] * 40])
    seed = rng.randbytes(32)
    ranks = []
    for view in weights:
        known = [Candidate(peer_id(at), bytes(peer_id(at)), view[at], str(at)) for at in range(len(capacities))]
        ordered = rank(seed, SHARD, known)
        ranks.append([each.peer_id for each in ordered if int(each.domain) < len(classes)])
    assert weights[0][:30] != weights[1][:30]
    assert ranks[0] == ranks[1]


def test_weights_are_within_a_quarter_and_four_times_the_median(rng: random.Random) -> None:
    for _ in range(200):
        capacities = [2 ** rng.randrange(60) + rng.randrange(100) for _ in range(rng.randint(1, 40))]
        weights = capacity_weights(capacities)
        assert all(0.25 <= weight <= 4 for weight in weights)
        assert sorted(weights)[len(weights) // 2] == 1
        by_capacity = [weight for _, weight in sorted(zip(capacities, weights, strict=True))]
        assert by_capacity == sorted(by_capacity)


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
    for n in (4, 10, 16, 31, 100):
        seed = rng.randbytes(32)
        holders = {holder.peer_id for holder in assign(seed, n, members).holders}
        order = [each.peer_id for each in lookup_order(seed, members)]
        assert sorted(order) == sorted(each.peer_id for each in members)
        assert len(holders & set(order[:16])) == min(n, 16)
        assert holders <= set(order[:100])
    assert lookup_order(rng.randbytes(32), []) == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_members_than_any_blob_has_shards_are_asked_in_some_order_each_once(
    rng: random.Random, count: int
) -> None:
    members = candidates(count)
    assert sorted(lookup_order(rng.randbytes(32), members), key=lambda each: each.peer_id) == sorted(
        members, key=lambda each: each.peer_id
    )

"""Claims about caps and the default n: no group that may vanish at once holds more shards than may be lost."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnode.bft import faulty
from p2pnode.placement.rendezvous import Candidate, Committee, assign
from p2pnode.placement.shape import default_shards
from p2pnode.placement.spread import caps_of, default_for, newcomers_max
from wire.ids import PeerId, ShardIndex

BIG = 10**9
SEED = b"s" * 32


def member(number: int, *, domain: str = "", wide: str = "", is_vetted: bool = True, weight: float = 1.0) -> Candidate:
    """Return a member; a domain of its own unless told otherwise."""
    key = number.to_bytes(PeerId.length, "big")
    return Candidate(PeerId(key), key, weight, domain or str(number), wide, is_vetted)


def crowd(start: int, count: int, *, domain: str = "", wide: str = "", is_vetted: bool = True) -> list[Candidate]:
    """Return members that are alike."""
    return [member(start + at, domain=domain, wide=wide, is_vetted=is_vetted) for at in range(count)]


def most_of(committee: Committee, group: str) -> int:
    """Return how many shards the largest group of a kind holds."""
    return max(Counter(getattr(each, group) for each in committee.holders).values())


def unvetted(committee: Committee) -> int:
    """Return how many shards newcomers hold."""
    return sum(not each.is_vetted for each in committee.holders)


@pytest.mark.parametrize(("n", "most"), [(4, 1), (7, 1), (10, 1), (13, 2), (31, 4), (100, 11)])
def test_newcomers_get_a_third_of_f_rounded_up(n: int, most: int) -> None:
    assert newcomers_max(n) == most


def test_the_cap_on_newcomers_binds_once_enough_members_are_vetted() -> None:
    assert caps_of(10, crowd(0, 8) + crowd(100, 40, is_vetted=False)).unvetted_max is None
    assert caps_of(10, crowd(0, 9) + crowd(100, 40, is_vetted=False)).unvetted_max == 1
    assert caps_of(10, crowd(0, 40)).unvetted_max is None


def test_newcomers_hold_no_more_than_their_cap_however_many_they_are(rng: random.Random) -> None:
    members = crowd(0, 12) + crowd(100, 200, is_vetted=False)
    for _ in range(20):
        assert unvetted(assign(rng.randbytes(32), 13, members)) <= 2


def test_in_a_fresh_network_newcomers_hold_everything() -> None:
    assert unvetted(assign(SEED, 10, crowd(0, 12, is_vetted=False))) == 10


def test_the_spares_of_a_shard_keep_the_cap_on_newcomers_too() -> None:
    members = crowd(0, 14) + crowd(100, 200, is_vetted=False)
    committee = assign(SEED, 13, members)
    taken = {each.peer_id for each in committee.holders}
    newcomers = [shard for shard, each in enumerate(committee.holders) if not each.is_vetted]
    assert len(newcomers) == 2
    others = next(shard for shard in range(13) if shard not in newcomers)
    assert all(each.is_vetted for each in committee.spares(ShardIndex(others), taken=taken))
    assert not all(each.is_vetted for each in committee.spares(ShardIndex(newcomers[0]), taken=taken))


def test_one_wide_prefix_holds_f_shards_at_most_while_there_are_others(rng: random.Random) -> None:
    members = [member(at, wide="8.8.0.0/16") for at in range(40)] + crowd(100, 9)
    for _ in range(20):
        committee = assign(rng.randbytes(32), 13, members)
        assert Counter(each.wide for each in committee.holders)["8.8.0.0/16"] == 4


def test_a_wide_prefix_that_has_its_share_comes_last_among_the_spares() -> None:
    members = [member(at, wide="8.8.0.0/16") for at in range(40)] + crowd(100, 14)
    committee = assign(SEED, 13, members)
    lone = next(shard for shard, each in enumerate(committee.holders) if not each.wide)
    taken = {each.peer_id for each in committee.holders} | {each.peer_id for each in members if each.wide}
    taken -= {members[0].peer_id}
    spares = committee.spares(ShardIndex(lone), taken=taken)
    assert spares[-1] == members[0]
    assert len(spares) > 1


def test_where_all_are_in_one_wide_prefix_it_holds_everything_in_distinct_domains() -> None:
    committee = assign(SEED, 10, [member(at, wide="8.8.0.0/16") for at in range(12)])
    assert most_of(committee, "peer_id") == most_of(committee, "domain") == 1


def test_soft_caps_give_way_before_a_node_gets_a_second_shard() -> None:
    committee = assign(SEED, 7, [member(at, wide=f"8.{at % 2}.0.0/16") for at in range(8)])
    assert most_of(committee, "peer_id") == 1


def test_the_cap_on_newcomers_stays_when_soft_caps_give_way() -> None:
    vetted = [member(at, wide="8.8.0.0/16") for at in range(12)]
    committee = assign(SEED, 13, vetted + crowd(100, 50, is_vetted=False))
    assert unvetted(committee) == 2
    assert most_of(committee, "peer_id") == 1


@given(
    shape=st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 5), st.booleans(), st.sampled_from([0.25, 1.0, 4.0])),
        min_size=4,
        max_size=60,
    ),
    n=st.sampled_from([4, 7, 10, 13, 31]),
    seed=st.binary(min_size=32, max_size=32),
)
def test_any_members_get_all_shards_within_the_cap_on_newcomers(
    shape: list[tuple[int, int, bool, float]], n: int, seed: bytes
) -> None:
    members = [
        member(at, domain=f"d{domain}", wide=f"w{wide}" if wide else "", is_vetted=is_vetted, weight=weight)
        for at, (domain, wide, is_vetted, weight) in enumerate(shape)
    ]
    committee = assign(seed, n, members)
    assert committee.n == n
    if committee.caps.unvetted_max is not None:
        assert unvetted(committee) <= committee.caps.unvetted_max
    elif n <= len(members):
        assert most_of(committee, "peer_id") == 1
    assert assign(seed, n, members[::-1]).holders == committee.holders


@given(seed=st.binary(min_size=32, max_size=32), choice=st.randoms(use_true_random=False))
def test_with_caps_a_member_more_or_less_moves_few_shards(seed: bytes, choice: random.Random) -> None:
    numbers = choice.sample(range(200), 90)
    members = [member(at, domain=f"d{at % 40}", wide=f"w{at % 8}", is_vetted=at % 3 > 0) for at in numbers]
    committee = assign(seed, 31, members)
    leaving = choice.choice(members)
    without = assign(seed, 31, [each for each in members if each is not leaving])
    moved = sum(one != other for one, other in zip(committee.holders, without.holders, strict=True))
    if leaving not in committee.holders and leaving.is_vetted:
        assert moved == 0
    assert moved <= 12


def test_views_of_vetting_and_liveness_leave_out_and_never_rank(rng: random.Random) -> None:
    """Two nodes that rely on others differ in whom they leave out; among the rest the order is the same."""
    members = [member(at) for at in range(60)]
    shared = []
    for _ in range(20):
        seed = rng.randbytes(32)
        views = [
            [dataclasses.replace(each, is_vetted=rng.random() < 0.8) for each in members if rng.random() < 0.9]
            for _ in range(2)
        ]
        one, other = (assign(seed, 13, view) for view in views)
        holders = [{each.peer_id for each in committee.holders} for committee in (one, other)]
        shared.append(len(holders[0] & holders[1]))
        orders = [
            [each.peer_id for each in committee.spares(ShardIndex(0), taken=()) if each.peer_id in common]
            for common in [{each.peer_id for each in views[0]} & {each.peer_id for each in views[1]}]
            for committee in (one, other)
        ]
        assert orders[0] == orders[1]
    assert sum(shared) / len(shared) > 13 / 2  # About nine of thirteen, as often as both views have the same winner.


def test_the_default_n_lets_no_crowd_on_one_network_hold_more_than_may_fail(rng: random.Random) -> None:
    """Forty of an operator beside nine honest members: by members alone n would be 37, and the crowd would hold 28."""
    members = crowd(0, 9) + crowd(100, 40, domain="crowd")
    chosen = default_for(members, size=BIG)
    assert default_shards(members=49, size=BIG) == 37
    assert chosen.n == 13
    assert chosen.limited_by.startswith("failure domains")
    for _ in range(20):
        assert most_of(assign(rng.randbytes(32), chosen.n, members), "domain") <= faulty(chosen.n)


def test_the_default_n_lets_no_wide_prefix_hold_more_than_may_fail(rng: random.Random) -> None:
    members = crowd(0, 9) + [member(100 + at, wide="8.8.0.0/16") for at in range(40)]
    chosen = default_for(members, size=BIG)
    assert chosen.n == 13
    committee = assign(rng.randbytes(32), chosen.n, members)
    assert Counter(each.wide for each in committee.holders)["8.8.0.0/16"] == faulty(chosen.n)


def test_the_default_n_goes_by_the_vetted_once_there_are_enough_of_them() -> None:
    newcomers = crowd(100, 40, is_vetted=False)
    assert default_for(crowd(0, 8) + newcomers, size=BIG).n == default_shards(members=48, size=BIG)
    chosen = default_for(crowd(0, 15) + newcomers, size=BIG)
    assert chosen.n == 16
    assert chosen.limited_by.startswith("vetting")
    assert caps_of(chosen.n, crowd(0, 15) + newcomers).unvetted_max == 2


@pytest.mark.parametrize(
    ("members", "size", "n", "why"),
    [
        (crowd(0, 12, domain="house"), BIG, 10, "members: they are in too few failure domains"),
        (crowd(0, 6, domain="a") + crowd(10, 6, domain="b"), BIG, 10, "members: they are in too few failure domains"),
        (crowd(0, 200), BIG, 100, "the most"),
        (crowd(0, 200), 1000, 10, "size"),
        (crowd(0, 20), BIG, 16, "members: each of them"),
        (crowd(0, 4, is_vetted=False), BIG, 4, "members: each of them"),
    ],
    ids=["one-house", "two-houses", "many", "small", "few", "young"],
)
def test_the_default_n_says_why_it_is_not_larger(members: list[Candidate], size: int, n: int, why: str) -> None:
    chosen = default_for(members, size=size)
    assert chosen.n == n
    assert chosen.limited_by.startswith(why)

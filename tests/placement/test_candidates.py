"""Claims about who is a candidate when few and when many members are known, and about views that differ."""

from __future__ import annotations

import hashlib
import random

import pytest

from p2pnode.bft import quorum
from p2pnode.placement.candidates import (
    FULL_VIEW_MAX,
    NEAREST_MIN,
    NEAREST_PER_SHARD,
    FullView,
    Neighbourhood,
    nearest,
    order_of_asking,
    propose,
    source_of,
)
from p2pnode.placement.rendezvous import Candidate, assign
from wire.ids import PeerId

ASKED = 200
"""So many a reader asks at most."""


def crowd(rng: random.Random, count: int) -> list[Candidate]:
    """Return members of all weights, each a domain of its own; making real keys for thousands would take long."""
    weights = [0.25, 0.5, 1.0, 2.0, 4.0]
    keys = [rng.randbytes(PeerId.length) for _ in range(count)]
    return [Candidate(PeerId(key), key, rng.choice(weights), str(at)) for at, key in enumerate(keys)]


@pytest.fixture(scope="module")
def many() -> list[Candidate]:
    """More members than a full view has."""
    return crowd(random.Random(6), FULL_VIEW_MAX + 1)


def test_all_are_candidates_up_to_the_limit_and_the_nearest_beyond(many: list[Candidate], rng: random.Random) -> None:
    seed = rng.randbytes(32)
    assert source_of(many[:-1]).near(seed, n=10) == many[:-1]
    assert source_of(many).near(seed, n=10) == nearest(seed, many, count=NEAREST_MIN)


def test_the_nearest_are_those_whose_hashed_key_is_nearest_by_exclusive_or(rng: random.Random) -> None:
    members = crowd(rng, 60)
    seed = rng.randbytes(32)

    def distance(each: Candidate) -> int:
        pair = zip(hashlib.sha256(seed).digest(), hashlib.sha256(each.placement_key).digest(), strict=True)
        return int.from_bytes(bytes(one ^ other for one, other in pair), "big")

    assert nearest(seed, members, count=7) == sorted(members, key=distance)[:7]
    assert nearest(seed, rng.sample(members, 60), count=7) == nearest(seed, members, count=7)
    assert len(nearest(seed, members, count=100)) == 60


def test_a_neighbourhood_has_a_reserve_for_every_n_and_is_the_same_for_all_usual_ones(many: list[Candidate]) -> None:
    near = Neighbourhood(many)
    assert near.near(b"seed", n=4) == near.near(b"seed", n=100)
    assert len(near.near(b"seed", n=100)) == 100 * NEAREST_PER_SHARD
    assert len(near.near(b"seed", n=1000)) == 1000 * NEAREST_PER_SHARD


def test_a_committee_is_proposed_from_the_candidates_of_its_seed(many: list[Candidate], rng: random.Random) -> None:
    seed = rng.randbytes(32)
    near = Neighbourhood(many).near(seed, n=31)
    assert propose(seed, 31, many) == assign(seed, 31, near)
    assert propose(seed, 31, many[:50]) == assign(seed, 31, many[:50])


def test_far_from_a_neighbourhood_nothing_that_joins_moves_anything(many: list[Candidate], rng: random.Random) -> None:
    seed = rng.randbytes(32)
    farthest = nearest(seed, many, count=len(many))[-1]
    extended = [*many, Candidate(PeerId(b"x" * PeerId.length), farthest.placement_key, 4.0, "new")]
    assert propose(seed, 31, extended).holders == propose(seed, 31, many).holders


@pytest.mark.parametrize("count", [1000, FULL_VIEW_MAX + 1000])
@pytest.mark.parametrize(("n", "known"), [(100, 0.9), (100, 0.95), (31, 0.95)])
def test_reader_and_writer_who_each_miss_members_agree_on_a_quorum(
    rng: random.Random, *, count: int, n: int, known: float
) -> None:
    """One knows a holder, and nobody better, that the other does not: of known shares p they agree on p / (2 - p)."""
    members = crowd(rng, count)
    seed = rng.randbytes(32)
    writers, readers = (rng.sample(members, int(count * known)) for _ in range(2))
    holders = set(propose(seed, n, writers).holders)
    asked = set(order_of_asking(seed, readers)[:ASKED])
    assert len(holders & asked) >= quorum(n)


@pytest.mark.parametrize("difference", [-FULL_VIEW_MAX // 10, FULL_VIEW_MAX // 10])
def test_a_reader_with_the_other_kind_of_view_than_the_writer_asks_a_quorum(
    rng: random.Random, difference: int
) -> None:
    """Just below the limit one of them looks at all members, just above it the other at the nearest only."""
    members = crowd(rng, FULL_VIEW_MAX + FULL_VIEW_MAX // 10)
    fewer = rng.sample(members, FULL_VIEW_MAX)
    writers, readers = (members, fewer) if difference > 0 else (fewer, members)
    assert isinstance(source_of(writers), FullView if difference < 0 else Neighbourhood)
    assert isinstance(source_of(readers), FullView if difference > 0 else Neighbourhood)
    for n, blobs in ((10, 6), (100, 1)):  # Of ten shards chance may leave out four, but not again and again.
        found = 0
        for _ in range(blobs):
            seed = rng.randbytes(32)
            order = order_of_asking(seed, readers)
            found += len(set(propose(seed, n, writers).holders) & set(order[:ASKED]))
            assert len(order) == len(set(order))
        assert found >= blobs * quorum(n)


def test_far_from_the_limit_a_reader_reckons_with_one_kind_of_view_only(rng: random.Random) -> None:
    seed = rng.randbytes(32)
    few = crowd(rng, FULL_VIEW_MAX // 2)
    assert len(order_of_asking(seed, few)) == len(few)
    more = crowd(rng, 2 * FULL_VIEW_MAX + 1)
    assert set(order_of_asking(seed, more)) == set(nearest(seed, more, count=NEAREST_MIN))
    assert order_of_asking(seed, []) == []

"""Claims about the default number of shards, and about how many nodes may fail."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from p2pnode.bft import primary_source
from p2pnode.placement.rendezvous import Candidate, assign
from p2pnode.placement.shape import MEMBERS_MIN, SIZE_THAT_DECIDES, default_shards, nodes_that_may_fail
from tests.factories import peer_id

BIG = 10**9


@pytest.mark.parametrize(
    ("members", "size", "n"),
    [
        (4, BIG, 4),
        (6, BIG, 4),
        (7, BIG, 7),
        (10, BIG, 10),
        (12, BIG, 10),
        (13, BIG, 10),
        (20, BIG, 16),
        (40, BIG, 31),
        (125, BIG, 100),
        (10_000, BIG, 100),
        (10_000, 0, 10),
        (10_000, 144 * 31 * 31, 31),
        (10_000, 144 * 31 * 31 - 1, 28),
        (10_000, SIZE_THAT_DECIDES, 100),
        (10_000, SIZE_THAT_DECIDES - 1, 97),
    ],
)
def test_default_n_is_the_largest_3f_plus_1_that_members_and_size_allow(members: int, size: int, n: int) -> None:
    assert default_shards(members=members, size=size) == n


def test_default_n_keeps_every_rule_and_three_more_shards_would_break_one() -> None:
    """For all numbers of members up to 200, and all sizes at which another shard is affordable, and a byte less."""
    sizes = sorted({max(144 * shards**2 - less, 0) for shards in range(110) for less in (0, 1)})
    for members in range(4, 201):
        for size in sizes:

            def keeps_the_rules(n: int, members: int = members, size: int = size) -> bool:
                leaves_spares = n <= members if members <= 12 else 10 * n <= 8 * members
                return n % 3 == 1 and n <= 100 and leaves_spares and (n <= 10 or 144 * n**2 <= size)

            n = default_shards(members=members, size=size)
            assert n >= 4
            assert keeps_the_rules(n)
            assert not keeps_the_rules(n + 3)


@pytest.mark.parametrize("members", [4, 5, 7, 12, 33])
def test_with_more_shards_than_nodes_the_shares_are_even_and_the_worst_nodes_are_reckoned_with(
    rng: random.Random, members: int
) -> None:
    known = [Candidate(peer_id(at), bytes(peer_id(at)), rng.choice([0.25, 1.0, 4.0]), str(at)) for at in range(members)]
    for n in (members, members + 1, 2 * members, 2 * members + 1, 100):
        holders = [each.peer_id for each in assign(rng.randbytes(32), n, known).holders]
        each, more = divmod(n, members)
        assert sorted(Counter(holders).values()) == [each] * (members - more) + [each + 1] * more
        may_go = n - primary_source(n)
        expected = max(nodes for nodes in range(members + 1) if nodes * each + min(nodes, more) <= may_go)
        assert nodes_that_may_fail(holders, needed=primary_source(n)) == expected


def test_fewer_than_four_members_keep_nothing() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        default_shards(members=MEMBERS_MIN - 1, size=BIG)


def test_with_one_shard_a_node_f_nodes_more_than_needed_may_fail() -> None:
    assert nodes_that_may_fail(range(10), needed=4) == 6
    assert nodes_that_may_fail(range(4), needed=4) == 0
    assert nodes_that_may_fail([], needed=4) == 0


def test_nodes_that_may_fail_is_the_worst_choice_of_nodes(rng: random.Random) -> None:
    for _ in range(50):
        holders = [rng.randrange(5) for _ in range(rng.randint(4, 12))]
        needed = rng.randint(1, len(holders))
        count = nodes_that_may_fail(holders, needed=needed)
        nodes = sorted(set(holders))

        def survives(failures: int, holders: list[int] = holders, nodes: list[int] = nodes, n: int = needed) -> bool:
            return all(
                sum(holder not in gone for holder in holders) >= n for gone in itertools.combinations(nodes, failures)
            )

        assert survives(count)
        assert count == len(nodes) or not survives(count + 1)

"""Claims about what moves when a member joins or leaves: what the newcomer wins, and hardly more."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from benchmarks.placement import expected_moves
from p2pnode.placement.rendezvous import Candidate, Committee, assign, draw
from wire.ids import PeerId, ShardIndex

MakeMembers = Callable[[random.Random, int], list[Candidate]]


def plain_id(number: int) -> PeerId:
    """Return the id of nobody: thousands of keys would take long to make."""
    return PeerId(number.to_bytes(PeerId.length, "big"))


def plain(rng: random.Random, count: int) -> list[Candidate]:
    """Return members that are all alike, each a domain of its own."""
    return [Candidate(plain_id(at), rng.randbytes(32), 1.0, str(at)) for at in range(count)]


def weighted(rng: random.Random, count: int) -> list[Candidate]:
    """Return members of all weights, each a domain of its own."""
    weights = [0.25, 0.5, 1.0, 2.0, 4.0]
    return [Candidate(plain_id(at), rng.randbytes(32), rng.choice(weights), str(at)) for at in range(count)]


def crowded(rng: random.Random, count: int) -> list[Candidate]:
    """Return members of all weights in few domains of uneven size."""
    each_domain = [int(rng.expovariate(0.1)) for _ in range(count)]
    return [
        Candidate(plain_id(at), rng.randbytes(32), rng.choice([0.25, 1.0, 4.0]), str(domain))
        for at, domain in enumerate(each_domain)
    ]


def moved(before: Committee, after: Committee) -> list[ShardIndex]:
    """Return the shards whose holder is another one."""
    pairs = enumerate(zip(before.holders, after.holders, strict=True))
    return [ShardIndex(shard) for shard, (one, other) in pairs if one != other]


@pytest.mark.parametrize("make", [plain, weighted, crowded])
def test_who_holds_nothing_may_come_and_go_and_nothing_moves(rng: random.Random, make: MakeMembers) -> None:
    idle = 0
    for _ in range(40):
        members = make(rng, rng.randint(12, 60))
        seed = rng.randbytes(32)
        committee = assign(seed, 10, members)
        for each in members:
            if each not in committee.holders:
                idle += 1
                without = [other for other in members if other is not each]
                assert assign(seed, 10, without).holders == committee.holders
                break
    assert idle


@pytest.mark.parametrize("make", [plain, weighted])
def test_a_newcomer_replaces_one_holder_and_no_shard_gets_a_worse_one(rng: random.Random, make: MakeMembers) -> None:
    won = 0
    for _ in range(150):
        *members, newcomer = make(rng, rng.randint(14, 40))
        seed = rng.randbytes(32)
        before, after = assign(seed, 10, members), assign(seed, 10, [*members, newcomer])
        changes = moved(before, after)
        for shard in changes:
            old, new = (draw(seed, shard, committee.holders[shard]) for committee in (before, after))
            assert new < old
        entered = set(after.holders) - set(before.holders)
        assert entered == ({newcomer} if changes else set())
        won += bool(changes)
    assert won


def test_who_leaves_is_replaced_by_one_member_and_no_shard_gets_a_better_one(rng: random.Random) -> None:
    for _ in range(100):
        members = weighted(rng, rng.randint(14, 40))
        seed = rng.randbytes(32)
        before = assign(seed, 10, members)
        leaver = rng.choice(before.holders)
        after = assign(seed, 10, [each for each in members if each is not leaver])
        assert len(set(after.holders) - set(before.holders)) == 1
        assert set(before.holders) - set(after.holders) == {leaver}
        for shard in moved(before, after):
            assert draw(seed, shard, after.holders[shard]) > draw(seed, shard, before.holders[shard])


@pytest.mark.parametrize(("members", "n"), [(10, 10), (40, 31), (100, 10)])
def test_a_newcomer_moves_as_many_shards_as_the_theory_says(rng: random.Random, members: int, n: int) -> None:
    """Filling one shard after the other would move 1.5 of 31 at 40 members, and 2.0 of 10 at 10."""
    trials = 700
    total = 0
    for _ in range(trials):
        *known, newcomer = plain(rng, members + 1)
        seed = rng.randbytes(32)
        total += len(moved(assign(seed, n, known), assign(seed, n, [*known, newcomer])))
    expected = expected_moves(n, members)
    # What one newcomer moves deviates by 1.3 shards, and 0.35 of 10 at 100 members: these are six deviations.
    assert abs(total / trials - expected) < 6 * max(1.3 * expected, 0.35) / math.sqrt(trials)


@pytest.mark.parametrize(("members", "n"), [(125, 100), (200, 100), (1000, 100)])
def test_the_theory_is_near_half_a_logarithm_and_above_the_newcomers_share(members: int, n: int) -> None:
    theory = expected_moves(n, members)
    assert theory == pytest.approx(math.log((members + n) / (members - n)) / 2, rel=0.1)
    assert theory > n / (members + 1)


def test_a_new_domain_moves_few_shards_when_there_are_about_as_many_domains_as_shards(rng: random.Random) -> None:
    """With 30 domains two shards share one, with 31 none do: that must not turn the whole committee over."""
    trials, total = 60, 0
    for _ in range(trials):
        members = [Candidate(plain_id(at), rng.randbytes(32), 1.0, str(at % 30)) for at in range(120)]
        newcomer = Candidate(plain_id(200), rng.randbytes(32), 1.0, "new")
        seed = rng.randbytes(32)
        total += len(moved(assign(seed, 31, members), assign(seed, 31, [*members, newcomer])))
    assert total / trials < 31 / 3

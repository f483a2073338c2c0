"""Who comes next for a shard whose pair is missing."""

from __future__ import annotations

import random
from dataclasses import replace

from p2pnode.placement.rendezvous import Candidate, rank
from p2pnode.placement.replacement import replacements
from tests.factories import peer_id
from tests.placement.test_rendezvous import SHARD, candidates


def test_the_order_is_the_same_however_the_members_are_known(rng: random.Random) -> None:
    known, seed = candidates(30), rng.randbytes(32)
    held = {each.peer_id: 1 for each in known[:10]}
    order = replacements(seed, SHARD, known, n=10, held=held)
    assert replacements(seed, SHARD, rng.sample(known, 30), n=10, held=held) == order
    assert sorted(each.peer_id for each in order) == sorted(each.peer_id for each in known)


def test_who_holds_nothing_of_the_blob_comes_before_who_does_and_fewer_before_more(rng: random.Random) -> None:
    known, seed = candidates(8), rng.randbytes(32)
    held = {known[0].peer_id: 2, known[1].peer_id: 1}
    order = replacements(seed, SHARD, known, n=10, held=held)
    assert order[:6] == rank(seed, SHARD, known[2:])
    assert order[6:] == [known[1], known[0]]


def test_who_held_the_shard_before_comes_first(rng: random.Random) -> None:
    known, seed = candidates(8), rng.randbytes(32)
    order = replacements(seed, SHARD, known, n=4, held={}, former=[known[5].peer_id, peer_id(99)])
    assert order[0] == known[5]
    assert len(order) == 8


def test_domains_that_hold_nothing_come_before_those_that_do(rng: random.Random) -> None:
    known, seed = candidates(12, domains=4), rng.randbytes(32)
    held = {known[0].peer_id: 1}  # Domain 0, which has two others.
    order = replacements(seed, SHARD, known, n=4, held=held)
    assert {each.domain for each in order[:9]} == {"domain-1", "domain-2", "domain-3"}
    assert [each.domain for each in order[9:]] == ["domain-0"] * 3


def test_a_wide_prefix_that_has_its_share_comes_last_of_those_that_hold_nothing(rng: random.Random) -> None:
    known = [replace(each, wide="w" if at < 4 else "") for at, each in enumerate(candidates(8))]
    order = replacements(rng.randbytes(32), SHARD, known, n=4, held={known[0].peer_id: 1})
    assert {each.peer_id for each in order[4:7]} == {each.peer_id for each in known[1:4]}
    assert order[7] == known[0]


def unvetted(each: Candidate) -> Candidate:
    return replace(each, is_vetted=False)


def test_newcomers_that_have_their_share_get_no_more_but_what_they_held(rng: random.Random) -> None:
    known = candidates(12)
    known = [*known[:9], *map(unvetted, known[9:])]
    seed = rng.randbytes(32)
    full = {known[9].peer_id: 1}  # ceil(f / 3) of ten shards is one.
    order = replacements(seed, SHARD, known, n=10, held=full)
    assert {each.peer_id for each in order} == {each.peer_id for each in known[:9]}
    order = replacements(seed, SHARD, known, n=10, held={})
    assert len(order) == 12
    order = replacements(seed, SHARD, known, n=10, held=full, former=[known[10].peer_id])
    assert order[0] == known[10]

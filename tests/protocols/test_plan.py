"""The plan tells what a put does: room to the byte, the weakest committee, and the same n."""

import random

import pytest

from p2pnode import bft
from p2pnode.coding import encode
from p2pnode.errors import CallerError, TooFewHoldersError
from p2pnode.placement.rendezvous import Candidate
from p2pnode.placement.shape import default_shards
from p2pnode.protocols.plan import PAIR_HASH_BYTES, plan_storage, stored_bytes
from tests.factories import peer_id
from wire import limits
from wire.ids import PairIndex


def members(count: int, *, domains: int | None = None) -> list[Candidate]:
    return [Candidate(peer_id(at), bytes(peer_id(at)), 1.0, f"domain-{at % (domains or count)}") for at in range(count)]


@pytest.mark.parametrize(("size", "n"), [(0, 10), (1, 4), (5_000, 10), (100_000, 31), (1_000_001, 13)])
def test_a_blob_takes_its_slivers_and_the_hashes_of_all_pairs_at_each_holder(
    rng: random.Random, size: int, n: int
) -> None:
    encoded = encode(rng.randbytes(size), n)
    slivers = sum(len(sliver.data) for pair in range(n) for sliver in encoded.pair(PairIndex(pair)))
    assert stored_bytes(size, n=n) == slivers + n * n * PAIR_HASH_BYTES


def test_a_file_takes_its_segments_and_its_manifests() -> None:
    plan = plan_storage(10**9, members(10), shards=None)
    assert (plan.n, plan.segments) == (10, -(-(10**9) // plan.segment_bytes))
    alone = plan.segments * stored_bytes(plan.segment_bytes, n=10)
    assert 0.99 * alone < plan.stored_bytes < 1.01 * alone


def test_manifests_that_nest_are_counted() -> None:
    """At n = 4 a manifest has some thousand entries: two hundred gigabytes need a second level."""
    plan = plan_storage(200 * 10**9, members(4), shards=None)
    whole, rest = divmod(200 * 10**9, plan.segment_bytes)
    segments = whole * stored_bytes(plan.segment_bytes, n=4) + stored_bytes(rest, n=4)
    assert 48 * plan.segments < plan.stored_bytes - segments < 10 * 48 * plan.segments


@pytest.mark.parametrize("count", [4, 10, 14, 40, 200])
def test_n_is_the_one_that_a_put_takes_and_f_nodes_more_than_needed_may_fail(count: int) -> None:
    plan = plan_storage(10**7, members(count), shards=None)
    n = default_shards(members=count, size=10**7)
    assert (plan.n, plan.nodes, plan.spares, plan.members) == (n, n, count - n, count)
    assert plan.nodes_that_may_fail == plan.domains_that_may_fail == n - bft.primary_source(n)
    assert (plan.shards_to_read, plan.shards_to_store) == (bft.primary_source(n), bft.quorum(n))


def test_members_that_share_domains_fail_together() -> None:
    plan = plan_storage(1000, members(12, domains=3), shards=10)
    assert (plan.nodes, plan.domains) == (10, 3)
    assert plan.domains_that_may_fail == 1 < plan.nodes_that_may_fail


def test_more_shards_than_members_are_told_by_the_nodes_that_may_fail() -> None:
    plan = plan_storage(1000, members(5), shards=10)
    assert (plan.nodes, plan.spares) == (5, 0)
    assert plan.nodes_that_may_fail == 3


def test_too_few_members_a_bad_n_and_a_size_beyond_all_files_are_refused() -> None:
    with pytest.raises(TooFewHoldersError, match="at least 4 are needed"):
        plan_storage(1, members(3), shards=None)
    for shards in (limits.SHARDS_MIN - 1, limits.SHARDS_MAX + 1):
        with pytest.raises(CallerError, match="--shards must be"):
            plan_storage(1, members(10), shards=shards)
    for size in (-1, limits.FILE_BYTES_MAX + 1):
        with pytest.raises(CallerError, match="a file has 0 to"):
            plan_storage(size, members(10), shards=None)
    assert plan_storage(limits.FILE_BYTES_MAX, members(10), shards=1000).n == 1000

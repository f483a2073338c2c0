"""Claims about digests of what two nodes hold in common: equal when that is equal, different when it is not."""

from __future__ import annotations

import random

from p2pnode.protocols.page_digests import (
    EMPTY,
    CommitteeDigests,
    committee_tags,
    differing_buckets,
    peer_tag,
    set_digest,
    tags_of,
)
from tests.factories import digest, peer_id
from wire.ids import Digest

OWN, FRIEND, OTHER = peer_id(1), peer_id(2), peer_id(3)


def test_two_nodes_that_keep_the_same_of_what_they_share_have_the_same_digests(rng: random.Random) -> None:
    ours, theirs = CommitteeDigests(OWN), CommitteeDigests(FRIEND)
    pages = [(digest(number), rng.randbytes(8)) for number in range(50)]
    for number, (page, state) in enumerate(pages):
        ours.put(page, state, committee_tags([OWN, FRIEND] if number % 2 else [OWN, FRIEND, OTHER]))
        ours.put(digest(1_000 + number), state, committee_tags([OWN, OTHER]))
    for page, state in rng.sample(pages, len(pages)):
        theirs.put(page, state, committee_tags([FRIEND, OWN]))
    assert ours.digests(FRIEND) == theirs.digests(OWN) != ours.digests(OTHER)
    assert set_digest(ours.digests(FRIEND)) == set_digest(theirs.digests(OWN))


def test_a_page_that_changes_shows_in_its_bucket_and_nowhere_else() -> None:
    digests = CommitteeDigests(OWN)
    page, committee = Digest(b"\x07" + bytes(31)), committee_tags([OWN, FRIEND])
    digests.put(page, bytes(8), committee)
    before = digests.digests(FRIEND)
    digests.remove(page, bytes(8), committee)
    digests.put(page, b"\x01" * 8, committee)
    assert differing_buckets(before, digests.digests(FRIEND)) == [7]
    assert differing_buckets(before, before) == []


def test_nothing_is_left_of_pages_that_went() -> None:
    digests = CommitteeDigests(OWN)
    committee = committee_tags([OWN, FRIEND, OTHER])
    for number in range(10):
        digests.put(digest(number), bytes(8), committee)
    assert digests.shares_with(FRIEND)
    for number in range(10):
        digests.remove(digest(number), bytes(8), committee)
    assert not digests.shares_with(FRIEND)
    assert digests.digests(FRIEND) == EMPTY


def test_a_page_without_us_counts_for_nobody() -> None:
    digests = CommitteeDigests(OWN)
    digests.put(digest(1), bytes(8), committee_tags([FRIEND, OTHER]))
    assert not digests.shares_with(FRIEND)


def test_a_committee_is_kept_by_its_tags_in_order() -> None:
    tags = list(tags_of(committee_tags([OTHER, OWN, FRIEND])))
    assert tags == sorted(map(peer_tag, (OWN, FRIEND, OTHER)))

"""Claims about summaries: equal tables look equal, and whatever differs is found in its bucket."""

import random

import pytest

from p2pnode.config import TESTNET
from p2pnode.membership.summary import Summary, bucket_of, differing, within
from p2pnode.membership.table import MemberTable
from tests.factories import TIME, peer_id, signed_member
from wire import limits
from wire.ids import SUMMARY_BUCKETS, MembersSummary


def summary_of(rows: dict[int, int]) -> MembersSummary:
    """Return the summary of the records of these nodes, each with its sequence."""
    summary = Summary()
    for number, sequence in rows.items():
        summary.flip(peer_id(number), sequence)
    return summary.digests()


def test_tables_with_the_same_records_do_not_differ_in_whatever_order_these_came(rng: random.Random) -> None:
    numbers = list(range(50))
    rng.shuffle(numbers)
    assert not differing(summary_of(dict.fromkeys(range(50), 7)), summary_of(dict.fromkeys(numbers, 7)))


def test_just_the_buckets_differ_in_which_a_record_is_missing_or_older() -> None:
    ours = summary_of({1: 5, 2: 5, 3: 5, 4: 5})
    theirs = summary_of({1: 5, 2: 4, 4: 5, 5: 1})
    assert differing(ours, theirs) == {bucket_of(peer_id(number)) for number in (2, 3, 5)}
    assert differing(theirs, ours) == differing(ours, theirs)


def test_summaries_of_parts_are_together_the_summary_of_all() -> None:
    one, other = Summary(), Summary()
    one.flip(peer_id(1), 5)
    other.flip(peer_id(2), 6)
    assert one.digests(other) == other.digests(one) == summary_of({1: 5, 2: 6})
    assert one.digests() == summary_of({1: 5})


def test_who_says_nothing_of_what_it_knows_is_told_everything() -> None:
    assert differing(summary_of({}), None) == frozenset(range(SUMMARY_BUCKETS))


def test_a_table_keeps_its_summary_while_records_come_are_renewed_and_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MEMBERS_KEPT_MAX", 30)
    table = MemberTable(peer_id(0), TESTNET, started_at=0)
    for number in range(1, limits.MEMBERS_KEPT_MAX + 1):
        table.consider(signed_member(number), now=0, wall=TIME)
    table.consider(signed_member(7, sequence=9), now=0, wall=TIME)
    table.consider(signed_member(7, sequence=8), now=0, wall=TIME)
    table.consider(signed_member(limits.MEMBERS_KEPT_MAX + 1), now=TESTNET.long_grace_s + 1, wall=TIME)
    rows = Summary()
    for peer, member in table.members():
        rows.flip(peer, member.record.sequence)
    assert len(table) == len(table.members()) == limits.MEMBERS_KEPT_MAX
    assert table.summary.digests() == rows.digests()


def test_the_rows_of_some_buckets_are_those_whose_peers_are_in_them(rng: random.Random) -> None:
    rows = [(peer_id(number), number) for number in range(50)]
    buckets = {bucket_of(each) for each, _ in rng.sample(rows, 7)}
    assert within(buckets, rows) == [row for row in rows if bucket_of(row[0]) in buckets]
    assert within((), rows) == []

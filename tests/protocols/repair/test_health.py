"""How a blob is doing: h, a, the three levels and the table of what is urgent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnode import bft
from p2pnode.config import PUBLIC
from p2pnode.membership.liveness import Liveness
from p2pnode.protocols.repair.health import Level, Presence, health_of, presence_of, urgent_at

HERE, SUSPECT, ABSENT, LOST = Presence
shard_counts = st.integers(4, 40)


def presences(n: int, **counts: int) -> list[Presence]:
    """Return so many holders of each kind, the rest of them here."""
    found = [Presence[kind.upper()] for kind, count in counts.items() for _ in range(count)]
    return [*found, *[HERE] * (n - len(found))]


@pytest.mark.parametrize(("n", "urgent"), [(4, 2), (5, 3), (7, 4), (10, 5), (31, 15), (100, 50)])
def test_the_table_of_what_is_urgent(n: int, urgent: int) -> None:
    assert urgent_at(n) == urgent


@pytest.mark.parametrize(
    ("liveness", "silence_s", "presence"),
    [
        (Liveness.ACTIVE, 0.0, HERE),
        (Liveness.SUSPECT, PUBLIC.suspect_after_s, SUSPECT),
        (Liveness.SUSPECT, PUBLIC.short_grace_s, ABSENT),
        (Liveness.OFFLINE, PUBLIC.long_grace_s + 1, ABSENT),
        (Liveness.LOST, PUBLIC.long_grace_s + 1, LOST),
        (Liveness.CONDEMNED, 0.0, LOST),
    ],
)
def test_what_counts_of_a_holder(liveness: Liveness, silence_s: float, presence: Presence) -> None:
    assert presence_of(liveness, silence_s=silence_s, overdue_s=silence_s, profile=PUBLIC) is presence


def test_who_announced_maintenance_is_no_more_than_suspect_until_it_is_overdue() -> None:
    day = PUBLIC.long_grace_s
    for overdue_s, presence in ((0.0, SUSPECT), (PUBLIC.short_grace_s - 1, SUSPECT), (PUBLIC.short_grace_s, ABSENT)):
        assert presence_of(Liveness.SUSPECT, silence_s=day, overdue_s=overdue_s, profile=PUBLIC) is presence
    assert presence_of(Liveness.LOST, silence_s=day, overdue_s=0.0, profile=PUBLIC) is LOST


def test_a_blob_whose_holders_are_all_here_is_whole() -> None:
    health = health_of(presences(10))
    assert (health.level, health.missing, health.healthy, health.reachable) == (Level.WHOLE, (), 10, 10)
    assert health.margin == 10 - bft.primary_source(10)


def test_one_that_is_away_costs_nothing_until_it_is_lost() -> None:
    assert health_of(presences(10, absent=1)).level is Level.WHOLE
    lost = health_of(presences(10, lost=1))
    assert (lost.level, lost.missing, lost.healthy) == (Level.NORMAL, (0,), 9)


def test_repair_at_leisure_may_begin_later() -> None:
    assert health_of(presences(10, lost=1), missing_min=2).level is Level.WHOLE
    assert health_of(presences(10, lost=2), missing_min=2).missing == (0, 1)


def test_a_blob_that_could_not_be_certified_any_more_waits_for_the_short_grace_only() -> None:
    assert health_of(presences(10, suspect=3)).level is Level.WHOLE
    short = health_of(presences(10, absent=2, lost=1))
    assert (short.level, short.missing) == (Level.SHORT_GRACE, (0, 1, 2))


def test_a_blob_that_can_hardly_be_read_does_not_wait() -> None:
    urgent = health_of(presences(10, suspect=4, lost=1))
    assert (urgent.level, urgent.reachable, len(urgent.missing)) == (Level.URGENT, 5, 5)


def test_with_one_that_may_fail_every_absence_is_at_the_short_grace_level() -> None:
    for n in (4, 5, 6):
        assert health_of(presences(n, absent=1)).level >= Level.SHORT_GRACE


@given(shard_counts.flatmap(lambda n: st.lists(st.sampled_from(Presence), min_size=n, max_size=n)))
def test_what_is_missing_is_never_here_and_whatever_is_lost_is_missing(holders: list[Presence]) -> None:
    health = health_of(holders)
    assert all(holders[shard] is not HERE for shard in health.missing)
    if health.level is Level.WHOLE:
        assert LOST not in holders
        assert health.missing == ()
    else:
        assert {at for at, each in enumerate(holders) if each is LOST} <= set(health.missing)
        assert health.missing
    assert health.reachable <= health.healthy
    assert (health.level is Level.URGENT) == (health.reachable <= urgent_at(len(holders)))


@given(shard_counts.flatmap(lambda n: st.lists(st.sampled_from(Presence), min_size=n, max_size=n)), st.data())
def test_a_holder_that_fares_worse_never_makes_repair_less_urgent(holders: list[Presence], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(holders) - 1))
    worse = data.draw(st.sampled_from([each for each in Presence if each >= holders[at]]))
    after = health_of([*holders[:at], worse, *holders[at + 1 :]])
    assert after.level >= health_of(holders).level


def test_where_fewer_than_s_pairs_are_here_the_first_missing_shard_names_who_reads_the_blob() -> None:
    few = health_of(presences(10, suspect=5))
    assert (few.level, few.first_of_whole) == (Level.URGENT, 0)
    assert health_of(presences(10, absent=4)).first_of_whole == 0
    assert health_of(presences(10, lost=1, suspect=3)).first_of_whole is None, "those that are away may be back soon"
    assert health_of(presences(10, absent=3)).first_of_whole is None, "S pairs give symbols"
    assert health_of(presences(10, suspect=7)).first_of_whole is None, "it cannot be read"
    assert health_of(presences(10)).first_of_whole is None

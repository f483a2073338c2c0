"""Claims about when leases are renewed and end, and who may say so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnode.protocols.renewal import (
    JITTER,
    RENEWED_AT,
    WARNED_BEFORE_S,
    OwnedState,
    lease_end,
    make_tombstone,
    renewal_is_due,
    state_of,
)
from tests.factories import NETWORK, TIME, owner_key
from tests.protocols.test_catalogue import owned
from wire import limits
from wire.ids import LeaseTarget, PublicKey

LONGEST_S = limits.LEASE_SECONDS_MAX


def test_a_lease_goes_as_far_as_one_may_and_not_beyond_what_is_wanted() -> None:
    assert lease_end(start=TIME, longest_s=100, wanted_until=0) == TIME + 100
    assert lease_end(start=TIME, longest_s=10 * LONGEST_S, wanted_until=0) == TIME + LONGEST_S
    assert lease_end(start=TIME, longest_s=100, wanted_until=TIME + 30) == TIME + 30
    assert lease_end(start=TIME, longest_s=100, wanted_until=TIME + 300) == TIME + 100


@given(st.binary(min_size=32, max_size=32))
def test_a_renewal_is_due_at_one_moment_well_before_the_end(target: bytes) -> None:
    record = owned(lease_end=TIME + LONGEST_S)
    record = replace(record, target=LeaseTarget(target))
    earliest, latest = TIME + LONGEST_S * (1 - RENEWED_AT - JITTER), TIME + LONGEST_S * (1 - RENEWED_AT)
    assert not renewal_is_due(record, now=earliest, longest_s=LONGEST_S)
    assert renewal_is_due(record, now=latest + 1, longest_s=LONGEST_S)
    assert renewal_is_due(record, now=TIME + 10 * LONGEST_S, longest_s=LONGEST_S)


def test_nothing_is_renewed_that_was_removed_or_lasts_as_long_as_it_is_wanted() -> None:
    end = TIME + 100
    assert renewal_is_due(owned(lease_end=end), now=TIME + 99, longest_s=100)
    assert not renewal_is_due(owned(lease_end=end, removed_at=TIME), now=TIME + 99, longest_s=100)
    assert not renewal_is_due(owned(lease_end=end, wanted_until=end), now=TIME + 99, longest_s=100)
    assert not renewal_is_due(owned(lease_end=end, wanted_until=end + 5), now=end + 5, longest_s=100)
    assert renewal_is_due(owned(lease_end=end, wanted_until=end + 5), now=TIME + 99, longest_s=100)


@pytest.mark.parametrize(
    ("left_s", "removed", "state"),
    [
        (WARNED_BEFORE_S, 0, OwnedState.KEPT),
        (WARNED_BEFORE_S - 1, 0, OwnedState.ENDS_SOON),
        (1, 0, OwnedState.ENDS_SOON),
        (0, 0, OwnedState.ENDED),
        (WARNED_BEFORE_S, TIME, OwnedState.REMOVED),
    ],
)
def test_an_owner_is_told_a_week_before_the_end(left_s: int, removed: int, state: OwnedState) -> None:
    assert state_of(owned(lease_end=TIME + left_s, removed_at=removed), now=TIME) is state


def test_a_tombstone_is_the_owners_word_about_one_target() -> None:
    target = LeaseTarget(bytes(32))
    tombstone = make_tombstone(owner_key(), target, sequence=4, time=TIME, network=NETWORK)
    assert tombstone.signer == PublicKey(owner_key().public)
    assert (tombstone.record.target, tombstone.record.sequence, tombstone.record.time) == (target, 4, TIME)


def test_a_lease_of_an_earlier_owner_key_is_renewed_at_once_while_the_thing_is_wanted() -> None:
    end = TIME + LONGEST_S
    of_predecessor = owned(lease_end=end, lease_sequence=0)
    assert renewal_is_due(of_predecessor, now=TIME, longest_s=LONGEST_S)
    assert renewal_is_due(replace(of_predecessor, wanted_until=end), now=TIME, longest_s=LONGEST_S)
    assert not renewal_is_due(replace(of_predecessor, wanted_until=TIME), now=TIME, longest_s=LONGEST_S)
    assert not renewal_is_due(replace(of_predecessor, removed_at=TIME), now=TIME, longest_s=LONGEST_S)
    assert not renewal_is_due(replace(of_predecessor, lease_sequence=1), now=TIME, longest_s=LONGEST_S)

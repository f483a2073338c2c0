"""Claims about how renewals and tombstones of one owner merge: what arrived decides, never its order."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from p2pnode.protocols.lease_merging import (
    end_of,
    is_ended_by,
    later_tombstone,
    open_tombstone,
    outlasts,
    renews,
    replaces,
)
from p2pnode.protocols.refusal import RefusalError
from tests.factories import NETWORK, TIME, blob_id, key, lease, owner_key, public_key, signed, tombstone
from wire import limits
from wire.messages import RefusalCode
from wire.records import Envelope, Lease, LeaseKind, Tombstone
from wire.signed import Signed

END = TIME + 1000


def leased(sequence: int = 1, *, end: int = END, owner: int | None = None, target: int = 1) -> Signed[Lease]:
    """Return a final lease."""
    by = owner_key() if owner is None else key(owner)
    return signed(lease(blob_id(target), sequence=sequence, end=end), by)


def buried(sequence: int = 1, *, time: int = TIME, owner: int | None = None, target: int = 1) -> Signed[Tombstone]:
    """Return a tombstone."""
    by = owner_key() if owner is None else key(owner)
    return signed(dataclasses.replace(tombstone(blob_id(target)), sequence=sequence, time=time), by)


def test_a_tombstone_ends_leases_of_its_signer_up_to_its_sequence() -> None:
    assert is_ended_by(leased(3), buried(3))
    assert is_ended_by(leased(2), buried(3))
    assert not is_ended_by(leased(4), buried(3))
    assert not is_ended_by(leased(3, owner=5), buried(3))
    assert not is_ended_by(leased(3), buried(3, owner=5))
    assert not is_ended_by(leased(3, target=2), buried(3))


def test_a_lease_that_says_so_cannot_be_ended() -> None:
    kept = signed(dataclasses.replace(lease(blob_id(1)), is_deletable=False), owner_key())
    assert not is_ended_by(kept, buried(3))
    assert end_of(kept, buried(3)) == kept.record.end


def test_a_buried_lease_ends_when_the_tombstone_was_signed_and_never_later_than_it_would_have() -> None:
    assert end_of(leased(1), None) == END
    assert end_of(leased(1), buried(1, time=TIME + 7)) == TIME + 7
    assert end_of(leased(1), buried(1, time=END + 7)) == END
    assert end_of(leased(2), buried(1)) == END


def test_no_end_is_taken_for_a_lease_that_never_was() -> None:
    assert end_of(leased(1), buried(1, time=0)) == 1


def test_of_two_tombstones_that_with_the_larger_sequence_and_time_stands() -> None:
    tombs = [buried(1, time=TIME + 9), buried(2), buried(2, time=TIME + 1)]
    for order in itertools.permutations(tombs):
        stands = order[0]
        for each in order[1:]:
            stands = later_tombstone(stands, each)
        assert stands == tombs[2]


def test_a_tombstone_is_kept_longer_than_any_lease_that_was_signed_before_it_runs() -> None:
    longest = leased(end=TIME + limits.CLOCK_SKEW_SECONDS + limits.LEASE_SECONDS_MAX)
    assert outlasts(buried()) >= longest.record.end


def test_a_renewal_is_a_later_final_lease_of_the_same_owner_for_the_same_target() -> None:
    first = leased(1)
    assert renews(leased(2), first)
    assert renews(leased(2, end=END - 5), first)
    assert not renews(leased(1, end=END + 5), first)
    assert not renews(leased(2, owner=5), first)
    assert not renews(leased(2, target=2), first)
    day = signed(lease(blob_id(1), kind=LeaseKind.PROVISIONAL), owner_key())
    assert not renews(leased(2), day)
    assert not renews(signed(lease(blob_id(1), kind=LeaseKind.PROVISIONAL, sequence=2), owner_key()), day)


def test_a_renewal_that_ends_earlier_takes_no_promise_back() -> None:
    assert replaces(leased(2), leased(1))
    assert replaces(leased(2, end=END + 5), leased(1))
    assert not replaces(leased(2, end=END - 1), leased(1))
    assert not replaces(leased(1, end=END + 5), leased(1))
    assert not replaces(leased(2), leased(1, owner=5))


def test_a_tombstone_is_opened_only_with_its_signature_and_not_from_the_future() -> None:
    good = buried(time=TIME + limits.CLOCK_SKEW_SECONDS)
    assert open_tombstone(good.envelope, network=NETWORK, wall=TIME) == good
    early = buried(time=TIME + limits.CLOCK_SKEW_SECONDS + 1)
    forged = Envelope(body=good.envelope.body, signer=key(5).public, signature=good.envelope.signature)  # type: ignore[arg-type]  # a key's bytes
    for envelope, what in (
        (early.envelope, "in the future"),
        (forged, "not valid"),
        (leased().envelope, "not valid"),
    ):
        with pytest.raises(RefusalError, match=what) as caught:
            open_tombstone(envelope, network=NETWORK, wall=TIME)
        assert caught.value.code == RefusalCode.LEASE


def test_an_heir_acts_for_its_predecessor_whatever_the_sequences() -> None:
    heirs = (public_key(5),)
    assert is_ended_by(leased(9), buried(1, owner=5), heirs)
    assert not is_ended_by(leased(9), buried(1, owner=6), heirs)
    assert not is_ended_by(leased(9, target=2), buried(1, owner=5), heirs)
    assert end_of(leased(9), buried(1, owner=5, time=TIME + 7), heirs) == TIME + 7
    assert renews(leased(1, owner=5), leased(9), heirs)
    assert replaces(leased(1, owner=5), leased(9), heirs)
    assert not replaces(leased(1, owner=5, end=END - 1), leased(9), heirs)
    assert not renews(leased(9), leased(1, owner=5), heirs)

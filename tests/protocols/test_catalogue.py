"""Claims about an owner's catalogue: views merge to one whatever the order, and only the owner reads it."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.sealing import NONCE_BYTES, derive_key, seal
from p2pnode.errors import IntegrityError
from p2pnode.protocols import catalogue
from p2pnode.protocols.catalogue import (
    FORGOTTEN_AFTER_S,
    NOT_YET_OURS,
    catalogue_key,
    inherited,
    is_forgotten,
    kind_number,
    merged,
    open_catalogue,
    open_catalogue_of,
    open_records,
    placement_seed,
    reference_of,
    remembered,
    seal_catalogue,
    view_digest,
    with_lease,
    with_wish,
    without_wish,
)
from tests.factories import NETWORK, TIME, blob_id, key, owner_key, signed
from wire.codec import encode
from wire.errors import WireError
from wire.ids import LeaseTarget, PublicKey
from wire.ownership import KIND_FILE, Catalogue, OwnedRecord
from wire.references import Reference, ReferenceKind
from wire.signed import Signed

DAY_S = 24 * 3600
NONCE = bytes(NONCE_BYTES)


def owned(number: int = 1, **changes: int) -> OwnedRecord:
    record = OwnedRecord(
        kind=0,
        blob_id=blob_id(number),
        target=LeaseTarget(blob_id(number)),
        blob_count=1,
        n=4,
        size=1000,
        name=f"thing {number}",
        stored_at=TIME,
        wanted_until=0,
        lease_sequence=1,
        lease_end=TIME + DAY_S,
        renewers=(),
        sequence=0,
        removed_at=0,
    )
    return replace(record, **changes)  # type: ignore[arg-type]  # all of them are numbers


def made(record: OwnedRecord) -> Signed[OwnedRecord]:
    return signed(record, owner_key())


def view(*records: OwnedRecord) -> dict[Reference, Signed[OwnedRecord]]:
    return merged({}, [made(each) for each in records])


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(0, 1), st.integers(0, 2), st.integers(0, 2)),
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_views_merge_to_the_same_whatever_the_order_and_how_often(
    facts: list[tuple[int, int, int, int, int]], chance: random.Random
) -> None:
    records = [
        made(owned(number, sequence=sequence, removed_at=removed, lease_sequence=lease, lease_end=TIME + end))
        for number, sequence, removed, lease, end in facts
    ]
    whole = merged({}, records)
    shuffled = [*records, *records]
    chance.shuffle(shuffled)
    cut = chance.randrange(len(shuffled) + 1)
    one, other = merged({}, shuffled[:cut]), merged({}, shuffled[cut:])
    assert merged(one, other.values()) == merged(other, one.values()) == whole
    assert view_digest(merged(one, other.values())) == view_digest(whole)


def test_a_later_decision_counts_and_of_two_at_a_time_the_removal() -> None:
    stored = owned()
    removed = without_wish(stored, removed_at=TIME + 5, lease_sequence=9)
    prolonged = with_wish(stored, wanted_until=TIME + 90 * DAY_S)
    again = with_wish(removed, wanted_until=0)
    for order in itertools.permutations([stored, removed, prolonged]):
        assert [each.record for each in view(*order).values()] == [removed]
    assert [each.record for each in view(removed, again, prolonged).values()] == [again]
    assert (again.removed_at, again.sequence) == (0, 2)


def test_a_renewal_is_no_decision_and_never_undoes_a_removal() -> None:
    stored = owned()
    renewed = with_lease(stored, sequence=7, end=TIME + 30 * DAY_S)
    removed = without_wish(stored, removed_at=TIME + 5, lease_sequence=2)
    assert renewed.sequence == stored.sequence
    assert [each.record for each in view(stored, renewed).values()] == [renewed]
    assert [each.record for each in view(removed, renewed).values()] == [removed]


def test_what_is_removed_or_unwanted_is_forgotten_long_after_its_lease_and_never_what_is_wanted() -> None:
    end = TIME + DAY_S
    late = end + FORGOTTEN_AFTER_S + 1
    assert not is_forgotten(owned(), now=late)
    assert not is_forgotten(owned(removed_at=TIME), now=late - 1)
    assert is_forgotten(owned(removed_at=TIME), now=late)
    assert is_forgotten(owned(wanted_until=end), now=late)
    assert not is_forgotten(owned(wanted_until=late + 1), now=late)
    kept = view(owned(1), owned(2, removed_at=TIME))
    assert set(remembered(kept, now=late)) == {Reference(ReferenceKind.BLOB, blob_id(1))}


def test_a_sealed_catalogue_opens_with_the_owner_key_and_tells_nothing_without() -> None:
    records = view(owned(1), owned(2, kind=KIND_FILE))
    sealed = seal_catalogue(records, key=owner_key(), network=NETWORK, nonce=NONCE)
    assert b"thing" not in sealed
    assert merged({}, open_catalogue(sealed, key=owner_key(), network=NETWORK)) == records
    with pytest.raises(IntegrityError, match="does not open"):
        open_catalogue(sealed, key=key(5), network=NETWORK)
    with pytest.raises(IntegrityError, match="does not open"):
        open_catalogue(sealed, key=owner_key(), network="another")


def sealed_content(content: bytes) -> bytes:
    context = catalogue._context(NETWORK)
    return seal(derive_key(owner_key().seed, b"catalogue"), content, nonce=NONCE, context=context)


def test_what_is_sealed_but_no_catalogue_of_this_owner_is_refused() -> None:
    foreign = signed(owned(), key(5)).envelope
    forged = replace(made(owned()).envelope, signer=foreign.signer)
    for content in (b"junk", encode(Catalogue(records=(foreign,))), encode(Catalogue(records=(forged,)))):
        with pytest.raises(IntegrityError, match="cannot be read"):
            open_catalogue(sealed_content(content), key=owner_key(), network=NETWORK)
    with pytest.raises(WireError, match="another owner"):
        open_records([foreign], owner=PublicKey(owner_key().public), network=NETWORK)


def test_references_and_kinds_are_each_others() -> None:
    for kind in ReferenceKind:
        record = owned(kind=kind_number(kind))
        assert reference_of(record) == Reference(kind, record.blob_id)


def test_each_owner_has_a_seed_of_its_own() -> None:
    assert placement_seed(PublicKey(key(1).public)) != placement_seed(PublicKey(key(2).public))


def test_the_catalogue_of_a_predecessor_opens_with_what_it_was_sealed_under() -> None:
    records = view(owned(1))
    sealed = seal_catalogue(records, key=owner_key(), network=NETWORK, nonce=NONCE)
    owner, under = PublicKey(owner_key().public), catalogue_key(owner_key())
    assert merged({}, open_catalogue_of(owner, sealed, sealed_under=under, network=NETWORK)) == records
    with pytest.raises(IntegrityError, match="another owner"):
        open_catalogue_of(PublicKey(key(5).public), sealed, sealed_under=under, network=NETWORK)


def test_a_lease_of_a_predecessor_gives_way_to_every_lease_of_ones_own() -> None:
    record = inherited(owned(1, lease_sequence=9))
    assert record == owned(1, lease_sequence=NOT_YET_OURS)
    own = made(owned(1, lease_sequence=1))
    assert merged(view(record), [own]) == merged(view(owned(1, lease_sequence=1)), [made(record)])
    removed = owned(1, removed_at=TIME, lease_sequence=9)
    assert inherited(removed) == removed

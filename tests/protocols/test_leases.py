"""Claims about leases: only pages that lead to the target are under one, and times are bounded."""

from __future__ import annotations

import dataclasses

import pytest

from p2pnode.protocols.leases import (
    BlobGroup,
    LeaseTerms,
    blob_page,
    check_lease_times,
    check_page,
    make_blob_lease,
    make_file_lease,
)
from p2pnode.protocols.refusal import RefusalError
from tests.factories import LEASE_SECONDS, NETWORK, SALT, TIME, blob_id, digest, lease, owner_key
from wire import limits
from wire.messages import RefusalCode
from wire.records import LeaseKind, LeaseScope

TERMS = LeaseTerms(n=7, sequence=3, start=TIME, end=TIME + 60)


def test_a_file_lease_has_the_salt_that_placed_its_blobs_and_a_blob_lease_has_none() -> None:
    group = BlobGroup([blob_id(1), blob_id(2)], SALT)
    of_file = make_file_lease(owner_key(), group, TERMS, network=NETWORK, kind=LeaseKind.FINAL).record
    of_blob = make_blob_lease(owner_key(), blob_id(1), TERMS, network=NETWORK, kind=LeaseKind.FINAL).record
    assert (of_file.salt, of_blob.salt) == (SALT, None)
    with pytest.raises(RefusalError, match="salt"):
        check_page(dataclasses.replace(of_file, salt=None), group.pages()[0])
    with pytest.raises(RefusalError, match="salt"):
        check_page(dataclasses.replace(of_blob, salt=SALT), blob_page(blob_id(1)))


def test_a_blob_lease_covers_the_one_page_of_its_blob() -> None:
    record = make_blob_lease(owner_key(), blob_id(1), TERMS, network=NETWORK, kind=LeaseKind.PROVISIONAL).record
    check_page(record, blob_page(blob_id(1)))
    assert (record.n, record.sequence, record.scope) == (7, 3, LeaseScope.BLOB)


def test_a_blob_lease_covers_no_other_page() -> None:
    record = make_blob_lease(owner_key(), blob_id(1), TERMS, network=NETWORK, kind=LeaseKind.FINAL).record
    wrong = [
        blob_page(blob_id(2)),
        dataclasses.replace(blob_page(blob_id(1)), page_index=1),
        dataclasses.replace(blob_page(blob_id(1)), path=(digest(),)),
        dataclasses.replace(blob_page(blob_id(1)), blob_ids=(blob_id(1), blob_id(2))),
    ]
    for page in wrong:
        with pytest.raises(RefusalError, match="not the one blob"):
            check_page(record, page)
    with pytest.raises(RefusalError, match="not the one blob"):
        check_page(dataclasses.replace(record, blob_count=2), blob_page(blob_id(1)))


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 511, 513])
def test_every_page_of_a_file_leads_to_its_lease(count: int) -> None:
    group = BlobGroup([blob_id(number) for number in range(count)], SALT)
    record = make_file_lease(owner_key(), group, TERMS, network=NETWORK, kind=LeaseKind.FINAL).record
    pages = group.pages()
    assert [each for page in pages for each in page.blob_ids] == list(group.blob_ids)
    for page in pages:
        check_page(record, page)


def test_a_page_that_was_changed_in_any_way_leads_nowhere() -> None:
    group = BlobGroup([blob_id(number) for number in range(300)], SALT)
    record = make_file_lease(owner_key(), group, TERMS, network=NETWORK, kind=LeaseKind.FINAL).record
    first, second = group.pages()
    wrong = [
        dataclasses.replace(first, page_index=1),
        dataclasses.replace(second, page_index=0),
        dataclasses.replace(first, path=()),
        dataclasses.replace(second, blob_ids=second.blob_ids[:-1]),
        dataclasses.replace(second, blob_ids=(*second.blob_ids[:-1], blob_id(999))),
        dataclasses.replace(second, page_index=7),
    ]
    for page in wrong:
        with pytest.raises(RefusalError, match="not under the lease"):
            check_page(record, page)


def test_a_lease_may_run_to_its_longest_and_not_a_second_more() -> None:
    longest = {
        LeaseKind.PROVISIONAL: limits.PROVISIONAL_SECONDS_MAX,
        LeaseKind.FINAL: limits.LEASE_SECONDS_MAX,
    }
    for kind, seconds in longest.items():
        check_lease_times(lease(kind=kind, end=TIME + seconds), wall=TIME)
        for wrong in (seconds + 1, 0, -5):
            with pytest.raises(RefusalError, match="allowed are 1 to"):
                check_lease_times(dataclasses.replace(lease(kind=kind), end=TIME + wrong), wall=TIME)


def test_skew_is_tolerated_at_the_start_and_a_lease_that_is_over_is_refused() -> None:
    check_lease_times(lease(), wall=TIME - limits.CLOCK_SKEW_SECONDS)
    with pytest.raises(RefusalError, match="in the future") as caught:
        check_lease_times(lease(), wall=TIME - limits.CLOCK_SKEW_SECONDS - 1)
    assert caught.value.code is RefusalCode.LEASE
    check_lease_times(lease(), wall=TIME + LEASE_SECONDS - 1)
    with pytest.raises(RefusalError, match="ended"):
        check_lease_times(lease(), wall=TIME + LEASE_SECONDS)


def test_a_refusal_is_one_printable_line_within_its_limit() -> None:
    answer = RefusalError(RefusalCode.BUSY, "two\nlines " + "x" * 1000).answer()
    assert answer.code == RefusalCode.BUSY
    assert answer.reason.startswith("two lines x")
    assert len(answer.reason) == limits.TEXT_CHARS_MAX

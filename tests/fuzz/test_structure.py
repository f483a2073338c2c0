"""Structured input for the checks below the line: every value that the codec lets through is taken, or refused as said.

The volume is in the targets; here Hypothesis looks for the values at the edges, and shrinks what it finds.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.signing import BadSignatureError
from p2pnode.coding import BadShardCountError, CodingError
from p2pnode.coding.metadata import check_metadata
from p2pnode.config import PUBLIC
from p2pnode.errors import IntegrityError, PeerFaultError
from p2pnode.membership.table import MemberTable
from p2pnode.protocols.certificates import check_certificate
from p2pnode.protocols.gossip import ANNOUNCEMENTS, MEMBERS, GossipGate
from p2pnode.protocols.leases import check_lease_times, check_page
from p2pnode.protocols.manifest import Manifest, manifest_from_bytes, manifest_to_bytes
from p2pnode.protocols.members import check_member_record, members_page
from p2pnode.protocols.receipts import check_receipt, pairs_of, receipt_for
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.store import check_commit, check_store_pair
from p2pnode.seams import Verdict
from tests.factories import NETWORK, TIME, blob_id, key, peer_id
from tests.wire.strategies import values_of
from wire import limits
from wire.codec import encode
from wire.errors import WireError
from wire.ids import ShardIndex
from wire.messages import CommitLease, StorePair
from wire.records import (
    AnnouncementBatch,
    Certificate,
    Envelope,
    GroupPage,
    HolderReceipts,
    Lease,
    LeaseScope,
    MemberRecord,
    MetadataRecord,
    Receipt,
)
from wire.signed import SignedRecord, sign_record

EXAMPLES = 20

KEYS = st.integers(1, 4).map(key)


def signed(kind: type[SignedRecord]) -> st.SearchStrategy[Envelope]:
    """Return a strategy for records of one kind that somebody signed."""
    return st.builds(
        lambda record, signer: sign_record(record, key=signer, network=NETWORK).envelope, values_of(kind), KEYS
    )


@settings(max_examples=EXAMPLES)
@given(values_of(Lease), st.floats(0, 2.0**64))
def test_the_times_of_any_lease_are_right_or_refused(lease: object, wall: float) -> None:
    assert isinstance(lease, Lease)
    with suppress(RefusalError):
        check_lease_times(lease, wall=wall)
        assert lease.start < lease.end <= lease.start + limits.LEASE_SECONDS_MAX
        assert lease.start - limits.CLOCK_SKEW_SECONDS <= wall < lease.end


@settings(max_examples=EXAMPLES)
@given(values_of(Lease), values_of(GroupPage))
def test_no_page_is_under_a_lease_that_it_does_not_lead_to(lease: object, page: object) -> None:
    assert isinstance(lease, Lease)
    assert isinstance(page, GroupPage)
    with suppress(RefusalError):
        check_page(lease, page)
        assert lease.scope == LeaseScope.BLOB
        assert lease.blob_count == len(page.blob_ids) == 1, "random paths lead nowhere"
        assert bytes(lease.target) == bytes(page.blob_ids[0])


@settings(max_examples=EXAMPLES)
@given(values_of(GroupPage), values_of(HolderReceipts))
def test_any_shard_sets_name_each_pair_once_or_are_refused(page: object, holder: object) -> None:
    assert isinstance(page, GroupPage)
    assert isinstance(holder, HolderReceipts)
    with suppress(WireError, KeyError):
        pairs = list(pairs_of(page, holder.shard_sets))
        assert len(set(pairs)) == len(pairs) or len(set(page.blob_ids)) < len(page.blob_ids)
        receipt = receipt_for(page, holder, *pairs[-1])
        assert (receipt.blob_id, receipt.shard) == pairs[-1]
        receipt_for(page, holder, blob_id(77), ShardIndex(0))


@settings(max_examples=EXAMPLES)
@given(values_of(CommitLease), signed(Lease))
def test_any_commit_is_taken_or_refused(request: object, lease: Envelope) -> None:
    assert isinstance(request, CommitLease)
    for each in (request, CommitLease(lease=lease, page=request.page, shard_sets=request.shard_sets)):
        with suppress(RefusalError):
            check_commit(each, network=NETWORK, wall=TIME)


@settings(max_examples=EXAMPLES)
@given(values_of(StorePair), st.lists(signed(Lease), min_size=1, max_size=2), st.binary(max_size=300))
def test_any_pair_is_taken_or_refused(request: object, leases: list[Envelope], payload: bytes) -> None:
    assert isinstance(request, StorePair)
    whole = StorePair(
        leases=tuple(leases),
        metadata=request.metadata,
        blob_id=request.blob_id,
        shard=request.shard,
        primary_bytes=request.primary_bytes,
        secondary_bytes=request.secondary_bytes,
    )
    with pytest.raises(RefusalError):
        check_store_pair(whole, payload, network=NETWORK, wall=TIME)


@settings(max_examples=EXAMPLES)
@given(signed(Certificate) | signed(Lease))
def test_no_random_certificate_counts(envelope: Envelope) -> None:
    with pytest.raises(PeerFaultError):
        check_certificate(envelope, network=NETWORK)


@settings(max_examples=EXAMPLES)
@given(values_of(Receipt))
def test_no_random_receipt_counts(receipt: object) -> None:
    assert isinstance(receipt, Receipt)
    with pytest.raises(PeerFaultError):
        check_receipt(receipt, network=NETWORK)


@settings(max_examples=EXAMPLES)
@given(st.lists(signed(MemberRecord), max_size=6), st.floats(0, 2.0**64))
def test_any_signed_member_records_fit_a_table_and_an_answer(envelopes: list[Envelope], wall: float) -> None:
    table = MemberTable(peer_id(9), PUBLIC, started_at=0.0)
    for envelope in envelopes:
        signed_record = check_member_record(envelope, network=NETWORK)
        table.consider(signed_record, now=1.0, wall=wall)
    rows = [(each, member.signed.envelope) for each, member in table.members()]
    page = members_page(rows, after=None)
    assert len(encode(page)) <= limits.MESSAGE_BYTES_MAX
    assert len(page.records) == len(table)


@settings(max_examples=EXAMPLES)
@given(signed(MemberRecord) | signed(AnnouncementBatch) | values_of(Envelope), st.floats(0, 2.0**64))
def test_the_gate_of_gossip_accepts_only_what_it_can_show(envelope: object, wall: float) -> None:
    for gate in (GossipGate(MEMBERS, network=NETWORK), GossipGate(ANNOUNCEMENTS, network=NETWORK)):
        checked = gate.check(encode(envelope), now=0.0, wall=wall)
        assert (checked.verdict is Verdict.ACCEPT) == (checked.signed is not None) == (len(gate) == 1)


@settings(max_examples=EXAMPLES)
@given(values_of(MetadataRecord))
def test_metadata_of_another_blob_is_refused(record: object) -> None:
    assert isinstance(record, MetadataRecord)
    with pytest.raises((CodingError, BadShardCountError)):
        check_metadata(blob_id(1), n=record.n, length=record.length, pair_hashes=record.pair_hashes)


@settings(max_examples=EXAMPLES)
@given(values_of(Manifest))
def test_a_manifest_comes_back_unless_it_contradicts_itself(manifest: object) -> None:
    assert isinstance(manifest, Manifest)
    data = manifest_to_bytes(manifest)
    is_sound = manifest.file_bytes == sum(entry.file_bytes for entry in manifest.entries)
    if is_sound:
        assert manifest_from_bytes(data, blob_id(1)) == manifest
    else:
        with pytest.raises(IntegrityError):
            manifest_from_bytes(data, blob_id(1))


@settings(max_examples=EXAMPLES)
@given(values_of(Envelope))
def test_no_random_envelope_opens(envelope: object) -> None:
    assert isinstance(envelope, Envelope)
    with pytest.raises((WireError, BadSignatureError)):
        check_member_record(envelope, network=NETWORK)

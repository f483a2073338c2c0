"""The largest honest messages fit into their limits, and where not all fit, the limit's text says so."""

from __future__ import annotations

from dataclasses import replace

from crypto.merkle import MerkleTree
from crypto.work import WORK_BYTES
from tests import factories
from wire import limits
from wire.codec import encode
from wire.ids import ShardIndex
from wire.messages import BlobRecord, Certify, CommitLease, Members
from wire.records import AnnouncementBatch, Certificate, Envelope, GroupPage, HolderReceipts, ShardSet

BLOB = factories.blob_id()
KEY = factories.public_key()
PEER = factories.peer_id()
DIGEST = factories.digest()


def largest_lease() -> Envelope:
    """Return a renewal that names a thousand holders."""
    lease = replace(
        factories.file_lease([BLOB]),
        blob_count=limits.GROUP_BLOBS_MAX,
        n=limits.SHARDS_MAX,
        sequence=limits.UINT64_MAX,
        renewers=(KEY,) * limits.RENEWERS_MAX,
        holders=(PEER,) * limits.SHARDS_MAX,
    )
    return factories.signed(lease, factories.owner_key()).envelope


def full_page() -> GroupPage:
    """Return a page of a file as long as a lease covers."""
    pages = limits.GROUP_BLOBS_MAX // limits.GROUP_PAGE_BLOBS_MAX
    return GroupPage(
        page_index=pages - 1,
        blob_ids=(BLOB,) * limits.GROUP_PAGE_BLOBS_MAX,
        path=(DIGEST,) * (limits.PATH_NODES_MAX - limits.GROUP_PAGE_HEIGHT),
    )


def largest_certificate() -> Envelope:
    """Return the certificate page of a thousand holders with one shard of 256 blobs each."""
    batch = replace(
        factories.signed_batch(factories.signed_lease(), [(BLOB, ShardIndex(0))]).record,
        sequence=limits.UINT64_MAX,
        count=limits.RECEIPT_BATCH_MAX,
        time=limits.UINT64_MAX,
        lease_end=limits.UINT64_MAX,
    )
    full = ShardSet(shard=limits.SHARDS_MAX - 1, blobs=bytes(limits.GROUP_PAGE_BLOBS_MAX // 8))
    holder = HolderReceipts(batch=factories.signed(batch, factories.key()).envelope, shard_sets=(full,))
    certificate = Certificate(lease=largest_lease(), page=full_page(), holders=(holder,) * limits.SHARDS_MAX)
    return factories.signed(certificate, factories.owner_key()).envelope


def test_the_largest_certificate_page_fits_into_a_record_and_a_message() -> None:
    envelope = largest_certificate()
    assert len(envelope.body) == 298_651 < limits.RECORD_BYTES_MAX
    assert len(encode(Certify(certificate=envelope))) < limits.MESSAGE_BYTES_MAX


def test_three_of_the_largest_certificates_fit_beside_the_metadata_but_not_all_that_may_be_sent() -> None:
    envelope = largest_certificate()

    def size(count: int) -> int:
        shards = tuple(range(limits.SHARDS_MAX))
        metadata = factories.metadata_record(n=limits.SHARDS_MAX, length=limits.BLOB_BYTES_MAX)
        record = BlobRecord(
            metadata=metadata, shards_held=shards, certificates=(envelope,) * count, holders=(), retractions=()
        )
        return len(encode(record))

    assert size(1) < size(3) < limits.MESSAGE_BYTES_MAX < size(limits.CERTIFICATES_PER_MESSAGE_MAX)


def test_a_certificate_of_the_longest_record_still_fits_beside_the_metadata() -> None:
    full = replace(factories.envelope(), body=bytes(limits.RECORD_BYTES_MAX))
    metadata = factories.metadata_record(n=limits.SHARDS_MAX)
    record = replace(factories.blob_record(), metadata=metadata, certificates=(full,))
    record = replace(record, shards_held=tuple(range(limits.SHARDS_MAX)))
    assert len(encode(record)) < limits.MESSAGE_BYTES_MAX


def test_the_largest_requests_to_store_and_to_commit_fit_into_a_message() -> None:
    full = ShardSet(shard=limits.SHARDS_MAX - 1, blobs=bytes(limits.GROUP_PAGE_BLOBS_MAX // 8))
    commit = CommitLease(lease=largest_lease(), page=full_page(), shard_sets=(full,) * limits.SHARD_SETS_MAX)
    store = replace(
        factories.store_pair(n=limits.SHARDS_MAX), leases=(largest_lease(),) * limits.LEASES_PER_MESSAGE_MAX
    )
    assert len(encode(commit)) < limits.MESSAGE_BYTES_MAX
    assert len(encode(store)) < limits.MESSAGE_BYTES_MAX


def test_a_full_answer_of_ordinary_members_fits_into_a_message() -> None:
    addresses = ("/ip4/192.168.100.200/tcp/40001", "/ip6/2001:db8:85a3:1111:2222:8a2e:370:7334/tcp/40001")
    record = factories.signed(replace(factories.member_record(), addresses=addresses), factories.key())
    full = Members(records=(record.envelope,) * limits.MEMBERS_PER_MESSAGE_MAX, has_more=True)
    assert len(encode(full)) < limits.MESSAGE_BYTES_MAX / 2


def test_the_largest_gossip_fits_into_a_gossiped_message() -> None:
    announcement = replace(factories.announcement(), lease_end=limits.UINT64_MAX)
    batch = AnnouncementBatch(
        sequence=limits.UINT64_MAX,
        time=limits.UINT64_MAX,
        announcements=(announcement,) * limits.ANNOUNCEMENTS_MAX,
    )
    longest = "\U0001f600" * limits.ADDRESS_CHARS_MAX
    member = replace(
        factories.member_record(), addresses=(longest,) * limits.ADDRESSES_MAX, software=longest, work=bytes(WORK_BYTES)
    )
    for record in (batch, member):
        assert len(encode(factories.signed(record, factories.key()).envelope)) < limits.GOSSIP_BYTES_MAX


def test_the_longest_sliver_of_any_n_is_within_sliver_bytes_max() -> None:
    longest = {}
    for n in range(limits.SHARDS_MIN, limits.SHARDS_MAX + 1):
        rows, columns = n - 2 * ((n - 1) // 3), n - (n - 1) // 3
        blob_bytes = min(limits.BLOB_BYTES_MAX, rows * columns * limits.SYMBOL_BYTES_MAX)
        symbol_bytes = -(-blob_bytes // (rows * columns))
        longest[n] = columns * (symbol_bytes + symbol_bytes % 2)
    assert longest[10] == 458_738
    assert max(longest.values()) == longest[32] == 1_398_144 < limits.SLIVER_BYTES_MAX


def test_joint_proof_nodes_max_is_what_symbols_need_that_are_far_apart() -> None:
    tree = MerkleTree.from_hashes([bytes(32)] * limits.SHARDS_MAX)
    indices = range(0, limits.SHARDS_MAX, 1 << 8)
    assert len(indices) == limits.CHALLENGE_SYMBOLS_MAX
    assert len(tree.prove_leaves(indices).siblings) == limits.JOINT_PROOF_NODES_MAX

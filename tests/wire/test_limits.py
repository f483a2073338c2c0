"""Every limit by its name: what is at the limit passes, one beyond is refused, with the codec of both sides."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import msgpack
import pytest

from tests import factories
from tests.wire.strategies import KINDS
from tests.wire.test_golden import GOLDEN
from wire import (
    audit_receipts,
    challenges,
    codec,
    commitments,
    evidence,
    inconsistency,
    invitations,
    limits,
    messages,
    protocol_ids,
    repair,
)
from wire.codec import Nested, decode, encode, to_plain, wire_type
from wire.errors import WireError
from wire.framing import message_bytes, pieces
from wire.messages import BlobRecord, CommitLease, Members, NoRecord, SliverData, Stored, StorePair
from wire.ownership import Catalogue, OwnedRecord
from wire.protocol_ids import NetworkNames
from wire.records import (
    AnnouncementBatch,
    Certificate,
    Envelope,
    GroupPage,
    HolderReceipts,
    HolderRecord,
    Lease,
    MemberRecord,
    MetadataRecord,
    Receipt,
    ReceiptBatch,
    RecordBundle,
    Retraction,
    ShardSet,
)
from wire.shapes import ListOf

ROOT = Path(__file__).parents[2]

ENVELOPE = factories.envelope()
ANNOUNCEMENT = factories.announcement()
BLOB = factories.blob_id()
KEY = factories.public_key()
PEER = factories.peer_id()
DIGEST = factories.digest()
INVITED = invitations.InvitedMember(key=KEY, addresses=(b"/dns4/a/tcp/1",))
SET = ShardSet(shard=0, blobs=b"\x01")
PAGE_STATE = messages.PageState(page=DIGEST, state=bytes(8))
HOLDER = HolderReceipts(batch=ENVELOPE, shard_sets=(SET,))

EVIDENCE = evidence.Evidence(kind=evidence.EvidenceKind.FALSE_PROOF, statements=(ENVELOPE,))
CONTRADICTING = inconsistency.ContradictingSymbol(source=0, path=(DIGEST,))
WANTED = repair.WantedSymbol(blob=0, axis=0, index=0)
RECOVERED = repair.RecoveredSymbol(wanted=0, path=(DIGEST,))
ENTRY = commitments.CommittedEntry(blob_id=BLOB, shard=0, pair_bytes=1, lease_end=0, index=0, path=())

HOLDER_RECORD = HolderRecord(lease=ENVELOPE, page=GroupPage(page_index=0, blob_ids=(BLOB,), path=()), holder=HOLDER)


def number(count: int) -> object:
    """Return a number as a field's value."""
    return count


def raw(count: int) -> object:
    """Return so many bytes."""
    return bytes(count)


def text(count: int) -> object:
    """Return so many characters."""
    return "x" * count


def many(item: object) -> Callable[[int], object]:
    """Return what makes so many of one item."""
    return lambda count: (item,) * count


@dataclass(frozen=True)
class Case:
    """One field of one type that a limit holds for; `offset` is the distance of the field's own limit from it."""

    limit: str
    kind: type[object]
    field: str
    make: Callable[[int], object] = number
    offset: int = 0
    is_lower: bool = False

    @property
    def name(self) -> str:
        """What a failing test is called."""
        return f"{self.limit} {self.kind.__name__}.{self.field}"

    @property
    def at(self) -> int:
        """The value at the limit."""
        value = getattr(limits, self.limit)
        assert isinstance(value, int)
        return value + self.offset


CASES = (
    Case("SHARDS_MIN", MetadataRecord, "n", is_lower=True),
    Case("SHARDS_MIN", Lease, "n", is_lower=True),
    Case("SHARDS_MAX", MetadataRecord, "n"),
    Case("SHARDS_MAX", MetadataRecord, "pair_hashes", lambda count: bytes(64 * count)),
    Case("SHARDS_MAX", Lease, "n"),
    Case("SHARDS_MAX", Lease, "holders", many(PEER)),
    Case("SHARDS_MAX", Certificate, "holders", many(HOLDER)),
    Case("SHARDS_MAX", Receipt, "shard", offset=-1),
    Case("SHARDS_MAX", Retraction, "shard", offset=-1),
    Case("SHARDS_MAX", ShardSet, "shard", offset=-1),
    Case("SHARDS_MAX", StorePair, "shard", offset=-1),
    Case("SHARDS_MAX", messages.GetSliver, "index", offset=-1),
    Case("SHARDS_MAX", BlobRecord, "shards_held", many(0)),
    Case("BLOB_BYTES_MAX", MetadataRecord, "length"),
    Case("SLIVER_BYTES_MAX", StorePair, "primary_bytes"),
    Case("SLIVER_BYTES_MAX", StorePair, "secondary_bytes"),
    Case("SLIVER_BYTES_MAX", SliverData, "sliver_bytes"),
    Case("RECORD_BYTES_MAX", Envelope, "body", raw),
    Case("ADDRESSES_MAX", MemberRecord, "addresses", many("/ip4/127.0.0.1")),
    Case("ADDRESS_CHARS_MAX", MemberRecord, "addresses", lambda count: ("x" * count,)),
    Case("DOMAIN_TAG_CHARS_MAX", MemberRecord, "domain_tag", text),
    Case("TEXT_CHARS_MAX", MemberRecord, "software", text),
    Case("TEXT_CHARS_MAX", messages.Refused, "reason", text),
    Case("TEXT_CHARS_MAX", protocol_ids.SharedParameters, "shard_count_rule", text),
    Case("MEMBERS_PER_MESSAGE_MAX", Members, "records", many(ENVELOPE)),
    Case("GROUP_PAGE_BLOBS_MAX", GroupPage, "blob_ids", many(BLOB)),
    Case("GROUP_PAGE_BLOBS_MAX", ShardSet, "blobs", lambda count: bytes((count + 7) // 8)),
    Case("GROUP_PAGE_HEIGHT", GroupPage, "blob_ids", lambda height: (BLOB,) * (1 << height)),
    Case("GROUP_BLOBS_MAX", Lease, "blob_count"),
    Case("GROUP_BLOBS_MAX", GroupPage, "page_index", lambda count: count // 256 - 1),
    Case("PATH_NODES_MAX", GroupPage, "path", many(DIGEST)),
    Case("PATH_NODES_MAX", Receipt, "path", many(DIGEST)),
    Case("RECEIPT_BATCH_MAX", ReceiptBatch, "count"),
    Case("RECEIPT_BATCH_MAX", Receipt, "index", offset=-1),
    Case("SHARD_SETS_MAX", HolderReceipts, "shard_sets", many(SET)),
    Case("SHARD_SETS_MAX", CommitLease, "shard_sets", many(SET)),
    Case("ANNOUNCEMENTS_MAX", AnnouncementBatch, "announcements", many(ANNOUNCEMENT)),
    Case("SHARDS_MIN", challenges.StorageProof, "n", is_lower=True),
    Case("SHARDS_MAX", challenges.StorageProof, "n"),
    Case("SHARDS_MAX", challenges.StorageProof, "shard", offset=-1),
    Case("BLOB_BYTES_MAX", challenges.StorageProof, "length"),
    Case("JOINT_PROOF_NODES_MAX", challenges.StorageProof, "pair_proof", many(DIGEST)),
    Case("JOINT_PROOF_NODES_MAX", challenges.StorageProof, "symbol_proof", many(DIGEST)),
    Case("SYMBOL_BYTES_MAX", challenges.StorageProof, "symbols", lambda count: (bytes(count),)),
    Case("CHALLENGE_SYMBOLS_MAX", challenges.StorageProof, "symbols", many(bytes(2))),
    Case("NEIGHBOURS_MAX", commitments.CommittedBucket, "entries", many(ENTRY)),
    Case("PATH_NODES_MAX", commitments.CommittedBucket, "path", many(DIGEST)),
    Case("PATH_NODES_MAX", commitments.CommittedEntry, "path", many(DIGEST)),
    Case("PATH_NODES_MAX", commitments.Reveal, "path", many(DIGEST)),
    Case("SHARDS_MAX", commitments.CommittedEntry, "shard", offset=-1),
    Case("EVIDENCE_STATEMENTS_MAX", evidence.Evidence, "statements", many(ENVELOPE)),
    Case("EVIDENCE_KEPT_MAX", evidence.ListEvidence, "known", many(DIGEST)),
    Case("EVIDENCE_PER_MESSAGE_MAX", evidence.EvidenceList, "evidence", many(EVIDENCE)),
    Case("SHARDS_MAX", evidence.TellVerdict, "shard", offset=-1),
    Case("SHARDS_MAX", audit_receipts.AuditedPair, "shard", offset=-1),
    Case("AUDITS_PER_RECEIPT_MAX", audit_receipts.AuditReceipt, "audits", many(factories.audited_pair())),
    Case("SHARDS_MAX", inconsistency.ContradictingSymbol, "source", offset=-1),
    Case("PATH_NODES_MAX", inconsistency.ContradictingSymbol, "path", many(DIGEST)),
    Case("SHARDS_MAX", inconsistency.InconsistentBlob, "index", offset=-1),
    Case("SHARDS_MAX", inconsistency.InconsistentBlob, "symbols", many(CONTRADICTING)),
    Case("SLIVER_BYTES_MAX", inconsistency.InconsistentBlob, "symbols_bytes"),
    Case("LEASES_PER_MESSAGE_MAX", StorePair, "leases", many(ENVELOPE)),
    Case("LEASES_PER_MESSAGE_MAX", Stored, "batches", many(ENVELOPE)),
    Case("CERTIFICATES_PER_MESSAGE_MAX", BlobRecord, "certificates", many(ENVELOPE)),
    Case("CERTIFICATES_PER_MESSAGE_MAX", RecordBundle, "certificates", many(ENVELOPE)),
    Case("HOLDER_RECORDS_PER_MESSAGE_MAX", RecordBundle, "holders", many(HOLDER_RECORD)),
    Case("HOLDER_RECORDS_PER_MESSAGE_MAX", BlobRecord, "holders", many(HOLDER_RECORD)),
    Case("RETRACTIONS_PER_MESSAGE_MAX", RecordBundle, "retractions", many(ENVELOPE)),
    Case("RETRACTIONS_PER_MESSAGE_MAX", BlobRecord, "retractions", many(ENVELOPE)),
    Case("PAGE_RECORDS_MAX", messages.ExchangePage, "has", many(DIGEST)),
    Case("PAGE_RECORDS_MAX", messages.PageExchanged, "wants", many(DIGEST)),
    Case("PAGES_PER_MESSAGE_MAX", messages.Pages, "pages", many(PAGE_STATE)),
    Case("SHARDS_MAX", repair.RepairIntent, "shard", offset=-1),
    Case("SHARDS_MAX", repair.TellLoss, "shard", offset=-1),
    Case("SHARDS_MAX", repair.TakeOver, "shard", offset=-1),
    Case("SHARDS_MAX", repair.WantedSymbol, "index", offset=-1),
    Case("REPAIR_BLOBS_MAX", repair.RepairIntent, "blob_ids", many(BLOB)),
    Case("REPAIR_BLOBS_MAX", repair.TellLoss, "blob_ids", many(BLOB)),
    Case("REPAIR_BLOBS_MAX", repair.TakeOver, "blob_ids", many(BLOB)),
    Case("REPAIR_BLOBS_MAX", repair.WantedSymbol, "blob", offset=-1),
    Case("REPAIR_BLOBS_MAX", repair.RecoverSymbols, "retractions", many(ENVELOPE)),
    Case("RECOVERY_SYMBOLS_MAX", repair.RecoverSymbols, "wanted", many(WANTED)),
    Case("RECOVERY_SYMBOLS_MAX", repair.RecoveredSymbols, "symbols", many(RECOVERED)),
    Case("RECOVERY_SYMBOLS_MAX", repair.RecoveredSymbol, "wanted", offset=-1),
    Case("RECOVERY_BYTES_MAX", repair.RecoveredSymbols, "symbols_bytes"),
    Case("PATH_NODES_MAX", repair.RecoveredSymbol, "path", many(DIGEST)),
    Case("RENEWERS_MAX", Lease, "renewers", many(KEY)),
    Case("RENEWERS_MAX", OwnedRecord, "renewers", many(KEY)),
    Case("OWNED_RECORDS_MAX", Catalogue, "records", many(ENVELOPE)),
    Case("FILE_BYTES_MAX", OwnedRecord, "size"),
    Case("TEXT_CHARS_MAX", OwnedRecord, "name", text),
    Case("NETWORK_NAME_CHARS_MAX", invitations.Invitation, "network", text),
    Case("TEXT_CHARS_MAX", invitations.Invitation, "profile", text),
    Case("INVITED_MEMBERS_MAX", invitations.Invitation, "members", many(INVITED)),
    Case("INVITED_ADDRESSES_MAX", invitations.InvitedMember, "addresses", many(b"/dns4/a/tcp/1")),
    Case("ADDRESS_CHARS_MAX", invitations.InvitedMember, "addresses", lambda count: (b"/" * count,)),
    Case("DIAL_BACK_ADDRESSES_MAX", messages.DialBack, "addresses", many("/ip4/127.0.0.1")),
    Case("DIAL_BACK_ADDRESSES_MAX", messages.DialledBack, "outcomes", many(0)),
    Case("ADDRESS_CHARS_MAX", messages.DialBack, "addresses", lambda count: ("x" * count,)),
    Case("ADDRESS_CHARS_MAX", messages.DialledBack, "seen_at", text),
    Case("UINT64_MAX", Lease, "sequence"),
    Case("UINT64_MAX", MemberRecord, "time"),
)

ELSEWHERE = {
    "GOSSIP_BYTES_MAX": "p2pnode/network/libp2p_gossip.py",
    "MEMBERS_KEPT_MAX": "p2pnode/membership/table.py",
    "LEASE_SECONDS_MAX": "p2pnode/protocols/leases.py",
    "PROVISIONAL_SECONDS_MAX": "p2pnode/protocols/leases.py",
    "EVIDENCE_BYTES_MAX": "p2pnode/protocols/evidence.py",
    "CLOCK_SKEW_SECONDS": "p2pnode/protocols/leases.py",
    "MANIFEST_DEPTH_MAX": "p2pnode/protocols/manifest.py",
    "MANIFEST_ENTRIES_MAX": "p2pnode/protocols/manifest.py",
    "FILE_BYTES_MAX": "p2pnode/protocols/manifest.py",
}
"""Limits that no format in `wire` can hold, because they need a clock, a store or the code: who holds them. The tests
of those modules reach them."""

BELOW = {
    "PIECE_BYTES",
    "MESSAGE_BYTES_MAX",
    "LENGTH_PREFIX_BYTES",
    "NETWORK_NAME_CHARS_MAX",
    "INVITATION_BYTES_MAX",
    "INVITATION_CHARS_MAX",
    "BYTES_PER_ARRAY_MIN",
    "ARRAYS_FREE",
}
"""Limits of something else than a field; each has a test of its own in this file."""

UNITS = {"MIB"}


def base_of(kind: type[object]) -> object:
    """Return a valid value to change one field of."""
    return next(golden.value for golden in GOLDEN if type(golden.value) is kind)


def plain(value: object) -> object:
    """Return any of our values in plain form, with no check of any limit."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if type(value) in KINDS:
        return to_plain(value)
    if isinstance(value, enum.IntEnum):
        return int(value)
    return bytes(value) if isinstance(value, bytes) else value


def unchecked(kind: type[object], field: str, new: object) -> bytes:
    """Return the encoding of a valid value with one field changed to anything."""
    fields = to_plain(base_of(kind))
    position = 1 + [name for name, _ in codec.fields_of(kind)].index(field)
    item = b"".join(new) if isinstance(new, tuple) and isinstance(fields[position], bytes) else plain(new)
    packed = msgpack.packb([*fields[:position], item, *fields[position + 1 :]])
    assert isinstance(packed, bytes)
    return packed


def changed(case: Case, count: int) -> object:
    """Return a value whose field is made for this count; our own side does not check before it encodes."""
    return replace(base_of(case.kind), **{case.field: case.make(count)})  # type: ignore[type-var]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_at_the_limit_a_field_is_written_and_read(case: Case) -> None:
    value = changed(case, case.at)
    data = encode(value)
    assert data == unchecked(case.kind, case.field, case.make(case.at))
    assert decode(data, case.kind, bytes_max=len(data)) == value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_beyond_the_limit_a_field_is_neither_written_nor_read(case: Case) -> None:
    beyond = case.at - 1 if case.is_lower else case.at + 1
    if case.field == "page_index":
        beyond = case.at + limits.GROUP_PAGE_BLOBS_MAX  # One page is so many blobs.
    with pytest.raises(WireError, match=case.field):
        encode(changed(case, beyond))
    if case.limit == "UINT64_MAX":
        return  # msgpack has no number above it.
    data = unchecked(case.kind, case.field, case.make(beyond))
    with pytest.raises(WireError, match=rf"{case.field}|max_array_len"):
        decode(data, case.kind, bytes_max=len(data))


# ----------------------------------------------------------------------------- limits of other things


def test_piece_bytes_is_the_longest_piece() -> None:
    assert [len(piece) for piece in pieces(bytes(limits.PIECE_BYTES + 1))] == [limits.PIECE_BYTES, 1]


def test_message_bytes_max_and_length_prefix_bytes_bound_a_frame() -> None:
    prefix = limits.MESSAGE_BYTES_MAX.to_bytes(limits.LENGTH_PREFIX_BYTES, "big")
    assert message_bytes(prefix) == limits.MESSAGE_BYTES_MAX
    with pytest.raises(WireError, match="were announced"):
        message_bytes((limits.MESSAGE_BYTES_MAX + 1).to_bytes(limits.LENGTH_PREFIX_BYTES, "big"))
    with pytest.raises(WireError, match="a length prefix has"):
        message_bytes(prefix + b"\0")


def test_network_name_chars_max_bounds_a_network_name() -> None:
    parameters = factories.shared_parameters()
    name = "n" * limits.NETWORK_NAME_CHARS_MAX
    assert NetworkNames(name, parameters).network == name
    with pytest.raises(WireError, match="a network's name"):
        NetworkNames("n" * (limits.NETWORK_NAME_CHARS_MAX + 1), parameters)


def test_invitation_bytes_max_and_chars_max_have_room_for_the_longest_invitation() -> None:
    address = b"/" + b"x" * (limits.ADDRESS_CHARS_MAX - 1)
    member = replace(INVITED, addresses=(address,) * limits.INVITED_ADDRESSES_MAX)
    longest = invitations.Invitation(
        network="n" * limits.NETWORK_NAME_CHARS_MAX,
        profile="\N{OGHAM LETTER BEITH}" * limits.TEXT_CHARS_MAX,  # Three bytes each.
        parameter_hash=bytes(8),
        secret=None,
        members=(member,) * limits.INVITED_MEMBERS_MAX,
    )
    assert len(encode(longest)) <= limits.INVITATION_BYTES_MAX
    assert invitations.Invitation.parse(longest.text()) == longest
    too_long = invitations.PREFIX + "a" * limits.INVITATION_CHARS_MAX
    with pytest.raises(WireError, match=f"at most {limits.INVITATION_CHARS_MAX} characters"):
        invitations.Invitation.parse(too_long)


@wire_type(0x6F)
@dataclass(frozen=True, slots=True, kw_only=True)
class Swarm:
    """A type of the tests, with the shortest items that a list can have: two bytes each, and an array."""

    items: Annotated[tuple[NoRecord, ...], ListOf(Nested(NoRecord), 1000)]


def test_arrays_free_and_bytes_per_array_min_bound_the_number_of_arrays() -> None:
    def swarm(count: int) -> bytes:
        return encode(Swarm(items=(NoRecord(),) * count))

    arrays_max = {count: limits.ARRAYS_FREE + len(swarm(count)) // limits.BYTES_PER_ARRAY_MIN for count in range(100)}
    most = max(count for count in arrays_max if 2 + count <= arrays_max[count])
    assert len(decode(swarm(most), Swarm, bytes_max=1000).items) == most
    with pytest.raises(WireError, match="arrays in so few bytes"):
        decode(swarm(most + 1), Swarm, bytes_max=1000)


def test_items_of_our_lists_have_more_bytes_than_bytes_per_array_min() -> None:
    shortest = encode(ShardSet(shard=0, blobs=b"\0"))  # No other type that stands in a list is as short.
    assert len(shortest) == 6 > limits.BYTES_PER_ARRAY_MIN


# ------------------------------------------------------------------------------------- nothing is left


def test_every_limit_is_reached_by_a_test_that_names_it() -> None:
    names = {name for name in vars(limits) if name.isupper()}
    reached = {case.limit for case in CASES} | set(ELSEWHERE) | BELOW | UNITS
    assert names == reached


@pytest.mark.parametrize(("name", "module"), ELSEWHERE.items(), ids=ELSEWHERE)
def test_a_limit_that_wire_cannot_hold_is_held_where_the_table_says(name: str, module: str) -> None:
    assert name in (ROOT / module).read_text(encoding="utf-8")


def test_every_limit_gives_its_reason() -> None:
    lines = Path(limits.__file__).read_text(encoding="utf-8").splitlines()
    for index, line in enumerate(lines):
        name = line.partition(" = ")[0]
        if name.isupper() and name not in UNITS | {
            "GROUP_PAGE_BLOBS_MAX"
        }:  # The latter is explained by the line above.
            assert lines[index + 1].startswith('"""'), name


def test_limits_that_follow_from_others_agree_with_them() -> None:
    assert 1 << limits.GROUP_PAGE_HEIGHT == limits.GROUP_PAGE_BLOBS_MAX
    assert 1 << limits.PATH_NODES_MAX == limits.GROUP_BLOBS_MAX
    assert (limits.RECEIPT_BATCH_MAX - 1).bit_length() <= limits.PATH_NODES_MAX

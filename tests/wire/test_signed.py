"""Envelopes: golden signatures with a fixed key, and everything that must not open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crypto.keys import SigningKey
from crypto.signing import BadSignatureError
from tests import factories
from tests.wire.golden_audit_receipts import AUDIT_RECEIPTS
from tests.wire.golden_challenges import CHALLENGES
from tests.wire.golden_commitments import COMMITMENTS
from tests.wire.golden_evidence import EVIDENCE
from tests.wire.golden_messages import MESSAGES
from tests.wire.golden_ownership import OWNERSHIP
from tests.wire.golden_records import RECORDS
from tests.wire.golden_repair import REPAIR
from tests.wire.golden_sync import SYNC
from wire import limits, signed
from wire.audit_receipts import AuditReceipt
from wire.challenges import StorageProof
from wire.codec import encode
from wire.commitments import Commitment
from wire.errors import WireError
from wire.ids import PublicKey, Signature
from wire.ownership import CatalogueHead, OwnedRecord, Succession
from wire.records import (
    AnnouncementBatch,
    Certificate,
    Envelope,
    Lease,
    MemberRecord,
    ReceiptBatch,
    Retraction,
    Tombstone,
)
from wire.repair import RepairIntent
from wire.signed import Signed, SignedRecord, open_envelope, sign_record

KEY = SigningKey(bytes(range(32)))
PUBLIC = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
NETWORK = "golden"

KINDS: tuple[type[SignedRecord], ...] = (
    MemberRecord,
    Lease,
    ReceiptBatch,
    Retraction,
    Tombstone,
    Certificate,
    AnnouncementBatch,
    OwnedRecord,
    CatalogueHead,
    Succession,
    StorageProof,
    RepairIntent,
    Commitment,
    AuditReceipt,
)

SIGNATURES: dict[type[SignedRecord], str] = {
    MemberRecord: (
        "a94df44420109622c49174d76e70c45709879834e84d084fc616f74e924557dc"
        "914da717dcca4acc5906b32dd1b206e5f43758d92387538ab5a4d21934008a0c"
    ),
    Lease: (
        "364968c2552a841e1ecaadb8817af7f16b7e0e7c56edbd6fe979db69dce892d8"
        "75e42e75c62274e609ccf2d2812cf1a06aa3225bd30a52f5005d5b53114daf07"
    ),
    ReceiptBatch: (
        "143170cdca32a0c0fd532e01c85117ad6ad9ee8e1fa1b12455e9a77d7a319ab2"
        "88bf0c9f118267f09dbf6fbea0f65fffdcf8ee06a690361b990e7ca666a8e706"
    ),
    Retraction: (
        "7a8e29d919c8ab041f3f39e2681e08d6113322d0916f78614f4cc2c3caf01816"
        "27cc9c990a14e0f027687c5f07a4de333c74ecdf630eaebd4b9d1ffb4f53d90a"
    ),
    Tombstone: (
        "c2b3ea28719e53a19040343d0be28961b69b9ccd3448f17dbe3ed3be1e9c4ba8"
        "090ac3a87d8249450ad5282c14599e0d476608b5d4bb2ccff88a3a9464f47a08"
    ),
    Certificate: (
        "afe91c954f665372971227889e35dc9dcb839b0819f2cd38e83dae1911d6da6f"
        "94276b97b28ae765a81a369615a4fd780ad5226f6f727692e25f65c02c132e0e"
    ),
    AnnouncementBatch: (
        "fdb9593eee78092556635712b2905739db4e106e3e4b1b116fb2825149fcd485"
        "1c1e68eaa8337f546563a3f084b0b15cd57a0a5149a1f72f2982415fe5af7f0f"
    ),
    OwnedRecord: (
        "58ccd1ca0fbf1608dba5af7449cd4789ed5499ad37626b7a2107b78cf295163d"
        "f6f8822ae5d9f06baa9e965a78bc47d8d4ccae50cfbb425b7547defa521f430b"
    ),
    CatalogueHead: (
        "bdeaa78806f5b723fc43dddadae9c243cc29c50ca6a74e94e021edc3f81f31e1"
        "b74348913ed876fcd28f7fb05a3df7182fbd2f546b56784042777db8c5749d06"
    ),
    Succession: (
        "a9860161e5d510b692d604fdf3298b2d58134037839a9bc85de26c8f6de5adfd"
        "6b79f70bf3f9af1421df8d9a60882258abe249d07ff4f32b9efccce307e59f0d"
    ),
    StorageProof: (
        "ff9697b5b1fd59ded1b42c504ac7adf40debe488db2eb767f6fbd054befc40d2"
        "85aeeb9b94078be7b3539cda16f699a86b907bdaff1a34a19574c70448831904"
    ),
    RepairIntent: (
        "9bbe0c6985284b6f5ac00c1827814b078cf139f4b1e6407a7491aaf76f36cd55"
        "ab92fea74a72e34ab1dfbc4344887b0faee79c4ef8491af2a817f96a57b46503"
    ),
    Commitment: (
        "6b508070bca60d2235c40d55df1efed092b40008e8d4063a29c3c9df3d89df2f"
        "832686b66b4a7ef23d9a649e72dce473311557ffa7d039708f4159c839c6b80a"
    ),
    AuditReceipt: (
        "c71ebaf54408f7f2ffe601445517e359a09d435fab9f2e715fb61d63b8102fe8"
        "d4c9c486f5a5b70783115f775aa55516aa4c30b5f3c5a482a072bcf3328a7205"
    ),
}
"""Of the first golden value of each kind. Ed25519 is deterministic, so a change of a domain tag, of the network or of a
version shows here; so would a change of the record's bytes."""

DIGESTS: dict[type[SignedRecord], str] = {
    MemberRecord: "ee0737c50af2079f483f5a973064f237ef2dd767b2ea1336b82c4caff06ab57e",
    Lease: "52a400f3a142d48cbbd8035ca6b533019df24dbfdea1827a700abc4a63c34ef2",
    ReceiptBatch: "2561ff68d66330796a0600d20d66d0623d928eb75de1ab322408025181b88e0e",
    Retraction: "2516f35d88e903b39e763a24dea0d83751130dac359961d16fd3370e90fd92d5",
    Tombstone: "bc3cf2f05ab75e80b4edb961cc178d6c2b82e2d31d86db68adca7c787f5b8c95",
    Certificate: "5c6a5b438dee40de959a788bf56520f64a2d87515bfeed368b3f63a57b33d491",
    AnnouncementBatch: "e1d0aabbe512b4923917b50d48aaf8fbdfc39b37783d06211b840e076c2668a9",
    OwnedRecord: "0127e4fc52f99e8991732e757f84e2bf53120fd6c3adf389e828d437d9ec1f33",
    CatalogueHead: "fc2a6ec65a84a1db8c791e9eb9b280e52bf055fd002923eacd23b7818f821721",
    Succession: "6e7b2f8f84c195f4fff7cc1e5045b140bac90d0bb6079b18062139d7e292c043",
    StorageProof: "17d62fc62a8fde5589c37de6411c2c645e3aab025624ad65a9e5b2054d28e94e",
    RepairIntent: "b41c2876c870fea9cef8d8003c9b9d0666235996cd159e000e71c2f29c180bea",
    Commitment: "0edf943a5e341623555edd4377c093ede64c5ac596c645f5306c4dede05cc0c0",
    AuditReceipt: "810eb929c47b4d2922330163ee53660b0572f6fd2eefba62ebf2815f784e765b",
}
"""`Signed.digest` of the same."""


def example(kind: type[SignedRecord]) -> SignedRecord:
    """Return the first golden value of one kind."""
    everything = RECORDS + OWNERSHIP + CHALLENGES + COMMITMENTS + AUDIT_RECEIPTS + REPAIR
    value = next(golden.value for golden in everything if type(golden.value) is kind)
    assert isinstance(value, SignedRecord)
    return value


every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@pytest.fixture
def member() -> Signed[MemberRecord]:
    """A signed record to damage."""
    return sign_record(factories.member_record(), key=KEY, network=NETWORK)


# -------------------------------------------------------------------------------------------- golden


@every_kind
def test_a_record_has_its_golden_signature(kind: type[SignedRecord]) -> None:
    made = sign_record(example(kind), key=KEY, network=NETWORK)
    assert made.envelope.signer.hex() == PUBLIC
    assert made.envelope.body == encode(example(kind))
    assert made.envelope.signature.hex() == SIGNATURES[kind]


@every_kind
def test_a_record_with_its_golden_signature_opens(kind: type[SignedRecord]) -> None:
    envelope = Envelope(
        body=encode(example(kind)),
        signer=PublicKey(bytes.fromhex(PUBLIC)),
        signature=Signature(bytes.fromhex(SIGNATURES[kind])),
    )
    opened = open_envelope(envelope, kind, network=NETWORK)
    assert opened.record == example(kind)
    assert opened.envelope is envelope


@every_kind
def test_a_signed_record_has_its_golden_digest(kind: type[SignedRecord]) -> None:
    assert sign_record(example(kind), key=KEY, network=NETWORK).digest.hex() == DIGESTS[kind]


def test_every_signed_kind_has_a_domain_of_its_own() -> None:
    assert set(signed._DOMAIN_TAGS) == set(KINDS)
    assert len(set(signed._DOMAIN_TAGS.values())) == len(KINDS)


# -------------------------------------------------------------------------------------------- opening


def test_what_was_signed_opens_to_the_same_record_signer_and_digest(member: Signed[MemberRecord]) -> None:
    opened = open_envelope(member.envelope, MemberRecord, network=NETWORK)
    assert opened == member
    assert opened.signer == KEY.public
    assert opened.signer_peer == bytes.fromhex("002408011220" + PUBLIC)
    assert opened.digest == member.digest


@every_kind
def test_a_record_of_another_network_does_not_open(kind: type[SignedRecord]) -> None:
    made = sign_record(example(kind), key=KEY, network=NETWORK)
    for other in ("golde", "golden2", "Golden", ""):
        with pytest.raises(BadSignatureError):
            open_envelope(made.envelope, kind, network=other)


@every_kind
def test_a_record_opens_as_its_own_kind_only(kind: type[SignedRecord]) -> None:
    made = sign_record(example(kind), key=KEY, network=NETWORK)
    for other in KINDS:
        if other is not kind:
            with pytest.raises(WireError, match="unknown tag"):
                open_envelope(made.envelope, other, network=NETWORK)


@pytest.mark.parametrize("byte", range(0, 64, 7))
def test_a_forged_signature_does_not_open(member: Signed[MemberRecord], byte: int) -> None:
    damaged = bytearray(member.envelope.signature)
    damaged[byte] ^= 1
    forged = replace(member.envelope, signature=Signature(bytes(damaged)))
    with pytest.raises(BadSignatureError, match="bad signature on a member record of network 'golden'"):
        open_envelope(forged, MemberRecord, network=NETWORK)


def test_a_record_under_another_name_does_not_open(member: Signed[MemberRecord]) -> None:
    stolen = replace(member.envelope, signer=factories.public_key())
    with pytest.raises(BadSignatureError):
        open_envelope(stolen, MemberRecord, network=NETWORK)


def test_a_changed_body_does_not_open(member: Signed[MemberRecord]) -> None:
    changed = replace(member.envelope, body=encode(replace(member.record, free_bytes=0)))
    with pytest.raises(BadSignatureError):
        open_envelope(changed, MemberRecord, network=NETWORK)


@pytest.mark.parametrize("tail", [b"\0", b"\xc0"])
def test_a_body_that_is_no_canonical_record_does_not_open_whoever_signed_it(
    member: Signed[MemberRecord], tail: bytes
) -> None:
    longer = replace(member.envelope, body=member.envelope.body + tail)
    with pytest.raises(WireError):
        open_envelope(longer, MemberRecord, network=NETWORK)


def test_the_digest_names_body_and_signer_but_not_the_signature(member: Signed[MemberRecord]) -> None:
    other_signer = sign_record(member.record, key=factories.key(), network=NETWORK)
    other_body = sign_record(replace(member.record, sequence=2), key=KEY, network=NETWORK)
    other_signature = Signed(member.record, replace(member.envelope, signature=Signature(bytes(64))))
    assert len({member.digest, other_signer.digest, other_body.digest}) == 3
    assert other_signature.digest == member.digest


def test_nothing_but_a_signed_record_has_a_domain() -> None:
    everything = RECORDS + MESSAGES + SYNC + OWNERSHIP + CHALLENGES + EVIDENCE + REPAIR
    unsigned = {type(golden.value) for golden in everything} - set(KINDS)
    assert unsigned.isdisjoint(signed._DOMAIN_TAGS)


def test_a_record_above_its_limit_is_not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    record = factories.member_record()
    count = len(encode(record))
    monkeypatch.setattr(limits, "RECORD_BYTES_MAX", count)
    made = sign_record(record, key=KEY, network=NETWORK)
    assert open_envelope(made.envelope, MemberRecord, network=NETWORK) == made
    monkeypatch.setattr(limits, "RECORD_BYTES_MAX", count - 1)
    with pytest.raises(WireError, match=f"MemberRecord: {count} bytes, a record may have {count - 1}"):
        sign_record(record, key=KEY, network=NETWORK)
    with pytest.raises(WireError, match=f"may have {count - 1} bytes, got {count}"):
        open_envelope(made.envelope, MemberRecord, network=NETWORK)

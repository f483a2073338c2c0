"""Golden bytes, both ways: a value has exactly these bytes, and these bytes are exactly this value."""

from __future__ import annotations

import pytest

from tests.wire.golden import Golden, from_hex
from tests.wire.golden_audit_receipts import AUDIT_RECEIPTS
from tests.wire.golden_challenges import CHALLENGES
from tests.wire.golden_commitments import COMMITMENTS
from tests.wire.golden_evidence import EVIDENCE
from tests.wire.golden_inconsistency import INCONSISTENCY
from tests.wire.golden_messages import MESSAGES
from tests.wire.golden_ownership import OWNERSHIP
from tests.wire.golden_records import RECORDS
from tests.wire.golden_repair import REPAIR
from tests.wire.golden_sync import SYNC
from tests.wire.strategies import KINDS
from wire import limits
from wire.codec import decode, encode, tag_of

GOLDEN = (
    RECORDS
    + MESSAGES
    + SYNC
    + OWNERSHIP
    + CHALLENGES
    + COMMITMENTS
    + AUDIT_RECEIPTS
    + EVIDENCE
    + REPAIR
    + INCONSISTENCY
)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_a_value_is_written_as_its_golden_bytes(golden: Golden) -> None:
    assert encode(golden.value).hex(" ") == golden.data.hex(" ")


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_golden_bytes_are_read_as_their_value(golden: Golden) -> None:
    value = decode(golden.data, type(golden.value), bytes_max=limits.MESSAGE_BYTES_MAX)
    assert value == golden.value
    assert type(value) is type(golden.value)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_golden_bytes_are_told_apart_by_their_tag_alone(golden: Golden) -> None:
    assert decode(golden.data, *KINDS, bytes_max=limits.MESSAGE_BYTES_MAX) == golden.value


def test_every_wire_type_has_golden_bytes() -> None:
    assert {type(golden.value) for golden in GOLDEN} == set(KINDS)


def test_tags_are_distinct_and_in_their_ranges() -> None:
    tags = {kind: tag_of(kind) for kind in KINDS}
    assert len(set(tags.values())) == len(tags)
    for kind, tag in tags.items():
        parts = range(0x01, 0x10)
        expected = {
            "wire.messages": (*range(0x20, 0x40), *range(0x48, 0x59)),
            "wire.inconsistency": range(0x59, 0x60),
            "wire.ownership": range(0x60, 0x70),
            "wire.challenges": range(0x70, 0x75),
            "wire.evidence": range(0x75, 0x7A),
            "wire.commitments": range(0x7A, 0x7E),
            "wire.audit_receipts": (0x7E, 0x7F, 0x90, 0x91),
            "wire.repair": range(0x87, 0x90),
            "wire.protocol_ids": parts,
            "wire.invitations": parts,
        }
        assert tag in expected.get(kind.__module__, (*range(0x01, 0x20), 0x50, 0x51))


def test_annotated_hex_drops_comments_and_expands_repeats() -> None:
    assert from_hex("  01 # one\n\n# nothing\n c4 02ab*2 00*3") == bytes.fromhex("01c402abab000000")


def test_annotated_hex_refuses_what_is_no_hex() -> None:
    with pytest.raises(ValueError, match="non-hexadecimal"):
        from_hex("0g")

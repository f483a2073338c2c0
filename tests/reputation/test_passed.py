"""A passed audit is remembered for its very pair and signer, until the next one of it fails."""

from __future__ import annotations

import pytest

from p2pnode.reputation import passed as module
from p2pnode.reputation.passed import PassedAudits
from tests.factories import blob_id, peer_id
from wire.ids import ShardIndex

BLOB, SHARD = blob_id(1), ShardIndex(2)


def test_an_audit_counts_for_one_pair_and_one_signer() -> None:
    passed = PassedAudits()
    passed.note(BLOB, SHARD, peer_id(1), passed=True)
    passed.note(BLOB, SHARD, peer_id(2), passed=True)
    passed.note(BLOB, ShardIndex(3), peer_id(3), passed=True)
    passed.note(blob_id(2), SHARD, peer_id(4), passed=True)
    assert passed.of([BLOB, BLOB, blob_id(9)]) == {
        (BLOB, SHARD): {peer_id(1), peer_id(2)},
        (BLOB, ShardIndex(3)): {peer_id(3)},
    }


def test_a_failed_audit_takes_back_what_was_passed() -> None:
    passed = PassedAudits()
    passed.note(BLOB, SHARD, peer_id(1), passed=False)
    passed.note(BLOB, SHARD, peer_id(1), passed=True)
    passed.note(BLOB, SHARD, peer_id(1), passed=False)
    assert passed.of([BLOB]) == {(BLOB, SHARD): frozenset()}


def test_the_blob_audited_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOBS_MAX", 2)
    passed = PassedAudits()
    for number in (1, 2, 1, 3):
        passed.note(blob_id(number), SHARD, peer_id(1), passed=True)
    assert len(passed) == 2
    assert not passed.of([blob_id(2)])

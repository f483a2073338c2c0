"""What is known of peers is found again after a restart, and of anchors nothing is ever dropped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from p2pnode.membership.contact import Contact
from p2pnode.storage import members
from p2pnode.storage.files import DiskFiles
from tests import factories
from tests.storage.helpers import open_store
from wire import limits


def contact(number: int, *, seen_at: int = factories.TIME, is_anchor: bool = False) -> Contact:
    """Return a history with peer `number`."""
    return Contact(
        peer_id=factories.peer_id(number),
        met_at=factories.TIME - 1_000,
        seen_at=seen_at,
        is_anchor=is_anchor,
        addresses=("/ip4/8.8.4.4/tcp/1", factories.address(number)),
    )


async def test_histories_survive_reopening_and_the_later_one_counts(tmp_path: Path) -> None:
    target = await open_store(DiskFiles(tmp_path))
    assert await target.load_contacts() == []
    bare = dataclasses.replace(contact(3), addresses=(), audits_passed=7)
    await target.save_members([], [contact(1, is_anchor=True), contact(2), bare])
    newer = contact(1, seen_at=factories.TIME + 5)
    await target.save_members([], [newer])  # It lost its seat meanwhile.
    await target.close()
    target = await open_store(DiskFiles(tmp_path))
    kept = await target.load_contacts()
    assert {each.peer_id: each for each in kept} == {each.peer_id: each for each in (newer, contact(2), bare)}
    assert [each.peer_id for each in kept] == sorted(each.peer_id for each in kept)
    await target.close()


async def test_when_there_are_too_many_the_longest_unseen_go_and_anchors_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONTACTS_KEPT_MAX and MEMBERS_KEPT_MAX are reached; the anchor is the oldest in both."""
    monkeypatch.setattr(members, "CONTACTS_KEPT_MAX", 3)
    monkeypatch.setattr(limits, "MEMBERS_KEPT_MAX", 3)
    target = await open_store(DiskFiles(tmp_path))
    histories = [contact(number, seen_at=number, is_anchor=number == 1) for number in range(1, 6)]
    records = [factories.signed_member(number, time=factories.TIME + number).envelope for number in range(1, 6)]
    await target.save_members(records, histories)
    assert {each.peer_id for each in await target.load_contacts()} == {factories.peer_id(each) for each in (1, 4, 5)}
    assert {each.signer for each in await target.load_members()} == {factories.public_key(each) for each in (1, 4, 5)}
    await target.close()

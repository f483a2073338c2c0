"""Audit receipts are found again after a restart, with both signatures, and what was let go is gone."""

from __future__ import annotations

from pathlib import Path

from p2pnode.storage.files import DiskFiles
from tests.factories import TIME
from tests.protocols.test_audit_receipts import between
from tests.storage.helpers import open_store


async def test_receipts_survive_reopening_in_the_order_of_their_time(tmp_path: Path) -> None:
    target = await open_store(DiskFiles(tmp_path))
    assert await target.load_audit_receipts() == []
    receipts = [between(1, 2, number, time=TIME - number) for number in range(4)]
    await target.save_audit_receipts(receipts[:3], set())
    await target.save_audit_receipts(receipts[3:], {receipts[1].name, between(1, 2, 9).name})
    await target.close()
    target = await open_store(DiskFiles(tmp_path))
    assert await target.load_audit_receipts() == [receipts[3], receipts[2], receipts[0]]
    await target.close()

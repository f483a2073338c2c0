"""Evidence is found again after a restart, byte for byte, until it is let go."""

from __future__ import annotations

from pathlib import Path

from p2pnode.storage.files import DiskFiles
from tests import factories
from tests.storage.helpers import open_store
from wire.evidence import Evidence, EvidenceKind


async def test_evidence_survives_reopening_in_the_order_in_which_it_came(tmp_path: Path) -> None:
    pieces = [Evidence(kind=EvidenceKind.FALSE_PROOF, statements=(factories.envelope(),) * count) for count in (1, 2)]
    first, second = factories.digest(1), factories.digest(2)
    target = await open_store(DiskFiles(tmp_path))
    assert await target.load_evidence() == []
    await target.save_evidence(first, pieces[0], heard_at=9)
    await target.save_evidence(second, pieces[1], heard_at=5)
    await target.close()
    target = await open_store(DiskFiles(tmp_path))
    assert await target.load_evidence() == [(second, 5, pieces[1]), (first, 9, pieces[0])]
    await target.forget_evidence([second, factories.digest(3)])
    assert await target.load_evidence() == [(first, 9, pieces[0])]
    await target.close()

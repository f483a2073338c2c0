"""What our audits say of others is found again after a restart, and what is not said any more is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pnode.reputation.score import NEW, Score
from p2pnode.storage import scores as module
from p2pnode.storage.files import DiskFiles
from tests import factories
from tests.storage.helpers import open_store


async def test_scores_survive_reopening_and_the_later_ones_count(tmp_path: Path) -> None:
    target = await open_store(DiskFiles(tmp_path))
    assert await target.load_scores() == []
    bad = Score(passed=1.5, failed=48.5, streak=3)
    peers = sorted(factories.peer_id(number) for number in range(3))
    await target.save_scores([(peers[2], bad), (peers[0], NEW), (peers[1], bad)])
    await target.save_scores([(peers[2], NEW), (peers[1], bad)])
    await target.close()
    target = await open_store(DiskFiles(tmp_path))
    kept = await target.load_scores()
    assert [peer_id for peer_id, _ in kept] == peers[1:]
    assert kept[0][1] == bad
    assert kept[1][1].value == pytest.approx(NEW.value)
    await target.close()


async def test_no_more_scores_are_kept_than_there_may_be_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SCORES_MAX", 2)
    target = await open_store(DiskFiles(tmp_path))
    await target.save_scores([(factories.peer_id(number), NEW) for number in range(3)])
    assert len(await target.load_scores()) == 2
    await target.close()

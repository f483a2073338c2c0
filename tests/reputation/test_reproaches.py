"""Reproaches: one line for each peer, a bounded number, and none for ever."""

from __future__ import annotations

import pytest

from p2pnode.reputation import reproaches as module
from p2pnode.reputation.reproaches import SHOWN_S, Reproach, Reproaches
from tests import factories
from wire.evidence import Failure
from wire.ids import ShardIndex


def reproach(by: int, *, at: int = 0, failure: Failure = Failure.ABSENT) -> Reproach:
    return Reproach(by=factories.peer_id(by), failure=failure, blob_id=factories.blob_id(), shard=ShardIndex(1), at=at)


def test_each_peer_has_its_last_word() -> None:
    found = Reproaches()
    found.note(reproach(1))
    found.note(reproach(2))
    found.note(reproach(1, at=5, failure=Failure.TIMEOUT))
    assert found.lately(wall=6) == [reproach(2), reproach(1, at=5, failure=Failure.TIMEOUT)]


def test_a_reproach_is_news_for_a_day() -> None:
    found = Reproaches()
    found.note(reproach(1, at=100))
    assert found.lately(wall=99 + SHOWN_S)
    assert not found.lately(wall=100 + SHOWN_S)


def test_beyond_the_most_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPROACHES_MAX", 2)
    found = Reproaches()
    for by in (1, 2, 3):
        found.note(reproach(by))
    assert found.lately(wall=0) == [reproach(2), reproach(3)]
    assert len(found) == 2

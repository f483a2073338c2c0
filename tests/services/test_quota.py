"""Claims about the quota as its operator changes it: it holds at once, it is told, and nonsense changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from p2pnode.errors import CallerError
from p2pnode.services.events import Events
from p2pnode.services.quota import QuotaControl
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.quota import QUOTA_BYTES_LARGEST, check_quota, default_quota
from p2pnode.storage.store import SliverStore
from p2pnode.system import SystemClock, ThreadOffload

KEPT_FREE = 12_345


@asynccontextmanager
async def controlled(place: Path) -> AsyncIterator[tuple[QuotaControl, Events]]:
    clock = SystemClock()
    store = await SliverStore.open(
        DiskFiles(place), ThreadOffload(1), clock, quota_bytes=1_000_000, disk_free_min_bytes=KEPT_FREE
    )
    events = Events(clock)
    try:
        yield QuotaControl(store, events), events
    finally:
        await store.close()


async def test_a_change_holds_at_once_and_is_told_once(tmp_path: Path) -> None:
    async with controlled(tmp_path) as (quota, events):
        before = quota.state()
        assert (before.quota, before.disk_free_min) == (1_000_000, KEPT_FREE)
        changed = quota.change(2_000_000)
        assert changed == quota.state()
        assert (changed.quota, changed.room) == (2_000_000, 2_000_000 - before.used)
        quota.change(2_000_000)
        [event] = events.after(0)
        assert event.kind == "quota-changed"
        assert event.message == "the quota is 2.0 MB now, and was 1.0 MB"


async def test_below_what_is_used_there_is_no_room(tmp_path: Path) -> None:
    async with controlled(tmp_path) as (quota, _):
        assert quota.state().used > 1  # The empty store's own files.
        assert quota.change(1).room == 0


async def test_nonsense_changes_nothing_and_is_not_told(tmp_path: Path) -> None:
    async with controlled(tmp_path) as (quota, events):
        for wrong in (0, -1, QUOTA_BYTES_LARGEST + 1):
            with pytest.raises(CallerError, match="expected more than 0"):
                quota.change(wrong)
        assert quota.state().quota == 1_000_000
        assert events.after(0) == []


@pytest.mark.parametrize(
    ("free", "offered"), [(0, 0), (9_999, 999), (10**10 - 1, 10**9 - 1), (10**10, 10**9), (199 * 10**9, 19 * 10**9)]
)
def test_a_new_node_offers_a_tenth_of_what_is_free(free: int, offered: int) -> None:
    assert default_quota(free) == offered


def test_a_quota_may_take_the_whole_disk_and_not_a_byte_more() -> None:
    check_quota(1000, disk_bytes=1000)
    with pytest.raises(CallerError, match="the whole disk has only 1000"):
        check_quota(1001, disk_bytes=1000)

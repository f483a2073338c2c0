"""Claims about events: numbered, bounded, and none is missed by whoever goes on from its last number."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from p2pnode.services.events import EVENTS_KEPT_MAX, Events
from p2pnode.system import SystemClock


async def test_a_follower_gets_what_is_kept_and_what_comes_each_once() -> None:
    events = Events(SystemClock())
    events.tell("a", "first")
    events.tell("b", "second", reference="x")
    got: list[int] = []

    async def follow() -> None:
        number = 1
        while True:
            found = await events.wait_after(number)
            number = found[-1].id
            got.extend(each.id for each in found)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        assert got == [2]
        events.tell("c", "third")
        events.tell("c", "fourth")
        await wait_all_tasks_blocked()
        assert got == [2, 3, 4]
        nursery.cancel_scope.cancel()


def test_only_the_last_ones_are_kept() -> None:
    events = Events(SystemClock())
    for _ in range(EVENTS_KEPT_MAX + 5):
        events.tell("a", "again")
    kept = events.after(0)
    assert (len(kept), kept[0].id, kept[-1].id) == (EVENTS_KEPT_MAX, 6, EVENTS_KEPT_MAX + 5)


async def test_numbers_of_an_earlier_daemon_hide_no_event_of_this_one() -> None:
    events = Events(SystemClock())
    events.tell("a", "first")
    assert [each.id for each in await events.wait_after(500)] == [1]

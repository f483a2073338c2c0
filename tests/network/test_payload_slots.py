"""Memory for payloads: bounded, in order, and fair."""

# ruff: noqa: ARG001 - the clock works by being asked for.

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from p2pnode.network import limits
from p2pnode.network.payload_slots import PayloadSlots
from tests.network.pipes import PEER
from wire.ids import PEER_ID_BYTES, PeerId

OTHER = PeerId(b"\x01" * PEER_ID_BYTES)


def make_slots(monkeypatch: pytest.MonkeyPatch, bytes_max: int, *, bytes_per_peer_max: int) -> PayloadSlots:
    """Return slots with small limits."""
    monkeypatch.setattr(limits, "PAYLOAD_BYTES_IN_MEMORY_MAX", bytes_max)
    monkeypatch.setattr(limits, "PAYLOAD_BYTES_PER_PEER_MAX", bytes_per_peer_max)
    return PayloadSlots()


async def test_no_more_is_held_than_there_is_and_the_first_comes_first(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = make_slots(monkeypatch, 10, bytes_per_peer_max=100)
    order: list[int] = []

    async def take(number: int, count: int) -> None:
        async with slots.hold(PEER, count):
            assert slots.bytes_held <= 10
            order.append(number)
            await trio.sleep(1.0)

    async with trio.open_nursery() as nursery:
        for number, count in enumerate((6, 6, 10, 1)):
            nursery.start_soon(take, number, count)
            await wait_all_tasks_blocked()
    assert order == [0, 1, 2, 3]
    assert slots.bytes_held == 0


async def test_a_peer_at_its_share_does_not_hold_up_the_others(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = make_slots(monkeypatch, 10, bytes_per_peer_max=4)
    async with slots.hold(PEER, 4), trio.open_nursery() as nursery:

        async def greedy() -> None:
            with pytest.raises(trio.TooSlowError):
                async with slots.hold(PEER, 1):
                    pass

        nursery.start_soon(greedy)
        await wait_all_tasks_blocked()
        async with slots.hold(OTHER, 4):
            assert slots.bytes_held == 8
        await trio.sleep(limits.PAYLOAD_WAIT_S + 1)


async def test_whoever_is_cancelled_while_waiting_leaves_the_queue(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = make_slots(monkeypatch, 10, bytes_per_peer_max=10)
    async with slots.hold(PEER, 10):
        with trio.move_on_after(1.0):
            async with slots.hold(PEER, 10):
                raise AssertionError
    async with slots.hold(PEER, 10):
        assert slots.bytes_held == 10
    assert slots.bytes_held == 0


async def test_a_peer_that_floods_requests_works_on_as_many_as_an_honest_one(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUESTS_SERVED_PER_PEER_MAX", 3)
    slots = PayloadSlots()
    most = 0

    async def work() -> None:
        nonlocal most
        async with slots.turn(PEER):
            most = max(most, slots.requests_served)
            await trio.sleep(1.0)

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(work)
        await wait_all_tasks_blocked()
        with trio.fail_after(0.5):  # Somebody else need not wait for any of them.
            async with slots.turn(OTHER):
                assert slots.requests_served == 4
    assert most == 3
    assert slots.requests_served == 0

"""What a peer can make a yamux session do: it is slowed down or cut, and the other tasks get their turn."""

# ruff: noqa: ARG001 - the clock works by being asked for.

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from p2pnode.network import limits
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.pace import TokenBucket, Turnstile
from p2pnode.network.resources import Claim, Resource, Resources, Scope
from p2pnode.network.yamux import UNREAD_BLOCK_BYTES, YamuxSession
from p2pnode.network.yamux_frames import Flag, Header, Kind
from tests.network.lab import until
from tests.network.pipes import frame_pipes
from tests.network.test_yamux import PING_EVERY_S, Pair, running


def opening(number: int) -> bytes:
    return Header(Kind.WINDOW_UPDATE, Flag.SYN, number, 0).encode()


def resetting(number: int) -> bytes:
    return Header(Kind.WINDOW_UPDATE, Flag.RST, number, 0).encode()


def numbers(count: int) -> range:
    return range(1, 2 * count, 2)


async def test_rapid_resets_end_the_connection_and_count_as_a_breach(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        frames = [opening(number) + resetting(number) for number in numbers(limits.STREAM_RESETS_BURST)]
        await pair.pipes[0].write_frames(frames)
        await wait_all_tasks_blocked()
        assert not pair.server.is_over  # As many may be cancelled at once.
        late = 2 * limits.STREAM_RESETS_BURST + 1
        await pair.pipes[0].write_frames([opening(late) + resetting(late)])
        assert "opened and reset" in await pair.server.wait_over()
        assert pair.server.is_breach
        assert not pair.client.is_breach


async def test_cancelled_requests_at_an_honest_rate_are_no_flood(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        for number in numbers(5 * limits.STREAM_RESETS_BURST):
            await pair.pipes[0].write_frames([opening(number) + resetting(number)])
            await trio.sleep(1.01 / limits.STREAM_RESETS_PER_S)
        assert not pair.server.is_over


async def test_a_peer_that_opens_streams_at_line_rate_is_read_no_faster_than_it_may(autojump_clock: MockClock) -> None:
    pair = Pair()
    opened = limits.STREAM_OPENS_BURST + 10 * int(limits.STREAM_OPENS_PER_S)
    async with running(pair):
        started = trio.current_time()
        await pair.pipes[0].write_frames([opening(number) for number in numbers(opened)])
        await until(lambda: len(pair.accepted) == opened)
        assert trio.current_time() - started == pytest.approx(10.0, abs=0.5)
        assert not pair.server.is_over


@pytest.mark.parametrize("kind", ["credit", "one byte"])
async def test_tiny_frames_at_line_rate_are_read_no_faster_than_they_may(autojump_clock: MockClock, kind: str) -> None:
    pair = Pair()
    frame = {
        "credit": Header(Kind.WINDOW_UPDATE, Flag.NONE, 1, 1).encode(),
        "one byte": Header(Kind.DATA, Flag.NONE, 1, 1).encode() + b"x",
    }[kind]
    async with running(pair):
        started = trio.current_time()
        await pair.pipes[0].write_frames([opening(1)])
        count = limits.SMALL_FRAMES_BURST + 5 * int(limits.SMALL_FRAMES_PER_S)
        await pair.pipes[0].write_frames([frame] * count + [opening(3)])
        await until(lambda: len(pair.accepted) == 2)
        assert trio.current_time() - started == pytest.approx(5.0, abs=0.5)


async def test_a_flood_of_pings_ends_the_connection(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        ping = Header(Kind.PING, Flag.SYN, 0, 7).encode()
        await pair.pipes[0].write_frames([ping] * (limits.PINGS_BURST + 1))
        assert "pings a second" in await pair.server.wait_over()


async def test_data_for_a_stream_that_was_never_open_ends_the_connection(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        await pair.pipes[0].write_frames([Header(Kind.DATA, Flag.NONE, 9, 1).encode() + b"x"])
        assert "never open" in await pair.server.wait_over()


async def test_data_that_was_on_its_way_when_a_stream_was_reset_is_no_breach(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        near, far = await pair.open()
        far.reset()  # The other side does not know yet, and uses the window that it was given.
        await near.write(bytes(limits.STREAM_WINDOW_INITIAL_BYTES - 1))
        await wait_all_tasks_blocked()
        assert not pair.server.is_over
        await pair.open()
        body = bytes(2)
        await pair.pipes[0].write_frames([Header(Kind.DATA, Flag.NONE, near.stream_id, len(body)).encode() + body])
        assert "never open" in await pair.server.wait_over()  # One byte more than it ever had credit for.


async def test_the_other_tasks_get_their_turn_within_a_buffer_of_frames(autojump_clock: MockClock) -> None:
    """With frames as the only measure of time: between two turns of another task there are few of them."""
    pair = Pair()
    per_turn: list[int] = []
    async with running(pair):
        frames = [opening(number) for number in numbers(200)]
        await pair.pipes[0].write_frames(frames)
        seen = 0
        while seen < len(frames):
            await trio.lowlevel.checkpoint()
            per_turn.append(len(pair.accepted) - seen)
            seen = len(pair.accepted)
    # A session may have its turn before us in one round of the loop, and after us in the one before.
    assert max(per_turn) <= 2 * limits.FRAMES_PER_TURN // limits.FRAMES_PER_OPENING


class Trickle:
    """A raw stream that has everything at once."""

    remote = ("", 0)
    is_relayed = False

    def __init__(self, data: bytes) -> None:
        """Give this, once."""
        self._data = [data]

    async def receive_some(self, _bytes_max: int) -> bytes:
        """Return all of it, then the end."""
        await trio.lowlevel.checkpoint()
        return self._data.pop() if self._data else b""

    async def send_all(self, _data: bytes | memoryview) -> None:
        """Send nothing."""

    def abort(self) -> None:
        """End."""


async def test_reading_a_buffer_byte_by_byte_lets_the_others_run(autojump_clock: MockClock) -> None:
    socket = GuardedSocket(Trickle(bytes(1_000)))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(1_000):
            await socket.read_exactly(1)
        nursery.cancel_scope.cancel()
    assert turns >= 1_000 // limits.FRAMES_PER_TURN - 2  # The first and the last round may be ours alone.


async def test_unread_bytes_above_the_limit_reset_the_stream_and_are_given_back(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNREAD_BYTES_PER_PEER_MAX", 2 * UNREAD_BLOCK_BYTES)
    resources = Resources()
    claim = Claim(Scope.PEER, Resource.UNREAD_BYTES, 1)
    pair = Pair()
    pair.server = YamuxSession(
        pair.pipes[1],
        is_initiator=False,
        accept=pair._accept,
        ping_every_s=PING_EVERY_S,
        unread=resources.reserve((claim,), count=0),
    )
    async with running(pair):
        first, far = await pair.open()
        await first.write(bytes(2 * UNREAD_BLOCK_BYTES))
        await wait_all_tasks_blocked()
        assert resources.used(claim) == 2 * UNREAD_BLOCK_BYTES
        second, other = await pair.open()
        await second.write(bytes(UNREAD_BLOCK_BYTES))
        await wait_all_tasks_blocked()
        assert not other.is_writable  # It was reset; the first one keeps what it has.
        assert len(await far.read_exactly(2 * UNREAD_BLOCK_BYTES)) == 2 * UNREAD_BLOCK_BYTES
        assert resources.used(claim) == 0
        third, _ = await pair.open()
        await third.write(bytes(2 * UNREAD_BLOCK_BYTES))
        await wait_all_tasks_blocked()
        assert resources.used(claim) == 2 * UNREAD_BLOCK_BYTES
        pair.accepted[-1].reset()
        assert resources.used(claim) == 0
    assert resources.is_idle


async def test_the_end_of_a_connection_gives_back_its_unread_bytes(autojump_clock: MockClock) -> None:
    resources = Resources()
    claim = Claim(Scope.PEER, Resource.UNREAD_BYTES, 1)
    near, far = frame_pipes()
    session = YamuxSession(
        far,
        is_initiator=False,
        accept=lambda _stream: True,
        ping_every_s=PING_EVERY_S,
        unread=resources.reserve((claim,), count=0),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        body = bytes(UNREAD_BLOCK_BYTES)
        await near.write_frames([Header(Kind.DATA, Flag.SYN, 1, len(body)).encode() + body])
        await wait_all_tasks_blocked()
        assert resources.used(claim) == UNREAD_BLOCK_BYTES
        session.abort("enough")
    assert resources.is_idle


def test_a_bucket_counts_debt_and_forgets_no_time() -> None:
    bucket = TokenBucket(per_s=10.0, burst=3.0, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.1)]
    assert bucket.take(0.2) == 0.0
    assert bucket.take(100.0) == 0.0
    assert [bucket.take(100.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(0.1)]


async def test_a_turnstile_lets_one_through_at_a_time_in_order(autojump_clock: MockClock) -> None:
    turnstile = Turnstile()
    passed: list[tuple[int, float]] = []
    started = trio.current_time()

    async def enter(number: int) -> None:
        await turnstile.enter()
        passed.append((number, trio.current_time() - started))

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(enter, number)
            await wait_all_tasks_blocked(0.00001)
    assert [number for number, _ in passed] == [0, 1, 2, 3, 4]
    assert passed[-1][1] >= 4 * limits.HANDSHAKE_PAUSE_S

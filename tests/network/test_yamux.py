"""The yamux session between two of its own kind, in memory and in virtual time."""

# ruff: noqa: ARG001 - the clock works by being asked for.

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from p2pnode.network import limits
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.yamux import YamuxSession
from p2pnode.network.yamux_frames import Flag, FrameError, Header, Kind, decode_header
from p2pnode.network.yamux_stream import StreamEndError, YamuxStream
from tests.network.pipes import FramePipe, frame_pipes

PING_EVERY_S = 8.0
LONGEST_S = 4_000.0


class Pair:
    """Two sessions that talk to each other; streams that one opens are accepted by the other."""

    def __init__(self, accept: Callable[[YamuxStream], bool] | None = None) -> None:
        """Connect them."""
        self.accepted: list[YamuxStream] = []
        pipes = frame_pipes()
        self.pipes: tuple[FramePipe, FramePipe] = pipes
        self.client = YamuxSession(pipes[0], is_initiator=True, accept=self._accept, ping_every_s=PING_EVERY_S)
        self.server = YamuxSession(
            pipes[1], is_initiator=False, accept=accept or self._accept, ping_every_s=PING_EVERY_S
        )

    def _accept(self, stream: YamuxStream) -> bool:
        self.accepted.append(stream)
        return True

    async def open(self) -> tuple[YamuxStream, YamuxStream]:
        """Return both ends of a new stream, after one byte each way."""
        near = self.client.open()
        await near.write(b"?")
        await wait_all_tasks_blocked()
        far = self.accepted[-1]
        assert await far.read_exactly(1) == b"?"
        await far.write(b"!")
        assert await near.read_exactly(1) == b"!"
        return near, far


@asynccontextmanager
async def running(pair: Pair, *, is_server_alive: bool = True) -> AsyncIterator[None]:
    """Run both sessions for the length of a block."""
    # The sessions ping for ever, so virtual time would never stop for a test that waits in vain.
    with trio.fail_after(LONGEST_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pair.client.run)
            if is_server_alive:
                nursery.start_soon(pair.server.run)
            yield
            nursery.cancel_scope.cancel()


async def test_bytes_arrive_in_order_whatever_the_sizes(rng: random.Random, autojump_clock: MockClock) -> None:
    pair = Pair()
    data = rng.randbytes(3_000_000)
    async with running(pair):
        near, far = await pair.open()

        async def send() -> None:
            rest = memoryview(data)
            while rest:
                count = rng.choice((1, 13, 65_507, 65_508, 300_000))
                await near.write(rest[:count])
                rest = rest[count:]
            near.end()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            received = b""
            while len(received) < len(data):
                received += await far.read_some(rng.choice((1, 1_000, 1 << 20)))
            with pytest.raises(StreamEndError):
                await far.read_some(1)
    assert received == data


async def test_a_writer_waits_for_a_reader_and_the_other_streams_do_not(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair), trio.open_nursery() as nursery:
        near, far = await pair.open()
        quick_near, quick_far = await pair.open()
        sent = trio.Event()

        async def send() -> None:
            await near.write(bytes(2 * limits.STREAM_WINDOW_INITIAL_BYTES))
            sent.set()

        nursery.start_soon(send)
        await trio.sleep(60.0)  # Far longer than the five seconds after which py-libp2p gives up; the watch runs too.
        assert not sent.is_set()
        await quick_near.write(b"quick")
        assert await quick_far.read_exactly(5) == b"quick"
        await far.read_exactly(2 * limits.STREAM_WINDOW_INITIAL_BYTES)
        await sent.wait()


async def test_a_peer_that_exceeds_its_window_loses_the_connection(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        near, _far = await pair.open()
        near.send_window = 1 << 30
        await near.write(bytes(limits.STREAM_WINDOW_INITIAL_BYTES + 1))
        with pytest.raises(ConnectionLostError):
            await near.read_exactly(1)
        assert "beyond the window" in await pair.server.wait_over()


async def test_a_reset_reaches_reader_and_writer_at_the_other_side(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        near, far = await pair.open()

        async def write_on() -> None:
            with pytest.raises(ConnectionLostError, match="reset"):
                await far.write(bytes(10 * limits.STREAM_WINDOW_BYTES))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_on)
            await wait_all_tasks_blocked()
            near.reset()
        with pytest.raises(ConnectionLostError, match="reset"):
            await far.read_exactly(1)
        assert (pair.client.stream_count, pair.server.stream_count) == (0, 0)


async def test_an_end_in_the_middle_of_what_was_asked_is_no_clean_end(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        near, far = await pair.open()
        await near.write(b"abc")
        near.end()
        with pytest.raises(ConnectionLostError, match="1 bytes too early") as caught:
            await far.read_exactly(4)
        assert not isinstance(caught.value, StreamEndError)


async def test_what_arrived_before_the_connection_was_lost_can_still_be_read(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        near, far = await pair.open()
        await near.write(b"last words")
        await wait_all_tasks_blocked()
        pair.client.abort("the process died")
        assert await far.read_exactly(10) == b"last words"
        with pytest.raises(ConnectionLostError) as caught:
            await far.read_some(1)
        assert not isinstance(caught.value, StreamEndError)


async def test_a_peer_that_never_ends_its_side_cannot_make_us_keep_the_stream(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        near, far = await pair.open()
        near.end()
        await trio.sleep(limits.LINGER_S / 2)
        assert pair.client.stream_count == 1
        await trio.sleep(limits.LINGER_S / 2 + PING_EVERY_S)
        assert (pair.client.stream_count, pair.server.stream_count) == (0, 0)
        with pytest.raises(ConnectionLostError):
            await far.write(b"too late")


async def test_a_process_that_stood_still_for_minutes_loses_no_connection(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        near, far = await pair.open()
        autojump_clock.jump(120.0)  # As after SIGSTOP: all timers are late, and nothing came meanwhile.
        await trio.sleep(PING_EVERY_S)
        await near.write(b"more")
        assert await far.read_exactly(4) == b"more"


async def test_a_silent_peer_is_noticed_by_the_watch(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair, is_server_alive=False):
        started = trio.current_time()
        assert "silent" in await pair.client.wait_over()
        assert trio.current_time() - started <= 30.0


async def test_an_idle_connection_to_a_living_peer_stays(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        await trio.sleep(3_600.0)
        await pair.open()


async def test_a_stream_that_is_not_accepted_is_reset(autojump_clock: MockClock) -> None:
    pair = Pair(accept=lambda _stream: False)
    async with running(pair):
        stream = pair.client.open()
        await stream.write(b"hello")
        with pytest.raises(ConnectionLostError, match="reset"):
            await stream.read_exactly(1)


async def test_a_cancelled_write_leaves_the_connection_whole(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        near, _far = await pair.open()
        with trio.move_on_after(1.0) as cut:
            await near.write(bytes(10 * limits.STREAM_WINDOW_BYTES))
        assert cut.cancelled_caught
        near.reset()
        await pair.open()


async def test_closing_says_goodbye_and_sends_what_was_written(autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        near, far = await pair.open()
        await near.write(b"bye")
        await pair.client.close()
        assert await far.read_exactly(3) == b"bye"
        assert "goodbye" in await pair.server.wait_over()
        with pytest.raises(ConnectionLostError):
            pair.client.open()


BAD_FRAMES = {
    "another version": b"\x01" + bytes(11),
    "unknown kind": b"\x00\x04" + bytes(10),
    "unknown flag": Header(Kind.DATA, Flag.NONE, 1, 0).encode()[:2] + b"\x00\x10" + bytes(8),
    "a stream with our own number": Header(Kind.WINDOW_UPDATE, Flag.SYN, 2, 0).encode(),
    "stream zero": Header(Kind.WINDOW_UPDATE, Flag.SYN, 0, 0).encode(),
    "the same stream twice": 2 * Header(Kind.WINDOW_UPDATE, Flag.SYN, 1, 0).encode(),
    "a body above every window": Header(Kind.DATA, Flag.SYN, 1, limits.STREAM_WINDOW_BYTES + 1).encode(),
    "a window that overflows": Header(Kind.WINDOW_UPDATE, Flag.SYN, 1, 2**32 - 1).encode(),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
async def test_a_frame_that_is_not_allowed_ends_the_connection(name: str, autojump_clock: MockClock) -> None:
    pair = Pair()
    async with running(pair):
        await pair.pipes[0].write_frames([BAD_FRAMES[name]])
        assert "broke the protocol" in await pair.server.wait_over()


async def test_a_flood_of_pings_to_a_stuck_connection_ends_it(autojump_clock: MockClock) -> None:
    pair = Pair()

    async def never(_frames: object) -> None:
        await trio.sleep_forever()

    pair.pipes[1].write_frames = never  # type: ignore[method-assign, assignment] # The socket takes nothing any more.
    async with running(pair):
        ping = Header(Kind.PING, Flag.SYN, 0, 7).encode()
        await pair.pipes[0].write_frames([ping] * (limits.CONTROL_BYTES_MAX // len(ping) + 2))
        assert "control frames" in await pair.server.wait_over()


def test_a_header_has_its_bytes_in_network_order() -> None:
    header = Header(Kind.WINDOW_UPDATE, Flag.ACK | Flag.FIN, 0x01020304, 0x0A0B0C0D)
    assert header.encode() == bytes.fromhex("00 01 0006 01020304 0a0b0c0d")
    assert decode_header(header.encode()) == header


def test_any_twelve_bytes_are_a_header_or_raise_frame_error_only(rng: random.Random) -> None:
    for _ in range(2_000):
        try:
            decode_header(bytes(rng.choice((0, 1, 2, 3, 15, 255)) for _ in range(4)) + rng.randbytes(8))
        except FrameError:
            continue

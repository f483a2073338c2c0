"""Claims about bandwidth limits: kept over all connections, with credit, by the hour; and every byte is counted."""

from __future__ import annotations

import random
import time

import pytest
import trio
from trio.testing import MockClock

from p2pnode.network.addresses import Endpoint, parse_endpoint
from p2pnode.network.bandwidth import (
    CREDIT_S,
    FREE_BYTES,
    HOURS,
    READ_BYTES_MIN,
    ByteBucket,
    Limits,
    Meter,
    MeteredStream,
    MeteredTransport,
)
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.tcp_transport import TcpTransport
from p2pnode.network.transport import RawStream

RATE = 1_000_000


class Pipe:
    """A raw stream that takes and gives at once, and remembers when."""

    remote = ("192.0.2.1", 4710)
    is_relayed = False

    def __init__(self) -> None:
        self.sent = 0
        self.is_open = True

    async def send_all(self, data: bytes | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.sent += len(data)

    async def receive_some(self, bytes_max: int) -> bytes:
        await trio.lowlevel.checkpoint()
        return bytes(bytes_max)

    def abort(self) -> None:
        self.is_open = False


@pytest.mark.parametrize(
    ("first", "last", "held"),
    [(0, HOURS, set(range(24))), (8, 18, set(range(8, 18))), (22, 6, {22, 23, 0, 1, 2, 3, 4, 5}), (5, 5, set())],
)
def test_limits_hold_in_their_hours_over_midnight_too(first: int, last: int, held: set[int]) -> None:
    limits = Limits(up=1, first_hour=first, last_hour=last)
    assert {hour for hour in range(HOURS) if limits.hold_at(hour)} == held


def test_no_more_than_rate_times_time_and_credit_ever_passes_a_bucket(rng: random.Random) -> None:
    bucket, now, passed = ByteBucket(0.0), 0.0, 0
    for _ in range(2_000):
        now += rng.expovariate(20.0)
        count = rng.randrange(1, 200_000)
        now += bucket.take(count, per_s=RATE, now=now)
        passed += count
        assert passed <= RATE * (now + CREDIT_S) + 1


def test_unused_credit_carries_over_up_to_its_bound() -> None:
    bucket = ByteBucket(0.0)
    assert bucket.take(RATE, per_s=RATE, now=1.0) == 0
    assert bucket.take(1, per_s=RATE, now=1.0) > 0
    bucket = ByteBucket(0.0)
    assert bucket.take(int(RATE * CREDIT_S), per_s=RATE, now=1000.0) == 0
    assert bucket.take(RATE, per_s=RATE, now=1000.0) == pytest.approx(1.0)


def test_a_limit_that_begins_finds_neither_credit_nor_debt() -> None:
    bucket = ByteBucket(0.0)
    assert bucket.take(10**9, per_s=None, now=5.0) == 0
    assert bucket.take(RATE, per_s=RATE, now=5.0) == pytest.approx(1.0)


async def test_ten_connections_together_keep_the_limit_and_no_write_counts_as_stalled(
    autojump_clock: MockClock,
) -> None:
    del autojump_clock
    meter = Meter(Limits(up=RATE))
    pipes = [Pipe() for _ in range(10)]
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        for pipe in pipes:
            nursery.start_soon(GuardedSocket(MeteredStream(pipe, meter)).write, bytes(4 * RATE))
    took_s = trio.current_time() - started
    assert took_s == pytest.approx(40, abs=CREDIT_S)
    assert all(pipe.is_open and pipe.sent == 4 * RATE for pipe in pipes)
    assert meter.up == 40 * RATE


async def test_small_writes_never_wait_behind_a_large_one(autojump_clock: MockClock) -> None:
    del autojump_clock
    meter = Meter(Limits(up=RATE))
    await meter.may_send(10 * RATE)
    started = trio.current_time()
    await meter.may_send(FREE_BYTES)
    assert trio.current_time() == started
    await meter.may_send(FREE_BYTES + 1)
    assert trio.current_time() > started


async def test_what_comes_in_is_read_at_the_limit_in_small_parts(autojump_clock: MockClock) -> None:
    del autojump_clock
    meter = Meter(Limits(down=RATE))
    stream = MeteredStream(Pipe(), meter)
    started = trio.current_time()
    longest = 0
    while meter.down < 10 * RATE:
        longest = max(longest, len(await stream.receive_some(256 * 1024)))
    assert READ_BYTES_MIN <= longest <= RATE / 10
    assert trio.current_time() - started == pytest.approx(10, abs=CREDIT_S)


async def test_outside_of_its_hours_nothing_waits(autojump_clock: MockClock) -> None:
    del autojump_clock
    now = time.time()
    hour = time.localtime(now).tm_hour
    meter = Meter(
        Limits(up=RATE, down=RATE, first_hour=(hour + 1) % HOURS, last_hour=(hour + 2) % HOURS), wall=lambda: now
    )
    started = trio.current_time()
    await meter.may_send(100 * RATE)
    await meter.has_received(100 * RATE)
    assert trio.current_time() == started
    assert meter.limit_now() == (None, None)


async def test_every_byte_between_two_sockets_is_counted_on_both_sides() -> None:
    near, far = Meter(), Meter()
    listener = await MeteredTransport(TcpTransport(), far).listen([parse_endpoint("/ip4/127.0.0.1/tcp/0")])
    done = trio.Event()

    async def serve(stream: RawStream) -> None:
        got = 0
        while got < 100_000:
            got += len(await stream.receive_some(65_536))
        await GuardedSocket(stream).write(b"thanks")
        done.set()

    async with trio.open_nursery() as nursery:

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            await listener.serve(serve, nursery, task_status=task_status)

        await nursery.start(run)
        endpoint: Endpoint = listener.endpoints[0]
        socket = GuardedSocket(await MeteredTransport(TcpTransport(), near).dial(endpoint))
        await socket.write(bytes(100_000))
        assert await socket.read_exactly(6) == b"thanks"
        await done.wait()
        nursery.cancel_scope.cancel()
    listener.close()
    assert (near.up, near.down, far.up, far.down) == (100_000, 6, 6, 100_000)

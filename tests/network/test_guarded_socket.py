"""The guarded socket over loopback: exact reads, writes with a deadline, and ends that are noticed."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from p2pnode.network import limits
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.tcp_transport import TcpStream
from tests.network.lab import DEADLINE_S


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[GuardedSocket, trio.SocketStream]]:
    """Give a guarded socket and the plain other end of its connection."""
    with trio.fail_after(DEADLINE_S):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener:
            near = await trio.open_tcp_stream(*listener.socket.getsockname()[:2])
            far = await listener.accept()
        guarded = GuardedSocket(TcpStream(near))
        async with far:
            yield guarded, far
        guarded.abort()


async def test_exact_reads_do_not_care_how_bytes_arrive(rng: random.Random) -> None:
    data = rng.randbytes(400_000)

    async def send(far: trio.SocketStream) -> None:
        for start in range(0, len(data), 30_011):
            await far.send_all(data[start : start + 30_011])

    async with connected() as (guarded, far), trio.open_nursery() as nursery:
        nursery.start_soon(send, far)
        received = b""
        while len(received) < len(data):
            received += await guarded.read_exactly(min(rng.choice((1, 999, 70_000)), len(data) - len(received)))
        assert received == data


async def test_an_end_in_the_middle_of_a_read_is_a_lost_connection() -> None:
    async with connected() as (guarded, far):
        await far.send_all(b"abc")
        await far.aclose()
        with pytest.raises(ConnectionLostError, match="closed the connection"):
            await guarded.read_exactly(4)


async def test_a_write_that_nobody_takes_is_given_up_and_closes_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WRITE_STALL_S", 0.2)
    async with connected() as (guarded, _far):
        with pytest.raises(ConnectionLostError, match="took no bytes"):
            await guarded.write(bytes(64 * limits.MIB))
        with pytest.raises(ConnectionLostError):
            await guarded.read_exactly(1)


async def test_a_write_that_is_cancelled_closes_the_socket() -> None:
    async with connected() as (guarded, _far):
        with trio.move_on_after(0.05):
            await guarded.write(bytes(64 * limits.MIB))
        with pytest.raises(ConnectionLostError):
            await guarded.write(b"the rest of another message")


async def test_closing_wakes_the_reader() -> None:
    async with connected() as (guarded, _far), trio.open_nursery() as nursery:
        nursery.start_soon(_abort_soon, guarded)
        with pytest.raises(ConnectionLostError):
            await guarded.read_exactly(1)


async def _abort_soon(guarded: GuardedSocket) -> None:
    await trio.lowlevel.checkpoint()
    guarded.abort()


async def test_arrivals_are_timed() -> None:
    async with connected() as (guarded, far):
        before = guarded.last_arrival
        await far.send_all(b"x")
        await guarded.read_exactly(1)
        assert guarded.last_arrival > before
        assert guarded.remote == far.socket.getsockname()[:2]

"""Exchanges of several messages, and peers that send or take a byte a second, in virtual time."""

# ruff: noqa: ARG001 - the clock works by being asked for.

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from p2pnode.config import TESTNET
from p2pnode.errors import PeerFaultError, PeerSilentError, PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.exchange import Exchange
from p2pnode.network.payload_slots import PayloadSlots
from p2pnode.network.request_server import serve_exchange
from p2pnode.network.requests import Requester
from p2pnode.seams import Stream
from tests.network.pipes import PEER, PipeStream, stream_pipes
from tests.network.test_requests import PROTOCOL, QUESTION, SLIVER, Serve, honest, make
from wire.errors import WireError
from wire.framing import frame
from wire.messages import GetSliver, NoRecord, SliverData

PARTS = 5
RATE = TESTNET.bytes_per_s_min


async def give_parts(exchange: Exchange) -> None:
    """Answer one question with several slivers, each when it is asked for."""
    question = await exchange.receive(GetSliver, timeout_s=1.0)
    for _ in range(PARTS):
        await exchange.send(SliverData(sliver_bytes=len(SLIVER)), [SLIVER[:9], SLIVER[9:]])
        await exchange.send_pieces(SLIVER[:1_000])
        assert await exchange.receive(NoRecord, timeout_s=1.0) == NoRecord()
    await exchange.send(question)


async def serve_parts(stream: Stream) -> None:
    await serve_exchange(stream, give_parts, slots=PayloadSlots())


async def test_an_exchange_has_several_messages_and_ends_its_stream_cleanly(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, serve_parts, piece_bytes_max=10_000)
        async with requester.stream(PEER, PROTOCOL, timeout_s=60.0) as exchange:
            assert exchange.peer_id == PEER
            await exchange.send(QUESTION)
            for _ in range(PARTS):
                message = await exchange.receive(SliverData, timeout_s=1.0)
                pieces = [piece async for piece in exchange.receive_pieces(message.sliver_bytes)]
                assert b"".join(pieces) == SLIVER
                assert await exchange.receive_payload(1_000) == SLIVER[:1_000]
                await exchange.send(NoRecord())
            assert await exchange.receive(GetSliver, timeout_s=1.0) == QUESTION
        assert network.near[0].was_closed
        assert not network.near[0].was_reset
        assert requester.kept_count == 0


async def test_an_exchange_that_is_left_by_an_error_or_cancelled_resets_its_stream(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, serve_parts)
        with pytest.raises(KeyError):
            async with requester.stream(PEER, PROTOCOL, timeout_s=60.0):
                raise KeyError
        with pytest.raises(PeerFaultError, match="broke the protocol"):
            async with requester.stream(PEER, PROTOCOL, timeout_s=60.0):
                raise WireError
        with trio.move_on_after(1.0) as cancelled:
            async with requester.stream(PEER, PROTOCOL, timeout_s=60.0):
                await trio.sleep_forever()
        assert cancelled.cancelled_caught
        with pytest.raises(PeerSilentError, match="longer than 5 s"):
            async with requester.stream(PEER, PROTOCOL, timeout_s=5.0):
                await trio.sleep_forever()
        assert [stream.was_reset for stream in network.near] == [True] * 4
        nursery.cancel_scope.cancel()


async def test_exchanges_count_as_requests_of_their_peer(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUESTS_PER_PEER_MAX", 2)
    async with trio.open_nursery() as nursery:
        requester, _ = make(nursery, honest())
        async with requester.stream(PEER, PROTOCOL, timeout_s=9.0), requester.stream(PEER, PROTOCOL, timeout_s=9.0):
            with pytest.raises(PeerSilentError, match="too many"):
                await requester.request(PEER, PROTOCOL, QUESTION, expect=(SliverData,), timeout_s=1.0)
        await requester.request(PEER, PROTOCOL, QUESTION, expect=(SliverData,), timeout_s=1.0)
        await requester.aclose()


async def test_a_silent_peer_and_an_early_end_are_told_apart(autojump_clock: MockClock) -> None:
    near, far = stream_pipes()
    exchange = Exchange(near, bytes_per_s_min=RATE)
    with pytest.raises(PeerSilentError, match="said nothing for 3 s"):
        await exchange.receive(NoRecord, timeout_s=3.0)
    await far.close()
    with pytest.raises(PeerUnavailableError, match="where a message was due"):
        await exchange.receive(NoRecord, timeout_s=3.0)
    assert await exchange.wait(3.0) is None
    with pytest.raises(PeerUnavailableError, match="too early"):
        await exchange.receive_payload(1)


# A byte a second.

LONG_MESSAGE = (500).to_bytes(4, "big") + bytes(500)


async def drip(stream: Stream, data: bytes) -> None:
    """Send a byte a second until nobody listens."""
    for start in range(len(data)):
        try:
            await stream.send(data[start : start + 1])
        except PeerUnavailableError:
            return
        await trio.sleep(1.0)


class Thirsty:
    """A stream of which the other end takes a byte a second."""

    def __init__(self, stream: PipeStream) -> None:
        """Wrap one end."""
        self._stream = stream
        self.peer_id = stream.peer_id
        self.receive_exactly = stream.receive_exactly
        self.close = stream.close
        self.reset = stream.reset

    async def send(self, data: bytes | memoryview) -> None:
        """Send all bytes, slowly."""
        await trio.sleep(len(data))
        await self._stream.send(data)


def allowed_s(count: int) -> float:
    return limits.TRANSFER_GRACE_S + count / RATE


async def took_s(action: Callable[[], object]) -> float:
    """Return how long something takes."""
    started = trio.current_time()
    await action()  # type: ignore[misc] # Only coroutines come here.
    return trio.current_time() - started


@pytest.mark.parametrize("sent", ["the message", "the payload"])
async def test_a_client_that_sends_a_byte_a_second_is_cut_and_its_slots_come_back(
    autojump_clock: MockClock, sent: str
) -> None:
    slots = PayloadSlots()
    near, far = stream_pipes()

    async def serve() -> None:
        await honest(slots)(far)

    framed = frame(QUESTION)
    async with trio.open_nursery() as nursery:
        if sent == "the message":
            nursery.start_soon(drip, near, LONG_MESSAGE)
        else:
            nursery.start_soon(near.send, framed[:-1])
        seconds = await took_s(serve)
        nursery.cancel_scope.cancel()
    assert far.was_reset
    assert limits.TRANSFER_GRACE_S <= seconds < allowed_s(len(framed)) + 5.0
    assert (slots.bytes_held, slots.requests_served) == (0, 0)


async def test_a_client_that_takes_a_byte_a_second_is_cut_and_its_slots_come_back(autojump_clock: MockClock) -> None:
    slots = PayloadSlots()
    near, far = stream_pipes()

    async def serve() -> None:
        await honest(slots)(Thirsty(far))

    await near.send(frame(QUESTION))
    assert await took_s(serve) < allowed_s(len(SLIVER)) + 1.0
    assert far.was_reset
    assert (slots.bytes_held, slots.requests_served) == (0, 0)


def answers_slowly(data: bytes) -> Serve:
    """Return a server that sends this answer a byte a second."""

    async def serve(stream: Stream) -> None:
        await stream.receive_exactly(len(frame(QUESTION)))
        await drip(stream, data)

    return serve


@pytest.mark.parametrize("sent", ["the message", "the payload"])
async def test_a_server_that_sends_a_byte_a_second_is_given_up_and_its_slots_come_back(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    monkeypatch.setattr(limits, "REQUESTS_PER_PEER_MAX", 1)
    head = frame(SliverData(sliver_bytes=len(SLIVER)))

    async def head_at_once(stream: Stream) -> None:
        await stream.receive_exactly(len(frame(QUESTION)))
        await stream.send(head)
        await drip(stream, SLIVER)

    slow = answers_slowly(LONG_MESSAGE) if sent == "the message" else head_at_once
    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, slow)
        for _ in range(3):  # With one slot: it is free again each time.
            assert await took_s(lambda: _is_given_up(requester)) < allowed_s(len(SLIVER)) + 6.0
        assert [stream.was_reset for stream in network.near] == [True] * 3
        nursery.cancel_scope.cancel()


async def _is_given_up(requester: Requester) -> None:
    with pytest.raises(PeerSilentError, match="were not sent"):
        await requester.request(PEER, PROTOCOL, QUESTION, expect=(SliverData,))


async def test_a_server_that_takes_a_byte_a_second_is_given_up(autojump_clock: MockClock) -> None:
    near, _far = stream_pipes()
    exchange = Exchange(Thirsty(near), bytes_per_s_min=RATE)

    async def send() -> None:
        with pytest.raises(PeerSilentError, match="were not taken"):
            await exchange.send_pieces(SLIVER)

    assert await took_s(send) < allowed_s(len(SLIVER)) + 1.0

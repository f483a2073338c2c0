"""Requests and their server over streams in memory, in virtual time."""

# ruff: noqa: ARG001 - the clock works by being asked for.

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from p2pnode.config import TESTNET
from p2pnode.errors import PeerFaultError, PeerRefusedError, PeerSilentError, PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.payload_slots import PayloadSlots
from p2pnode.network.requests import Reply, Requester, serve_requests
from p2pnode.seams import Network, Stream
from p2pnode.system import SystemClock
from tests.network.pipes import PEER, PipeStream, stream_pipes
from wire import limits as wire_limits
from wire.codec import encode
from wire.errors import WireError
from wire.framing import frame
from wire.ids import BLOB_ID_BYTES, BlobId, PeerId
from wire.messages import BlobRecord, GetRecord, GetSliver, NoRecord, RefusalCode, Refused, SliverData

PROTOCOL = "/test/requests"
BLOB = BlobId(bytes(BLOB_ID_BYTES))
QUESTION = GetSliver(blob_id=BLOB, axis=0, index=3)
SLIVER = bytes(range(250)) * 3_000
RECORD_QUESTION = GetRecord(blob_id=BLOB, wants_certificates=False)

Serve = Callable[[Stream], Awaitable[None]]


class PipeNetwork:
    """A network of which only `open_stream` is there: each stream leads to a server in a task of its own."""

    def __init__(self, nursery: trio.Nursery, serve: Serve, *, piece_bytes_max: int = 1 << 20) -> None:
        """Serve every stream with `serve`."""
        self._nursery = nursery
        self._serve = serve
        self._piece_bytes_max = piece_bytes_max
        self.near: list[PipeStream] = []
        self.far: list[PipeStream] = []

    async def open_stream(self, peer_id: PeerId, protocol: str) -> Stream:
        """Open a stream."""
        assert protocol == PROTOCOL
        await trio.lowlevel.checkpoint()
        near, far = stream_pipes(piece_bytes_max=self._piece_bytes_max, peer_id=peer_id)
        self.near.append(near)
        self.far.append(far)
        self._nursery.start_soon(self._serve, far)
        return near


def make(nursery: trio.Nursery, serve: Serve, *, piece_bytes_max: int = 1 << 20) -> tuple[Requester, PipeNetwork]:
    """Return a requester and the network below it."""
    network = PipeNetwork(nursery, serve, piece_bytes_max=piece_bytes_max)
    return Requester(cast("Network", network), SystemClock(), TESTNET), network


async def give_slivers(_peer: PeerId, message: object, _payload: bytes) -> tuple[object, Sequence[bytes]]:
    """Answer as a holder would."""
    await trio.lowlevel.checkpoint()
    if isinstance(message, GetSliver):
        return SliverData(sliver_bytes=len(SLIVER)), [SLIVER[:1_000], SLIVER[1_000:]]
    return Refused(code=RefusalCode.NOT_HELD, reason="nothing is held here"), ()


def honest(slots: PayloadSlots | None = None) -> Serve:
    """Return a server that works."""
    shared = slots or PayloadSlots()

    async def serve(stream: Stream) -> None:
        await serve_requests(stream, give_slivers, accepts=(GetSliver, GetRecord), slots=shared)

    return serve


def says(*answers: bytes) -> Serve:
    """Return a server that waits for a question and then sends these bytes, whatever was asked."""

    async def serve(stream: Stream) -> None:
        await stream.receive_exactly(wire_limits.LENGTH_PREFIX_BYTES)
        for answer in answers:
            await stream.send(answer)
        await stream.close()

    return serve


async def ask(requester: Requester) -> Reply:
    """Ask for the sliver."""
    return await requester.request(PEER, PROTOCOL, QUESTION, expect=(SliverData,))


@pytest.mark.parametrize("piece_bytes_max", [1 << 20, 1], ids=["at once", "byte by byte"])
async def test_an_answer_with_its_payload_arrives_whole(
    piece_bytes_max: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.network.test_requests.SLIVER", SLIVER if piece_bytes_max > 1 else SLIVER[:2_000])
    async with trio.open_nursery() as nursery:
        requester, _ = make(nursery, honest(), piece_bytes_max=piece_bytes_max)
        reply = await ask(requester)
        assert reply.message == SliverData(sliver_bytes=len(SLIVER))
        assert reply.payload == SLIVER
        await requester.aclose()


async def test_a_refusal_raises_with_its_code(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, honest())
        with pytest.raises(PeerRefusedError, match="nothing is held here") as caught:
            await requester.request(PEER, PROTOCOL, RECORD_QUESTION, expect=(BlobRecord, NoRecord))
        assert caught.value.code == RefusalCode.NOT_HELD
        assert requester.kept_count == 1  # A refusal is a proper answer: the stream is as good as before.
        assert not network.near[0].was_reset
        await requester.aclose()


async def test_requests_in_a_row_share_one_stream(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, honest())
        for _ in range(5):
            await ask(requester)
        assert len(network.near) == 1
        await requester.aclose()
        assert network.near[0].was_closed
        assert requester.kept_count == 0


async def test_requests_at_once_are_bounded_per_peer_and_keep_few_streams(autojump_clock: MockClock) -> None:
    under_way = 0
    most = 0

    async def slow(_peer: PeerId, _message: object, _payload: bytes) -> tuple[object, Sequence[bytes]]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await trio.sleep(1.0)
        under_way -= 1
        return NoRecord(), ()

    async def serve(stream: Stream) -> None:
        await serve_requests(stream, slow, accepts=(GetRecord,), slots=PayloadSlots())

    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, serve)
        async with trio.open_nursery() as asking:
            for _ in range(3 * limits.REQUESTS_PER_PEER_MAX):
                asking.start_soon(_ask_record, requester)
        assert most == limits.REQUESTS_PER_PEER_MAX
        assert requester.kept_count == limits.IDLE_STREAMS_PER_PEER_MAX
        assert sum(not stream.was_closed for stream in network.near) == limits.IDLE_STREAMS_PER_PEER_MAX
        await requester.aclose()


async def _ask_record(requester: Requester) -> None:
    await requester.request(PEER, PROTOCOL, RECORD_QUESTION, expect=(NoRecord,))


async def test_a_kept_stream_that_died_is_replaced_once(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, honest())
        await ask(requester)
        await network.far[0].reset()
        await wait_all_tasks_blocked()
        assert (await ask(requester)).payload == SLIVER
        assert len(network.near) == 2
        await requester.aclose()


async def test_a_stream_is_not_kept_for_longer_than_the_server_waits(autojump_clock: MockClock) -> None:
    assert limits.IDLE_STREAM_S < limits.SERVER_IDLE_S
    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, honest())
        await ask(requester)
        await trio.sleep(limits.IDLE_STREAM_S + 1)
        await ask(requester)
        assert len(network.near) == 2
        assert network.near[0].was_closed
        await trio.sleep(limits.SERVER_IDLE_S + 1)
        assert all(stream.was_closed for stream in network.far)
        await requester.aclose()


async def test_a_silent_peer_is_given_up_at_the_deadline_and_its_stream_reset(autojump_clock: MockClock) -> None:
    async def ignore(stream: Stream) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, ignore)
        started = trio.current_time()
        with pytest.raises(PeerSilentError, match="GetSliver within 20 s"):
            await ask(requester)
        assert trio.current_time() - started == pytest.approx(TESTNET.request_timeout_s)
        assert network.near[0].was_reset
        assert requester.kept_count == 0
        with pytest.raises(PeerSilentError, match="within 3 s"):
            await requester.request(PEER, PROTOCOL, QUESTION, expect=(SliverData,), timeout_s=3.0)
        nursery.cancel_scope.cancel()


async def test_a_payload_extends_the_deadline_by_its_size(autojump_clock: MockClock) -> None:
    """A sliver at just above the slowest speed takes longer than a request may; at half of it, it is given up."""
    sizes_and_fates = ((1.0, True), (2.9, False))
    for slowness, is_answered in sizes_and_fates:

        async def drip(stream: Stream, slowness: float = slowness) -> None:
            await stream.receive_exactly(len(frame(QUESTION)))
            await stream.send(frame(SliverData(sliver_bytes=wire_limits.SLIVER_BYTES_MAX)))
            for _ in range(32):
                await trio.sleep(slowness * wire_limits.SLIVER_BYTES_MAX / 32 / TESTNET.bytes_per_s_min)
                await stream.send(bytes(wire_limits.SLIVER_BYTES_MAX // 32))

        async with trio.open_nursery() as nursery:
            requester, _ = make(nursery, drip)
            if is_answered:
                assert len((await ask(requester)).payload) == wire_limits.SLIVER_BYTES_MAX
            else:
                with pytest.raises(PeerSilentError):
                    await ask(requester)
            nursery.cancel_scope.cancel()


GARBAGE = {
    "length zero": [bytes(4)],
    "length above the limit": [(wire_limits.MESSAGE_BYTES_MAX + 1).to_bytes(4, "big")],
    "no msgpack": [b"\x00\x00\x00\x01\xc1"],
    "another message": [frame(NoRecord())],
    "trailing bytes": [(len(encode(NoRecord())) + 1).to_bytes(4, "big"), encode(NoRecord()), b"\x00"],
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_an_answer_that_is_none_is_the_peers_fault(name: str, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, says(*GARBAGE[name]))
        with pytest.raises(PeerFaultError):
            await ask(requester)
        assert network.near[0].was_reset


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x00\x00", frame(SliverData(sliver_bytes=9))[:6], frame(SliverData(sliver_bytes=9)) + b"12345678"],
    ids=["nothing", "half a prefix", "half a message", "half a payload"],
)
async def test_an_answer_that_is_cut_is_a_lost_peer(answer: bytes, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, says(*([answer] if answer else [])))
        with pytest.raises(PeerUnavailableError) as caught:
            await ask(requester)
        assert not isinstance(caught.value, PeerSilentError | PeerRefusedError)
        assert network.near[0].was_reset


async def test_a_cancelled_request_resets_its_stream_and_frees_its_slot(
    rng: random.Random, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, honest(), piece_bytes_max=1_000)
        for _ in range(2 * limits.REQUESTS_PER_PEER_MAX):
            with trio.CancelScope() as scope:
                nursery.start_soon(_cancel_soon, scope, rng.randrange(60))
                await ask(requester)
        assert all(stream.was_reset for stream in network.near if stream not in _kept(network, requester))
        assert (await ask(requester)).payload == SLIVER
        await requester.aclose()


async def _cancel_soon(scope: trio.CancelScope, checkpoints: int) -> None:
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    scope.cancel()


def _kept(network: PipeNetwork, requester: Requester) -> list[PipeStream]:
    kept = [stream for stream in network.near if not stream.was_reset and not stream.was_closed]
    assert len(kept) == requester.kept_count
    return kept


async def test_our_own_message_above_a_limit_raises_before_anything_is_sent(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        requester, network = make(nursery, honest())
        with pytest.raises(WireError):
            await requester.request(PEER, PROTOCOL, GetSliver(blob_id=BLOB, axis=2, index=0), expect=(SliverData,))
        assert network.near == []


# The server alone.


async def serve_bytes(*parts: bytes, slots: PayloadSlots | None = None, pause_s: float = 0.0) -> PipeStream:
    """Send bytes to a server and return its end of the stream once it is done."""
    near, far = stream_pipes()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(honest(slots), far)
        with contextlib.suppress(PeerUnavailableError):  # The server may have enough before it has everything.
            for part in parts:
                await near.send(part)
                await trio.sleep(pause_s)
        await near.close()
    return far


async def test_a_server_ends_its_side_when_the_peer_does(autojump_clock: MockClock) -> None:
    assert (await serve_bytes()).was_closed
    assert (await serve_bytes(frame(QUESTION), frame(QUESTION))).was_closed


@pytest.mark.parametrize("name", [name for name in GARBAGE if name != "trailing bytes"])
async def test_a_server_resets_a_stream_with_garbage(name: str, autojump_clock: MockClock) -> None:
    slots = PayloadSlots()
    assert (await serve_bytes(*GARBAGE[name], slots=slots)).was_reset
    assert slots.bytes_held == 0


async def test_a_server_survives_any_bytes(rng: random.Random, autojump_clock: MockClock) -> None:
    for _ in range(100):
        far = await serve_bytes(
            rng.choice((b"", frame(QUESTION), b"\x00\x00\x00\x10")) + rng.randbytes(rng.randrange(40))
        )
        assert far.was_reset or far.was_closed


async def test_a_server_resets_a_stream_that_is_slower_than_the_slowest(autojump_clock: MockClock) -> None:
    framed = frame(QUESTION)
    far = await serve_bytes(framed[:10], framed[10:], pause_s=limits.TRANSFER_GRACE_S + 1)
    assert far.was_reset


async def test_a_server_resets_a_stream_whose_reader_stalls_in_an_answer(autojump_clock: MockClock) -> None:
    near, far = stream_pipes()
    blocked = trio.Event()

    async def never(_data: bytes | memoryview) -> None:
        blocked.set()
        await trio.sleep_forever()

    far.send = never  # type: ignore[method-assign, assignment] # The peer's window is full and stays so.
    slots = PayloadSlots()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(honest(slots), far)
        await near.send(frame(QUESTION))
        await blocked.wait()
        assert slots.bytes_held == wire_limits.SLIVER_BYTES_MAX
    assert far.was_reset
    assert slots.bytes_held == 0


async def test_an_exception_in_a_handler_is_logged_and_resets_the_stream(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def fail(_peer: PeerId, _message: object, _payload: bytes) -> tuple[object, Sequence[bytes]]:
        message = "a bug in the handler"
        raise RuntimeError(message)

    near, far = stream_pipes()
    await near.send(frame(QUESTION))
    await serve_requests(far, fail, accepts=(GetSliver,), slots=PayloadSlots())
    assert far.was_reset
    assert "a bug in the handler" in caplog.text
    assert "Traceback" in caplog.text


async def test_payload_is_handed_over_whole_and_memory_is_held_for_it(autojump_clock: MockClock) -> None:
    slots = PayloadSlots()
    seen: list[tuple[int, bytes]] = []

    async def keep(_peer: PeerId, _message: object, payload: bytes) -> tuple[object, Sequence[bytes]]:
        await trio.lowlevel.checkpoint()
        seen.append((slots.bytes_held, payload))
        return NoRecord(), ()

    near, far = stream_pipes()
    await near.send(frame(SliverData(sliver_bytes=len(SLIVER))))
    await near.send(SLIVER)
    await near.close()
    await serve_requests(far, keep, accepts=(SliverData,), slots=slots)
    assert seen == [(len(SLIVER), SLIVER)]
    assert slots.bytes_held == 0

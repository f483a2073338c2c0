"""The asking side of every protocol, over any `Network`: one request and its answer, or a stream of several messages.

A request is a framed message and the payload that it announces; the answer has the same form. One stream carries one
request at a time and is kept for the next one. Whatever goes wrong, cancellation included, resets the stream: nobody
knows how much of a message is still on its way. The answering side is `request_server.py`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.config import Profile
from p2pnode.errors import PeerFaultError, PeerRefusedError, PeerSilentError, PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.exchange import Exchange, Payload, reset
from p2pnode.network.payload_slots import PayloadSlots
from p2pnode.network.request_server import RequestHandler, serve_requests
from p2pnode.seams import Clock, Network, Stream
from wire.errors import WireError
from wire.framing import frame
from wire.ids import PeerId
from wire.messages import Refused, payload_bytes

__all__ = ["Exchange", "Payload", "PayloadSlots", "Reply", "RequestHandler", "Requester", "serve_requests"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: one of the expected messages, and the payload that it announced."""

    message: Any
    payload: bytes


@dataclass(slots=True)
class _Kept:
    protocol: str
    stream: Stream
    since: float


@dataclass(slots=True)
class _Peer:
    """What we have open with one peer."""

    slots: trio.Semaphore = field(
        default_factory=lambda: trio.Semaphore(limits.REQUESTS_PER_PEER_MAX, max_value=limits.REQUESTS_PER_PEER_MAX)
    )
    users: int = 0
    kept: list[_Kept] = field(default_factory=list)


class _DeadStreamError(Exception):
    """A stream ended before the first byte of the answer: if it was a kept one, a fresh one may do better."""


class Requester:
    """Sends requests; bounded per peer and in all."""

    def __init__(self, network: Network, clock: Clock, profile: Profile) -> None:
        """Start without streams."""
        self._network = network
        self._clock = clock
        self._profile = profile
        self._peers: dict[PeerId, _Peer] = {}
        self._slots = trio.Semaphore(limits.REQUESTS_MAX, max_value=limits.REQUESTS_MAX)
        self._kept_count = 0

    async def request(
        self,
        peer_id: PeerId,
        protocol: str,
        message: object,
        *,
        payload: Payload = (),
        expect: tuple[type[Any], ...],
        timeout_s: float | None = None,
    ) -> Reply:
        """Send a message with its payload and return the answer, which is one of `expect`.

        Without `timeout_s` it may take the profile's request timeout, and what the payloads need at its slowest speed.
        Raises `PeerRefusedError`, `PeerSilentError` after the deadline, `PeerFaultError` for an answer that is
        none, `PeerUnavailableError` for a peer that cannot be reached or is lost, and `WireError` when our own message
        breaks a limit.
        """
        framed = frame(message)
        payload_size = sum(len(part) for part in payload)
        assert payload_size == payload_bytes(message), f"{payload_size} bytes beside a {type(message).__name__}"
        allowed_s = timeout_s
        if allowed_s is None:
            allowed_s = self._profile.request_timeout_s + payload_size / self._profile.bytes_per_s_min
        async with self._slot(peer_id, allowed_s) as peer:
            with trio.move_on_after(allowed_s) as deadline:
                stretch = deadline if timeout_s is None else None
                reply = await self._ask(peer_id, peer, protocol, _Question(framed, payload, expect, stretch))
            if deadline.cancelled_caught:
                name = type(message).__name__
                text = f"peer {peer_id_to_text(peer_id)} did not answer a {name} within {allowed_s:.0f} s"
                raise PeerSilentError(text)
        if isinstance(reply.message, Refused):
            text = f"peer {peer_id_to_text(peer_id)} refused: {reply.message.reason}"
            raise PeerRefusedError(text, reply.message.code)
        return reply

    @asynccontextmanager
    async def stream(self, peer_id: PeerId, protocol: str, *, timeout_s: float) -> AsyncIterator[Exchange]:
        """Open a fresh stream for an exchange of several messages and pieces; all of it may take `timeout_s`.

        It counts as one request of the peer and of all. It is ended cleanly after the block, and reset when anything
        leaves the block, cancellation included. Raises `PeerSilentError` after the deadline, `PeerFaultError` for a
        `WireError` that leaves the block, `PeerUnavailableError` for a peer that cannot be reached or is lost.
        """
        async with self._slot(peer_id, timeout_s):
            with trio.move_on_after(timeout_s) as deadline:
                stream = await self._network.open_stream(peer_id, protocol)
                is_done = False
                try:
                    yield Exchange(stream, bytes_per_s_min=self._profile.bytes_per_s_min)
                    is_done = True
                except WireError as error:
                    text = f"peer {peer_id_to_text(peer_id)} broke the protocol: {error}"
                    raise PeerFaultError(text) from error
                finally:
                    if not is_done:
                        await reset(stream)
                await _close_all([stream])
            if deadline.cancelled_caught:
                text = f"an exchange with peer {peer_id_to_text(peer_id)} took longer than {timeout_s:.0f} s"
                raise PeerSilentError(text)

    async def aclose(self) -> None:
        """Let go of all kept streams."""
        for peer in list(self._peers.values()):
            await _close_all(self._expired(peer, older_than_s=-1.0))
        self._peers = {peer_id: peer for peer_id, peer in self._peers.items() if peer.users}

    @property
    def kept_count(self) -> int:
        """Streams that are kept for the next request."""
        return self._kept_count

    @property
    def peer_count(self) -> int:
        """Peers of which something is remembered: those that are asked now, or with streams that are kept."""
        return len(self._peers)

    @asynccontextmanager
    async def _slot(self, peer_id: PeerId, allowed_s: float) -> AsyncIterator[_Peer]:
        """Wait for one of the slots of this peer and of all; as long as a request may take, not longer."""
        peer = self._peers.setdefault(peer_id, _Peer())
        peer.users += 1
        held: list[trio.Semaphore] = []
        try:
            with trio.move_on_after(allowed_s) as deadline:
                for semaphore in (peer.slots, self._slots):
                    if semaphore.value:  # Mostly there is a slot: then the loop need not go round for it.
                        semaphore.acquire_nowait()
                    else:
                        await semaphore.acquire()
                    held.append(semaphore)
            if deadline.cancelled_caught:
                text = f"too many requests are under way, one to {peer_id_to_text(peer_id)} waited {allowed_s:.0f} s"
                raise PeerSilentError(text)
            yield peer
        finally:
            for semaphore in held:
                semaphore.release()
            peer.users -= 1
            self._forget_if_idle(peer_id)

    async def _ask(self, peer_id: PeerId, peer: _Peer, protocol: str, question: _Question) -> Reply:
        kept = await self._take_kept(peer, protocol)
        if kept is not None:
            try:
                return await self._ask_on(kept, peer_id, peer, protocol, question)
            except _DeadStreamError as error:
                logger.debug("a kept stream to %s was dead: %s", peer_id_to_text(peer_id), error)
        stream = await self._network.open_stream(peer_id, protocol)
        try:
            return await self._ask_on(stream, peer_id, peer, protocol, question)
        except _DeadStreamError as error:
            text = f"peer {peer_id_to_text(peer_id)} ended a stream without an answer: {error}"
            raise PeerUnavailableError(text) from error

    async def _ask_on(self, stream: Stream, peer_id: PeerId, peer: _Peer, protocol: str, question: _Question) -> Reply:
        is_done = False
        try:
            bytes_per_s_min = self._profile.bytes_per_s_min
            exchange = Exchange(stream, bytes_per_s_min=bytes_per_s_min)
            reply = await _ask_once(exchange, question, bytes_per_s_min=bytes_per_s_min)
            is_done = True
        except WireError as error:
            text = f"peer {peer_id_to_text(peer_id)} sent no proper answer: {error}"
            raise PeerFaultError(text) from error
        finally:
            if not is_done:
                await reset(stream)
        await self._keep(peer, protocol, stream)
        return reply

    async def _take_kept(self, peer: _Peer, protocol: str) -> Stream | None:
        """Return the stream that was used last for this protocol; it is the likeliest to live."""
        taken = None
        expired = self._expired(peer, older_than_s=limits.IDLE_STREAM_S)
        for position in reversed(range(len(peer.kept))):
            if peer.kept[position].protocol == protocol:
                self._kept_count -= 1
                taken = peer.kept.pop(position).stream
                break
        await _close_all(expired)
        return taken

    async def _keep(self, peer: _Peer, protocol: str, stream: Stream) -> None:
        unwanted = []
        if len(peer.kept) >= limits.IDLE_STREAMS_PER_PEER_MAX:
            unwanted = self._expired(peer, older_than_s=limits.IDLE_STREAM_S)
        if self._kept_count >= limits.IDLE_STREAMS_MAX:
            for other_id, other in list(self._peers.items()):
                unwanted += self._expired(other, older_than_s=limits.IDLE_STREAM_S)
                self._forget_if_idle(other_id)
        if len(peer.kept) < limits.IDLE_STREAMS_PER_PEER_MAX and self._kept_count < limits.IDLE_STREAMS_MAX:
            peer.kept.append(_Kept(protocol, stream, self._clock.monotonic()))
            self._kept_count += 1
        else:
            unwanted.append(stream)
        await _close_all(unwanted)

    def _forget_if_idle(self, peer_id: PeerId) -> None:
        """Keep nothing of a peer that nobody asks: whoever comes with ever new identities must not fill this table."""
        peer = self._peers.get(peer_id)
        if peer is not None and not peer.users and not peer.kept:
            del self._peers[peer_id]

    def _expired(self, peer: _Peer, *, older_than_s: float) -> list[Stream]:
        """Take the streams out that were kept for longer; the caller closes them."""
        now = self._clock.monotonic()
        expired = [kept.stream for kept in peer.kept if now - kept.since > older_than_s]
        peer.kept = [kept for kept in peer.kept if now - kept.since <= older_than_s]
        self._kept_count -= len(expired)
        return expired


@dataclass(frozen=True, slots=True)
class _Question:
    """A request as it goes over a stream."""

    framed: bytes
    payload: Payload
    expect: tuple[type[Any], ...]
    deadline: trio.CancelScope | None
    """To be moved by what the answer's payload needs; None when the caller has set the time."""


async def _ask_once(exchange: Exchange, question: _Question, *, bytes_per_s_min: int) -> Reply:
    """Send a question and return its answer. Raises `WireError`, `_DeadStreamError`, `PeerUnavailableError`."""
    try:
        await exchange.send_framed(question.framed, question.payload)
        prefix = await exchange.wait(math.inf)  # The request's own deadline is set around it.
    except PeerSilentError:
        raise
    except PeerUnavailableError as error:
        raise _DeadStreamError(str(error)) from error
    if prefix is None:
        message = "it ended cleanly"
        raise _DeadStreamError(message)
    answer = await exchange.receive_body(prefix, *question.expect, Refused)
    count = payload_bytes(answer)
    if count and question.deadline is not None:
        question.deadline.deadline += count / bytes_per_s_min
    return Reply(answer, await exchange.receive_payload(count))


async def _close_all(streams: Sequence[Stream]) -> None:
    """Let go of streams, also when the caller is cancelled: nobody else knows them."""
    with trio.move_on_after(limits.RESET_S, shield=True):
        for stream in streams:
            await stream.close()

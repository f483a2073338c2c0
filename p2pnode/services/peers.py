"""Asking a peer, or ourselves: the writer and the reader are ordinary holders, and one call serves both cases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio

from p2pnode.errors import PeerRefusedError
from p2pnode.network.requests import Reply, Requester
from p2pnode.protocols.refusal import RefusalError
from wire.ids import PeerId
from wire.messages import Refused

Answer = tuple[object, Sequence[bytes | memoryview]]
"""A message and the raw bytes that follow it."""

Handler = Callable[[PeerId, object, bytes], Awaitable[Answer]]
"""Answers one request of a peer; may raise `RefusalError`."""


class Peers:
    """The one way in which services ask for something."""

    def __init__(self, requester: Requester, own: PeerId, protocols: Mapping[str, str]) -> None:
        """Send through `requester`; `protocols` maps our protocols' short names to their ids."""
        self._requester = requester
        self._own = own
        self._protocols = protocols
        self._local: dict[str, Handler] = {}
        self.on_answer: Callable[[PeerId], None] = _nobody_listens
        """Called with each other peer that answered, with a refusal too: it is alive."""

    def serve_locally(self, name: str, handler: Handler) -> None:
        """Answer our own questions of one protocol with this handler."""
        self._local[name] = handler

    async def ask(
        self,
        peer_id: PeerId,
        name: str,
        message: object,
        *,
        payload: Sequence[bytes | memoryview] = (),
        expect: tuple[type, ...],
        timeout_s: float | None = None,
    ) -> Reply:
        """Send a request and return its answer, one of `expect`, with its raw bytes.

        Raises `PeerUnavailableError` (also its kinds `PeerSilentError` and `PeerRefusedError`) or `PeerFaultError`.
        """
        if peer_id != self._own:
            return await self._ask_other(peer_id, name, message, payload, expect, timeout_s)
        answer, parts = await answer_or_refuse(self._local[name], peer_id, message, b"".join(payload))
        if isinstance(answer, Refused):
            raise PeerRefusedError(answer.reason, answer.code)
        return Reply(answer, b"".join(parts))

    async def _ask_other(
        self,
        peer_id: PeerId,
        name: str,
        message: object,
        payload: Sequence[bytes | memoryview],
        expect: tuple[type, ...],
        timeout_s: float | None,
    ) -> Reply:
        try:
            reply = await self._requester.request(
                peer_id, self._protocols[name], message, payload=payload, expect=expect, timeout_s=timeout_s
            )
        except PeerRefusedError:
            self.on_answer(peer_id)
            raise
        self.on_answer(peer_id)
        return reply


def _nobody_listens(_peer_id: PeerId) -> None:
    """Do nothing: before anybody wants to know who answers."""


def by_kind(routes: Mapping[tuple[type, ...], Handler]) -> Handler:
    """Return what gives each request to the handler of its kind, for a protocol that several services answer."""
    handlers = {kind: handler for kinds, handler in routes.items() for kind in kinds}

    async def answer(peer_id: PeerId, message: object, payload: bytes) -> Answer:
        return await handlers[type(message)](peer_id, message, payload)

    return answer


def after(event: trio.Event, handler: Handler) -> Handler:
    """Return what answers as the handler does, once something has happened."""

    async def answer(peer_id: PeerId, message: object, payload: bytes) -> Answer:
        await event.wait()
        return await handler(peer_id, message, payload)

    return answer


async def answer_or_refuse(handler: Handler, peer_id: PeerId, message: object, payload: bytes) -> Answer:
    """Answer a request; a `RefusalError` becomes the message that says no."""
    try:
        return await handler(peer_id, message, payload)
    except RefusalError as refusal:
        return refusal.answer(), ()

"""The server's loop: one request after the other on an inbound stream, within the limits of its peer.

A request is a framed message and the payload that it announces; the answer has the same form. Whatever goes wrong,
cancellation included, resets the stream: nobody knows how much of a message is still on its way.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.exchange import Exchange, Payload, reset
from p2pnode.network.payload_slots import PayloadSlots
from p2pnode.seams import Stream, StreamEndedError
from wire import limits as wire_limits
from wire.errors import WireError
from wire.ids import PeerId
from wire.messages import GetSliver, payload_bytes

logger = logging.getLogger(__name__)

RequestHandler = Callable[[PeerId, Any, bytes], Awaitable[tuple[object, Payload]]]
"""Called with the asking peer, the checked message and its payload; returns the answer and the payload it announces.

What it refuses it answers with `Refused`; an exception that leaves it resets the stream.
"""

ExchangeHandler = Callable[[Exchange], Awaitable[None]]
"""Serves one stream of several messages; returning ends it cleanly, any exception resets it."""

_ANSWER_BYTES_MAX: dict[type, int] = {GetSliver: wire_limits.SLIVER_BYTES_MAX}
"""Payload memory that the answer to a request needs, counted before it is worked on."""


async def serve_requests(
    stream: Stream, handler: RequestHandler, *, accepts: tuple[type[Any], ...], slots: PayloadSlots
) -> None:
    """Serve one inbound stream until the peer ends it or is idle for SERVER_IDLE_S: the outermost loop of its task.

    A message that is none of `accepts`, or not well formed, resets the stream; so does a transfer that is slower than
    `slots.bytes_per_s_min` on average, and an exception that leaves the handler. Never raises for a peer's fault.
    """

    async def serve(exchange: Exchange) -> None:
        while await _serve_one(exchange, handler, accepts, slots):
            pass

    await serve_exchange(stream, serve, slots=slots)


async def serve_exchange(stream: Stream, handler: ExchangeHandler, *, slots: PayloadSlots) -> None:
    """Serve one inbound stream with a handler of its own: the outermost frame of its task.

    Whatever it holds beyond a piece it takes from `slots`. Never raises for a peer's fault.
    """
    is_clean = False
    try:
        await handler(Exchange(stream, bytes_per_s_min=slots.bytes_per_s_min))
        is_clean = True
    except (WireError, PeerUnavailableError, StreamEndedError, trio.TooSlowError) as error:
        logger.debug("serving %s ended: %r", peer_id_to_text(stream.peer_id), error)
    except Exception:
        logger.exception("serving %s failed", peer_id_to_text(stream.peer_id))
    finally:
        if not is_clean:
            await reset(stream)
    if is_clean:
        await stream.close()


async def _serve_one(
    exchange: Exchange, handler: RequestHandler, accepts: tuple[type[Any], ...], slots: PayloadSlots
) -> bool:
    """Serve the next request; False when there is none."""
    prefix = await exchange.wait(limits.SERVER_IDLE_S)
    if prefix is None:
        return False
    async with slots.turn(exchange.peer_id):
        message = await exchange.receive_body(prefix, *accepts)
        count = payload_bytes(message)
        async with slots.hold(exchange.peer_id, count + _ANSWER_BYTES_MAX.get(type(message), 0)):
            payload = await exchange.receive_payload(count)
            answer, parts = await handler(exchange.peer_id, message, payload)
            del payload  # The handler has put it away; the answer may take a while.
            await exchange.send(answer, parts)
    return True

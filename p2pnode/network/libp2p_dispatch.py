"""Streams: opening them to peers, and giving each inbound one to the handler of its protocol."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import StreamHandlerFn

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import PeerSilentError, PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.libp2p_connection import Connection
from p2pnode.network.libp2p_streams import ForeignStream, PeerStream
from p2pnode.network.negotiation import NegotiationError, answer_proposals
from p2pnode.network.pace import Warnings
from p2pnode.network.resources import Claim, LimitReachedError, Reservation, Resource, Scope
from p2pnode.network.yamux_stream import YamuxStream
from p2pnode.seams import Stream, StreamEndedError, StreamHandler
from wire.ids import PeerId

logger = logging.getLogger(__name__)

LONG_LIVED = ("/meshsub/", "/libp2p/circuit/relay/")
"""Foreign protocols of these prefixes keep their streams as long as the connection; the others may not."""

_FOREIGN_KINDS = {"/meshsub/": "meshsub", "/floodsub/": "meshsub", "/ipfs/id/": "identify", "/ipfs/ping/": "ping"}

FindConnection = Callable[[PeerId], Awaitable[Connection]]


class Dispatcher:
    """Opens streams and serves those that peers open."""

    def __init__(
        self,
        *,
        connect: FindConnection,
        connection_to: Callable[[PeerId], Connection],
        foreign: dict[str, StreamHandlerFn],
        may_dial: frozenset[str],
        timeout_s: float,
    ) -> None:
        """`connect` dials if need be, `connection_to` never; `foreign` are py-libp2p's handlers, by protocol.

        Of py-libp2p's protocols only those in `may_dial` may bring back a peer that is not connected.
        """
        self._connect = connect
        self._connection_to = connection_to
        self._foreign = foreign
        self._may_dial = may_dial
        self._timeout_s = timeout_s
        self._handlers: dict[str, StreamHandler] = {}
        self._warnings = Warnings(logger)

    def handle(self, protocol: str, handler: StreamHandler) -> None:
        """Serve a protocol of our own."""
        self._handlers[protocol] = handler

    async def open(self, peer_id: PeerId, protocol: str) -> Stream:
        """Open a stream, dialling if need be. Raises `PeerUnavailableError`; `PeerSilentError` when nothing answers."""
        _, stream, _ = await self._open(peer_id, [protocol], self._connect)
        return PeerStream(peer_id, stream)

    async def open_foreign(self, peer_id: PeerId, protocols: list[str]) -> INetStream:
        """Open a stream for py-libp2p. Raises as `open`."""
        find = self._connect if self._may_dial.issuperset(protocols) else self._find
        connection, stream, protocol = await self._open(peer_id, protocols, find)
        return ForeignStream(connection, stream, protocol)

    async def serve(self, connection: Connection, stream: YamuxStream, slot: Reservation) -> None:
        """Agree on a protocol and run its handler, in the one task of this inbound stream; `slot` is what it holds."""
        try:
            with trio.move_on_after(limits.NEGOTIATION_S) as deadline:
                protocol = await answer_proposals(stream, {*self._handlers, *self._foreign})
        except (NegotiationError, ConnectionLostError) as error:
            logger.debug("a stream from %s came to nothing: %s", connection.remote, error)
            stream.reset()
            return
        if deadline.cancelled_caught:
            stream.reset()
            return
        kind = kind_of(protocol)
        try:
            slot.extend(
                Claim(Scope.PROTOCOL, Resource.STREAMS_INBOUND, kind),
                Claim(Scope.PROTOCOL_OF_PEER, Resource.STREAMS_INBOUND, (connection.peer_id, kind), kind),
            )
        except LimitReachedError as error:
            self._warnings.warn(f"streams of {kind} were refused", f"one of {connection.remote}: {error}")
            stream.reset()
            return
        if protocol in self._handlers:
            await _serve_own(PeerStream(connection.peer_id, stream), self._handlers[protocol])
        else:
            await self._serve_foreign(connection, stream, protocol)

    async def _find(self, peer_id: PeerId) -> Connection:
        await trio.lowlevel.checkpoint()
        return self._connection_to(peer_id)

    async def _open(
        self, peer_id: PeerId, protocols: list[str], find: FindConnection
    ) -> tuple[Connection, YamuxStream, str]:
        for is_last in (False, True):
            connection = await find(peer_id)
            try:
                opened = await connection.open_stream(protocols, timeout_s=self._timeout_s)
                return connection, *opened
            except trio.TooSlowError as error:
                message = f"peer {peer_id_to_text(peer_id)} does not answer"
                raise PeerSilentError(message) from error
            except ConnectionLostError as error:
                # The connection had died unnoticed: one fresh dial tells whether the peer is there.
                if is_last or not connection.session.is_over:
                    message = f"peer {peer_id_to_text(peer_id)} was lost: {error}"
                    raise PeerUnavailableError(message) from error
        message = "unreachable: the second round returns or raises"
        raise AssertionError(message)

    async def _serve_foreign(self, connection: Connection, stream: YamuxStream, protocol: str) -> None:
        lifetime_s = float("inf") if protocol.startswith(LONG_LIVED) else limits.FOREIGN_STREAM_S
        try:
            with trio.move_on_after(lifetime_s):
                await self._foreign[protocol](ForeignStream(connection, stream, protocol))
        except Exception as error:  # noqa: BLE001 - garbage makes these handlers raise anything, and it is no bug of ours
            logger.debug("a %s stream from %s ended: %r", protocol, connection.remote, error)
            stream.reset()


def kind_of(protocol: str) -> str:
    """Return the name under which the table of limits knows a protocol: one name for all its versions and networks."""
    for prefix, kind in _FOREIGN_KINDS.items():
        if protocol.startswith(prefix):
            return kind
    return protocol.rpartition("/")[2]


async def _serve_own(stream: PeerStream, handler: StreamHandler) -> None:
    try:
        await handler(stream)
    except StreamEndedError:
        await stream.close()
    except PeerUnavailableError as error:  # An expected end too: the peer went away in the middle.
        logger.debug("a stream ended: %s", error)
        await stream.reset()

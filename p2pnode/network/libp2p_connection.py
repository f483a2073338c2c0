"""One open connection to one authenticated peer."""

from __future__ import annotations

from collections.abc import Callable

import trio
from libp2p.peer.id import ID

from p2pnode.errors import PeerUnavailableError
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.libp2p_noise import SealedChannel
from p2pnode.network.negotiation import NegotiationError, propose
from p2pnode.network.resources import Claim, LimitReachedError, Reservation, Resource, Resources, Scope
from p2pnode.network.yamux import YamuxSession
from p2pnode.network.yamux_stream import YamuxStream
from wire.ids import PeerId


class ForeignConnection:
    """The little that py-libp2p's gossip and DHT ask of a connection."""

    def __init__(self, peer_id: PeerId, session: YamuxSession) -> None:
        """Show a session under py-libp2p's names."""
        self.peer_id = ID(bytes(peer_id))
        self._session = session

    @property
    def muxed_conn(self) -> ForeignConnection:
        """The same thing: py-libp2p keeps the two layers apart, nothing here depends on it."""
        return self

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone."""
        return self._session.is_over


class Connection:
    """A connection, who is at the other end, and how many streams we have open on it."""

    def __init__(  # noqa: PLR0913 - one parameter a thing that comes from outside
        self,
        *,
        peer_id: PeerId,
        socket: GuardedSocket,
        channel: SealedChannel,
        dialled: str | None,
        accept: Callable[[Connection, YamuxStream], bool],
        ping_every_s: float,
        resources: Resources,
        reservation: Reservation,
        block: str,
        may_hold: Callable[[int], bool],
    ) -> None:
        """`dialled` is the address that we reached the peer at, None when it dialled us from somewhere in `block`.

        `reservation` is the slot that the connection has; released when it is over. `may_hold` is the session's.
        """
        self.peer_id = peer_id
        self.remote = socket.remote
        self.is_relayed = socket.is_relayed
        self.is_outbound = dialled is not None
        self.address = dialled or ""
        self.block = block
        self._reservation = reservation
        self._resources = resources
        self._channel = channel
        self.session = YamuxSession(
            channel,
            is_initiator=self.is_outbound,
            accept=lambda stream: accept(self, stream),
            ping_every_s=ping_every_s,
            unread=resources.reserve(
                (Claim(Scope.SYSTEM, Resource.UNREAD_BYTES), Claim(Scope.PEER, Resource.UNREAD_BYTES, peer_id)), count=0
            ),
            may_hold=may_hold,
        )
        self.foreign = ForeignConnection(peer_id, self.session)

    @property
    def last_arrival(self) -> float:
        """When bytes came last: of two connections to a peer, the one that is surely alive."""
        return self._channel.last_arrival

    @property
    def _stream_claim(self) -> Claim:
        return Claim(Scope.CONNECTION, Resource.STREAMS, id(self))

    def hold_inbound(self, stream: YamuxStream) -> None:
        """Count a stream that the peer opened until both sides are through. Raises `LimitReachedError`."""
        stream.reservation = self._resources.reserve((self._stream_claim,))

    def give_way(self, reason: str) -> None:
        """Let go of the slot at once, and end."""
        self.release()
        self.session.abort(reason)

    def release(self) -> None:
        """Let go of the slot; harmless when it is gone already."""
        self._reservation.release()

    async def open_stream(self, protocols: list[str], *, timeout_s: float) -> tuple[YamuxStream, str]:
        """Open a stream and agree on one of the protocols.

        Raises `ConnectionLostError`, `trio.TooSlowError`, or `PeerUnavailableError` when the peer speaks none of them.
        """
        try:
            reservation = self._resources.reserve(
                (
                    Claim(Scope.SYSTEM, Resource.STREAMS_OUTBOUND),
                    Claim(Scope.PEER, Resource.STREAMS_OUTBOUND, self.peer_id),
                    self._stream_claim,
                )
            )
        except LimitReachedError as error:
            message = f"no further stream to the peer: {error}"
            raise PeerUnavailableError(message) from error
        try:
            stream = self.session.open()
        except ConnectionLostError:
            reservation.release()
            raise
        stream.reservation = reservation
        is_agreed = False
        try:
            with trio.fail_after(timeout_s):
                protocol = await propose(stream, protocols)
            is_agreed = True
            return stream, protocol
        except NegotiationError as error:
            message = f"no stream could be opened: {error}"
            raise PeerUnavailableError(message) from error
        finally:
            if not is_agreed:
                stream.reset()

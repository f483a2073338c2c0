"""Circuits of one node: which relays we have, how peers behind relays are dialled, and relaying for others.

It joins `libp2p_relay.py` to the connections. A place at a relay lives as long as the connection that it was asked on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio
from libp2p.custom_types import StreamHandlerFn

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import PeerSilentError, PeerUnavailableError
from p2pnode.membership.circuit_addresses import CircuitAddress
from p2pnode.network import limits
from p2pnode.network.addresses import Endpoint, dialable
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.libp2p_connection import Connection
from p2pnode.network.libp2p_connections import ConnectionTable
from p2pnode.network.libp2p_relay import HOP, STOP, CircuitStream, Relay, Relayed
from p2pnode.network.yamux_stream import YamuxStream
from p2pnode.seams import Clock
from wire.ids import PeerId


@dataclass(frozen=True, slots=True)
class _Place:
    """A reservation with a relay."""

    connection: Connection
    """The one that it was asked on: when it is gone, the relay has forgotten us."""
    addresses: tuple[str, ...]


class Circuits:
    """Reaching and being reached through relays, and being one."""

    def __init__(
        self,
        *,
        own_id: PeerId,
        connections: ConnectionTable,
        addresses: Callable[[], Sequence[str]],
        allows_private: bool,
        clock: Clock,
        timeout_s: float,
        relays_for_others: bool,
    ) -> None:
        """`addresses` are those at which we can be dialled directly, `timeout_s` is for opening one stream."""
        self._own_id = own_id
        self._connections = connections
        self._allows_private = allows_private
        self._timeout_s = timeout_s
        self._places: dict[PeerId, _Place] = {}
        self.relayed = Relayed(open_hop=self._open, accept=connections.accept)
        self.relay = Relay(open_stop=self._open, addresses=addresses, own_id=own_id, clock=clock)
        self._relays_for_others = relays_for_others

    def handlers(self) -> dict[str, StreamHandlerFn]:
        """Return the protocols to serve: nobody is told of a relay that does not want to be one."""
        mine: dict[str, StreamHandlerFn] = {STOP: self.relayed.serve}
        return mine | {HOP: self.relay.serve} if self._relays_for_others else mine

    # Being reached.

    def relays(self) -> tuple[PeerId, ...]:
        """Return the relays through which we are reached now, in the order of their ids."""
        return tuple(
            relay_id for relay_id, place in sorted(self._places.items()) if not place.connection.session.is_over
        )

    def addresses(self) -> tuple[str, ...]:
        """Return where we are reached through them."""
        return tuple(address for relay_id in self.relays() for address in self._places[relay_id].addresses)

    async def reserve(self, relay_id: PeerId) -> tuple[str, ...]:
        """Have a connected peer relay for us, or go on with it; return where we are reached through it.

        Raises `PeerRefusedError` when it does not want to, `PeerUnavailableError`.
        """
        is_granted = False
        try:
            connection, endpoints = await self.relayed.reserve(relay_id)
            # First the address at which it can surely be dialled, because we did; it is empty when it dialled us.
            named = [connection.address, *(endpoint.text() for endpoint in endpoints)]
            chosen = dialable(named, allows_private=self._allows_private, count_max=limits.RELAY_ADDRESSES_MAX)
            if not chosen:
                message = f"the relay {peer_id_to_text(relay_id)} has no address that others could dial"
                raise PeerUnavailableError(message)
            is_granted = True
        finally:
            if not is_granted:
                self.release(relay_id)
        addresses = tuple(CircuitAddress(each, relay_id).text() for each in chosen if isinstance(each, Endpoint))
        self._places[relay_id] = _Place(connection, addresses)
        return addresses

    def release(self, relay_id: PeerId) -> None:
        """Be reached through this relay no more; it forgets us by itself. No error when we were not."""
        self._places.pop(relay_id, None)
        self.relayed.forget(relay_id)

    def peer_lost(self, peer_id: PeerId) -> None:
        """Take note that the last connection to a peer is gone."""
        self.release(peer_id)
        self.relay.desk.release(peer_id)

    # Reaching others.

    async def approach(self, peer_id: PeerId, address: CircuitAddress) -> None:
        """Make sure of a direct connection to the relay of a peer. Raises `PeerUnavailableError`; the caller waits."""
        if address.relay_id in (self._own_id, peer_id):
            message = f"peer {peer_id_to_text(peer_id)} is not behind {address.text()} for us"
            raise PeerUnavailableError(message)
        await self._connections.connect(address.relay_id, [address.relay])
        self._direct(address.relay_id)

    async def dial(self, peer_id: PeerId, address: CircuitAddress) -> CircuitStream:
        """Open a circuit; who answers at its end has proven nothing yet. Raises `PeerUnavailableError`."""
        return await self.relayed.dial(peer_id, address.relay_id)

    def _direct(self, peer_id: PeerId) -> Connection:
        direct = [each for each in self._connections.of(peer_id) if not each.is_relayed]
        if not direct:
            message = f"there is no direct connection to {peer_id_to_text(peer_id)}"
            raise PeerUnavailableError(message)
        return max(direct, key=lambda each: each.last_arrival)

    async def _open(self, peer_id: PeerId, protocol: str) -> tuple[Connection, YamuxStream]:
        """Open a stream on a direct connection. Raises `PeerUnavailableError`."""
        connection = self._direct(peer_id)
        try:
            stream, _ = await connection.open_stream([protocol], timeout_s=self._timeout_s)
        except trio.TooSlowError as error:
            message = f"peer {peer_id_to_text(peer_id)} does not answer"
            raise PeerSilentError(message) from error
        except ConnectionLostError as error:
            message = f"peer {peer_id_to_text(peer_id)} was lost: {error}"
            raise PeerUnavailableError(message) from error
        return connection, stream

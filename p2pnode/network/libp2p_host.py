"""The part of a libp2p host that py-libp2p's gossip, DHT and identify use, over our own connections.

It stands in for `BasicHost` and `Swarm`. Those leak a slot for each accepted connection, let an exception of one stream
end the host, refuse a peer for a minute after one failed dial, and cost 250 ms for each dial that succeeds.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from libp2p.abc import IHost, INetStream
from libp2p.crypto.keys import KeyPair, PrivateKey, PublicKey
from libp2p.custom_types import StreamHandlerFn, TProtocol
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.peer.peerstore import PeerStore
from multiaddr import Multiaddr

from p2pnode.errors import PeerUnavailableError
from p2pnode.network.libp2p_connection import ForeignConnection
from wire.ids import PeerId

logger = logging.getLogger(__name__)


class HostBackend:
    """What the host needs from the adapter; filled in by it."""

    def __init__(
        self,
        *,
        open_foreign: Callable[[PeerId, list[str]], Awaitable[INetStream]],
        connections: Callable[[PeerId], list[ForeignConnection]],
        connected: Callable[[], list[PeerId]],
        addresses: Callable[[], Sequence[str]],
    ) -> None:
        """Keep the four callables."""
        self.open_foreign = open_foreign
        self.connections = connections
        self.connected = connected
        self.addresses = addresses


class ForeignNetwork:
    """The part of `INetwork` that is used: the connections."""

    def __init__(self, backend: HostBackend) -> None:
        """Take where the connections are known."""
        self._backend = backend

    def get_connections(self, peer_id: ID) -> list[ForeignConnection]:
        """Return the open connections with a peer."""
        return self._backend.connections(PeerId(peer_id.to_bytes()))


class ForeignMultiselect:
    """The part of `Multiselect` that identify reads."""

    def __init__(self, names: Callable[[], Sequence[str]]) -> None:
        """Take where the names come from."""
        self._names = names

    def get_protocols(self) -> tuple[TProtocol, ...]:
        """Return the protocols that are served here."""
        return tuple(TProtocol(name) for name in self._names())


class ForeignHost:
    """The part of `IHost` that is used. `aliases` renames protocols on the wire: the DHT's, per network."""

    def __init__(
        self, *, key_pair: KeyPair, backend: HostBackend, aliases: dict[str, str], handlers: dict[str, StreamHandlerFn]
    ) -> None:
        """`handlers` is filled with py-libp2p's protocols, by their names on the wire."""
        self._key_pair = key_pair
        self._id = ID.from_pubkey(key_pair.public_key)
        self._backend = backend
        self._aliases = aliases
        self._peerstore = PeerStore()
        self._peerstore.add_key_pair(self._id, key_pair)
        self.network = ForeignNetwork(backend)
        self.handlers = handlers

    def as_host(self) -> IHost:
        """Return this object under the type that py-libp2p's constructors ask for."""
        return cast("IHost", self)

    def get_id(self) -> ID:
        """Return our peer id."""
        return self._id

    def get_public_key(self) -> PublicKey:
        """Return our public key."""
        return self._key_pair.public_key

    def get_private_key(self) -> PrivateKey:
        """Return our private key: gossip and signed address records use it."""
        return self._key_pair.private_key

    def get_network(self) -> ForeignNetwork:
        """Return the connections."""
        return self.network

    def get_peerstore(self) -> PeerStore:
        """Return py-libp2p's bounded memory of peers and their addresses."""
        return self._peerstore

    def get_addrs(self) -> list[Multiaddr]:
        """Return our concrete addresses with our peer id; never an unspecified one."""
        return [Multiaddr(f"{address}/p2p/{self._id}") for address in self._backend.addresses()]

    def get_transport_addrs(self) -> list[Multiaddr]:
        """Return our concrete addresses."""
        return [Multiaddr(address) for address in self._backend.addresses()]

    def get_mux(self) -> ForeignMultiselect:
        """Return who knows the protocols that are served."""
        return ForeignMultiselect(lambda: list(self.handlers))

    def get_connected_peers(self) -> list[ID]:
        """Return the peers with an open connection."""
        return [ID(bytes(peer_id)) for peer_id in self._backend.connected()]

    def set_stream_handler(self, protocol_id: TProtocol, stream_handler: StreamHandlerFn) -> None:
        """Serve a protocol of py-libp2p."""
        self.handlers[self._alias(str(protocol_id))] = stream_handler

    def remove_stream_handler(self, protocol_id: TProtocol) -> None:
        """Serve a protocol no more."""
        self.handlers.pop(self._alias(str(protocol_id)), None)

    async def new_stream(self, peer_id: ID, protocol_ids: Sequence[TProtocol]) -> INetStream:
        """Open a stream, dialling if need be. Raises `SwarmException`, which its callers know how to take."""
        try:
            return await self._backend.open_foreign(
                PeerId(peer_id.to_bytes()), [self._alias(str(protocol)) for protocol in protocol_ids]
            )
        except (PeerUnavailableError, ValueError) as error:
            message = f"no stream to {peer_id}: {error}"
            raise SwarmException(message) from error

    async def connect(self, peer_info: PeerInfo) -> None:
        """Do nothing: gossip calls this for peers that strangers recommend, and we choose ourselves whom to dial."""

    def _alias(self, protocol: str) -> str:
        return self._aliases.get(protocol, protocol)

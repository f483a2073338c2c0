"""`Libp2pNetwork`: the `Network` seam over real TCP, Noise, yamux, GossipSub and Kademlia.

From py-libp2p come the Noise handshake, GossipSub and Kademlia; sockets, dialling, streams and their limits are our own
(`libp2p_host.py` and `yamux.py` say why). This file puts the parts together and knows the addresses of peers.
"""

from __future__ import annotations

import errno
import functools
import logging
from collections.abc import Sequence

import trio
from libp2p.abc import INetStream

from crypto.keys import SigningKey
from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.config import Profile
from p2pnode.errors import CallerError, PeerSilentError, PeerUnavailableError, PortInUseError
from p2pnode.network import limits
from p2pnode.network.addresses import (
    BadAddressError,
    Endpoint,
    announceable,
    dialable,
    endpoint_of,
    interface_addresses,
    parse_bootstrap,
    parse_endpoint,
)
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.libp2p_connection import Connection, ForeignConnection
from p2pnode.network.libp2p_connections import ConnectionTable
from p2pnode.network.libp2p_dht import Dht
from p2pnode.network.libp2p_gossip import Gossip
from p2pnode.network.libp2p_host import ForeignHost, HostBackend
from p2pnode.network.libp2p_identify import IDENTIFY, answer_identify, ask_identify
from p2pnode.network.libp2p_noise import Handshaker
from p2pnode.network.libp2p_patches import KAD_PROTOCOL, check_version, quieten_logging
from p2pnode.network.libp2p_streams import ForeignStream, PeerStream
from p2pnode.network.negotiation import NegotiationError, answer_proposals
from p2pnode.network.yamux_stream import YamuxStream
from p2pnode.seams import Clock, Connected, GossipHandler, OnRunning, Rng, Stream, StreamEndedError, StreamHandler
from wire.ids import PeerId
from wire.protocol_ids import NetworkNames

logger = logging.getLogger(__name__)

_LISTEN_BACKLOG = 128


class Libp2pNetwork:
    """One node's network. Everything but `handle`, `subscribe`, `learn_addresses` needs `run` to be running."""

    def __init__(
        self,
        *,
        key: SigningKey,
        names: NetworkNames,
        profile: Profile,
        clock: Clock,
        rng: Rng,
        listen: Sequence[str],
        announce: Sequence[str] = (),
    ) -> None:
        """`listen` has multiaddrs; `announce` replaces what peers are told. Raises `CallerError` for bad ones."""
        check_version()
        quieten_logging()
        self._peer_id = PeerId(peer_id_of(key.public))
        self._profile = profile
        self._clock = clock
        self._listen = [_own_endpoint(text) for text in listen]
        self._announce = tuple(_own_endpoint(text).text() for text in announce)
        self._addresses: tuple[str, ...] = self._announce
        self._learnt: dict[PeerId, tuple[str, ...]] = {}
        self._handlers: dict[str, StreamHandler] = {}
        self._topics: dict[str, GossipHandler] = {}
        self._gossip: Gossip | None = None
        self._has_peers = trio.Event()
        self._changes_in, self._changes_out = trio.open_memory_channel[tuple[PeerId, bool]](limits.CONNECTIONS_MAX)
        self._kad = names.protocol("kad")
        handshaker = Handshaker(key)
        self.connections = ConnectionTable(
            own_id=self._peer_id,
            handshaker=handshaker,
            dial_timeout_s=profile.dial_timeout_s,
            ping_every_s=profile.ping_every_s,
            serve_stream=self._serve_stream,
            on_change=self._on_change,
        )
        self._host = ForeignHost(
            key_pair=handshaker.key_pair,
            backend=HostBackend(
                open_foreign=self._open_foreign,
                connections=self._foreign_connections,
                connected=self.connections.peers,
                addresses=self.addresses,
            ),
            aliases={KAD_PROTOCOL: self._kad},
        )
        self._host.handlers[IDENTIFY] = functools.partial(answer_identify, self._host)
        self._dht = Dht(self._host, rng)

    # Who and where.

    @property
    def peer_id(self) -> PeerId:
        """Our own peer id."""
        return self._peer_id

    def addresses(self) -> tuple[str, ...]:
        """Return our concrete multiaddrs, without the peer id."""
        return self._addresses

    def learn_addresses(self, peer_id: PeerId, addresses: Sequence[str]) -> None:
        """Remember where a peer says it listens; replaces what was learnt before."""
        self._learnt.pop(peer_id, None)
        self._learnt[peer_id] = tuple(addresses)[: limits.ADDRESSES_KEPT_MAX]
        while len(self._learnt) > limits.PEERS_WITH_ADDRESSES_MAX:
            del self._learnt[next(iter(self._learnt))]

    def connected(self) -> tuple[Connected, ...]:
        """Return the peers with an open connection, in the order of their ids."""
        found = []
        for peer_id in self.connections.peers():
            connections = sorted(self.connections.of(peer_id), key=lambda each: each.is_outbound, reverse=True)
            found.append(Connected(peer_id, connections[0].address))
        return tuple(found)

    # Connecting.

    async def connect(self, peer_id: PeerId) -> None:
        """Make sure that a connection exists, trying every known address. Raises `PeerUnavailableError`."""
        await self._connect(peer_id)

    async def bootstrap(self, address: str) -> PeerId:
        """Connect to a multiaddr that ends in `/p2p/<peer id>`, private or not: the user named it."""
        endpoint, peer_id = parse_bootstrap(address)
        await self.connections.connect(peer_id, [endpoint])
        return peer_id

    async def disconnect(self, peer_id: PeerId) -> None:
        """Close every connection with a peer."""
        await self.connections.disconnect(peer_id)

    async def find_addresses(self, peer_id: PeerId) -> tuple[str, ...]:
        """Ask the DHT where a peer listens; only what may be dialled, empty when it does not know."""
        return tuple(endpoint.text() for endpoint in self._dialable(await self._dht.find(peer_id)))

    async def _connect(self, peer_id: PeerId) -> Connection:
        known = self._learnt.get(peer_id) or self._dht.addresses_heard_of(peer_id)
        return await self.connections.connect(peer_id, self._dialable(known))

    def _connection_to(self, peer_id: PeerId) -> Connection:
        connection = self.connections.best(peer_id)
        if connection is None:
            message = f"peer {peer_id_to_text(peer_id)} is not connected"
            raise PeerUnavailableError(message)
        return connection

    def _dialable(self, addresses: Sequence[str]) -> list[Endpoint]:
        return dialable(
            addresses,
            allows_private=self._profile.dials_private_addresses,
            own=self._addresses,
            count_max=limits.ADDRESSES_KEPT_MAX,
        )

    # Streams.

    async def open_stream(self, peer_id: PeerId, protocol: str) -> Stream:
        """Open a stream, dialling if need be. Raises `PeerUnavailableError`; `PeerSilentError` when nothing answers."""
        _, stream, _ = await self._open(peer_id, [protocol], may_dial=True)
        return PeerStream(peer_id, stream)

    def handle(self, protocol: str, handler: StreamHandler) -> None:
        """Serve a protocol."""
        self._handlers[protocol] = handler

    async def _open(
        self, peer_id: PeerId, protocols: list[str], *, may_dial: bool
    ) -> tuple[Connection, YamuxStream, str]:
        for is_last in (False, True):
            connection = await self._connect(peer_id) if may_dial else self._connection_to(peer_id)
            try:
                opened = await connection.open_stream(protocols, timeout_s=self._profile.dial_timeout_s)
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

    async def _open_foreign(self, peer_id: PeerId, protocols: list[str]) -> INetStream:
        """Open a stream for py-libp2p. Only the DHT may dial: gossip would bring back whom we just disconnected."""
        connection, stream, protocol = await self._open(peer_id, protocols, may_dial=protocols == [self._kad])
        return ForeignStream(connection, stream, protocol)

    def _foreign_connections(self, peer_id: PeerId) -> list[ForeignConnection]:
        return [connection.foreign for connection in self.connections.of(peer_id)]

    async def _serve_stream(self, connection: Connection, stream: YamuxStream) -> None:
        """Agree on a protocol and run its handler, the one task of this inbound stream."""
        try:
            with trio.move_on_after(limits.NEGOTIATION_S) as deadline:
                protocol = await answer_proposals(stream, {*self._handlers, *self._host.handlers})
        except (NegotiationError, ConnectionLostError) as error:
            logger.debug("a stream from %s came to nothing: %s", connection.remote, error)
            stream.reset()
            return
        if deadline.cancelled_caught:
            stream.reset()
        elif protocol in self._handlers:
            await self._serve_own(PeerStream(connection.peer_id, stream), self._handlers[protocol])
        else:
            await self._serve_foreign(connection, stream, protocol)

    async def _serve_own(self, stream: PeerStream, handler: StreamHandler) -> None:
        try:
            await handler(stream)
        except StreamEndedError:
            await stream.close()
        except PeerUnavailableError as error:  # An expected end too: the peer went away in the middle.
            logger.debug("a stream ended: %s", error)
            await stream.reset()

    async def _serve_foreign(self, connection: Connection, stream: YamuxStream, protocol: str) -> None:
        """Run a handler of py-libp2p's. Gossip's streams live as long as the connection; the others may not."""
        foreign = ForeignStream(connection, stream, protocol)
        lifetime_s = float("inf") if protocol.startswith("/meshsub/") else limits.FOREIGN_STREAM_S
        try:
            with trio.move_on_after(lifetime_s):
                await self._host.handlers[protocol](foreign)
        except Exception as error:  # noqa: BLE001 - garbage makes these handlers raise anything, and it is no bug of ours
            logger.debug("a %s stream from %s ended: %r", protocol, connection.remote, error)
            stream.reset()

    # Gossip.

    def subscribe(self, topic: str, handler: GossipHandler) -> None:
        """Take part in a topic; call it before the network runs."""
        assert self._gossip is None, "subscribe before the network runs"
        self._topics[topic] = handler

    async def publish(self, topic: str, data: bytes) -> None:
        """Gossip a message to everyone in the topic."""
        assert self._gossip is not None, "the network does not run"
        await self._gossip.publish(topic, data)

    # Running.

    async def run(self, *, task_status: OnRunning) -> None:
        """Listen and serve until cancelled. Raises `PortInUseError`; `CallerError` for an address that is not ours."""
        self._gossip = Gossip(self._host, self._topics, self._clock)
        listeners = await self._open_listeners()
        self._addresses = self._announce or self._concrete(listeners)
        async with trio.open_nursery() as nursery:
            self.connections.start(nursery)
            nursery.start_soon(self._tell_changes)
            async with self._gossip.running():
                nursery.start_soon(self._dht.keep_fresh, self._has_peers)
                if listeners:
                    accept = functools.partial(trio.serve_listeners, self.connections.accept, listeners)
                    await nursery.start(functools.partial(accept, handler_nursery=nursery))
                task_status.started()
                await trio.sleep_forever()

    async def _open_listeners(self) -> list[trio.SocketListener]:
        listeners: list[trio.SocketListener] = []
        is_complete = False
        try:
            for endpoint in self._listen:
                listeners += await _open_listener(endpoint)
            is_complete = True
        finally:
            if not is_complete:
                for listener in listeners:
                    listener.socket.close()
        return listeners

    def _concrete(self, listeners: list[trio.SocketListener]) -> tuple[str, ...]:
        listening = [endpoint_of(*listener.socket.getsockname()[:2]) for listener in listeners]
        return announceable(listening, interface_addresses(), allows_private=self._profile.dials_private_addresses)

    def _on_change(self, peer_id: PeerId, is_connected: bool) -> None:  # noqa: FBT001 - it comes from a callback
        if is_connected:
            self._has_peers.set()
        try:
            self._changes_in.send_nowait((peer_id, is_connected))
        except trio.WouldBlock:
            logger.warning("more connections came and went than gossip could follow")

    async def _tell_changes(self) -> None:
        """Tell gossip and the DHT who came and went, in order, one after the other."""
        async with trio.open_nursery() as nursery:
            async for peer_id, is_connected in self._changes_out:
                await self._host.network.notify(peer_id, is_connected=is_connected)
                if is_connected:
                    nursery.start_soon(self._introduce, peer_id)

    async def _introduce(self, peer_id: PeerId) -> None:
        """Learn where a new peer listens and put it into the routing table. The outermost frame of its task."""
        try:
            addresses = self._dialable(await ask_identify(await self._open_foreign(peer_id, [IDENTIFY])))
            texts = [endpoint.text() for endpoint in addresses]
            if texts:
                await self._dht.add(peer_id, texts)
        except PeerUnavailableError as error:
            logger.debug("a new peer went away again: %s", error)
        except Exception:
            logger.exception("learning of a new peer failed")


def _own_endpoint(text: str) -> Endpoint:
    try:
        endpoint = parse_endpoint(text)
    except BadAddressError as error:
        message = f"not an address to listen on or to announce: {error}"
        raise CallerError(message) from error
    return endpoint


async def _open_listener(endpoint: Endpoint) -> list[trio.SocketListener]:
    if endpoint.ip is None:
        message = f"cannot listen on {endpoint.text()}: an IP address is needed"
        raise CallerError(message)
    try:
        return await trio.open_tcp_listeners(endpoint.port, host=endpoint.host, backlog=_LISTEN_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"{endpoint.text()} is in use by another program: stop it, or choose another port with --listen"
            raise PortInUseError(message) from error
        message = f"cannot listen on {endpoint.text()}: {error.strerror or error}"
        raise CallerError(message) from error

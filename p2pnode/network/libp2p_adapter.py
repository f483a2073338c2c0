"""`Libp2pNetwork`: the `Network` seam over real TCP, Noise, yamux, GossipSub and Kademlia.

From py-libp2p come the Noise handshake, GossipSub and Kademlia; sockets, dialling, streams and their limits are our own
(`libp2p_host.py` and `yamux.py` say why). This file puts the parts together and knows the addresses of peers.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence

import trio
from libp2p.custom_types import StreamHandlerFn

from crypto.keys import SigningKey
from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.config import Profile
from p2pnode.errors import PeerUnavailableError
from p2pnode.membership.circuit_addresses import Dialable
from p2pnode.network import limits
from p2pnode.network.addresses import (
    BadAddressError,
    announceable,
    dialable,
    endpoint_of,
    parse_announced,
    parse_bootstrap,
    parse_endpoint,
    parse_listened,
    with_extra,
)
from p2pnode.network.libp2p_circuits import Circuits
from p2pnode.network.libp2p_connection import Connection, ForeignConnection
from p2pnode.network.libp2p_connections import ConnectionTable
from p2pnode.network.libp2p_dht import Dht
from p2pnode.network.libp2p_dial_back import FreshDialler
from p2pnode.network.libp2p_dispatch import Dispatcher
from p2pnode.network.libp2p_gossip import Gossip
from p2pnode.network.libp2p_host import ForeignHost, HostBackend
from p2pnode.network.libp2p_identify import IDENTIFY, answer_identify, ask_identify
from p2pnode.network.libp2p_noise import Handshaker
from p2pnode.network.libp2p_patches import KAD_PROTOCOL, check_version, quieten_logging
from p2pnode.network.libp2p_ping import PING, serve_pings
from p2pnode.network.names import resolve
from p2pnode.network.tcp_transport import TcpTransport
from p2pnode.network.transport import Listener, Transport
from p2pnode.seams import Clock, Connected, GossipHandler, OnRunning, Rng, Stream, StreamHandler
from wire.ids import PeerId
from wire.network_secret import NetworkSecret
from wire.protocol_ids import NetworkNames

logger = logging.getLogger(__name__)


class Libp2pNetwork:
    """One node's network. Everything but `handle`, `subscribe`, `learn_addresses` needs `run` to be running."""

    _listener: Listener | None = None

    def __init__(  # noqa: PLR0913 - one parameter a thing that comes from outside
        self,
        *,
        key: SigningKey,
        names: NetworkNames,
        profile: Profile,
        clock: Clock,
        rng: Rng,
        listen: Sequence[str],
        announce: Sequence[str] = (),
        secret: NetworkSecret | None = None,
        transport: Transport | None = None,
        relays_for_others: bool = True,
    ) -> None:
        """`listen` has multiaddrs; `announce` replaces what peers are told; `transport` is TCP unless given.

        With a `secret` nobody without it gets past the first message of the handshake.
        Raises `CallerError` for bad addresses.
        """
        check_version()
        quieten_logging()
        self._peer_id = PeerId(peer_id_of(key.public))
        self._profile = profile
        self._clock = clock
        self._listen = [parse_listened(text) for text in listen]
        self._announce = tuple(parse_announced(text).text() for text in announce)
        self._also: tuple[str, ...] = ()
        self._addresses: tuple[str, ...] = self._announce
        self._learnt: dict[PeerId, tuple[str, ...]] = {}
        self._bootstrap_errors: dict[str, str] = {}
        self._topics: dict[str, GossipHandler] = {}
        self._gossip: Gossip | None = None
        self._has_peers = trio.Event()
        self._changes_in, self._changes_out = trio.open_memory_channel[tuple[PeerId, bool]](limits.CONNECTIONS_MAX)
        self._transport = transport or TcpTransport(dials_private_names=profile.dials_private_addresses)
        kad = names.protocol("kad")
        foreign: dict[str, StreamHandlerFn] = {}
        self._dispatcher = Dispatcher(
            connect=self._connect,
            connection_to=self._connection_to,
            foreign=foreign,
            may_dial=frozenset({kad}),  # Gossip would bring back whom we just disconnected.
            timeout_s=profile.dial_timeout_s,
        )
        shared_key = None if secret is None else secret.handshake_key(names.network)
        handshaker = Handshaker(key, shared_key=shared_key)
        self.connections = ConnectionTable(
            own_id=self._peer_id,
            transport=self._transport,
            handshaker=handshaker,
            dial_timeout_s=profile.dial_timeout_s,
            ping_every_s=profile.ping_every_s,
            serve_stream=self._dispatcher.serve,
            on_change=self._on_change,
        )
        self._fresh = FreshDialler(transport=self._transport, handshaker=handshaker, timeout_s=profile.dial_timeout_s)
        self._host = ForeignHost(
            key_pair=handshaker.key_pair,
            backend=HostBackend(
                open_foreign=self._dispatcher.open_foreign,
                connections=self._foreign_connections,
                connected=self.connections.peers,
                addresses=self.addresses,
            ),
            aliases={KAD_PROTOCOL: kad},
            handlers=foreign,
        )
        self.circuits = self._join_circuits(relays_for_others=relays_for_others)
        self._rng = rng
        self._dht = Dht(self._host, rng)

    def _join_circuits(self, *, relays_for_others: bool) -> Circuits:
        circuits = Circuits(
            own_id=self._peer_id,
            connections=self.connections,
            addresses=self._direct_addresses,
            allows_private=self._profile.dials_private_addresses,
            clock=self._clock,
            timeout_s=self._profile.dial_timeout_s,
            relays_for_others=relays_for_others,
        )
        self.connections.circuits = circuits
        own: dict[str, StreamHandlerFn] = {
            IDENTIFY: functools.partial(answer_identify, self._host),
            PING: serve_pings,
        }
        self._host.handlers.update(own | circuits.handlers())
        return circuits

    # Who and where.

    @property
    def peer_id(self) -> PeerId:
        """Our own peer id."""
        return self._peer_id

    def addresses(self) -> tuple[str, ...]:
        """Return our concrete multiaddrs, without the peer id."""
        return with_extra(self._direct_addresses(), self.circuits.addresses())

    def _direct_addresses(self) -> tuple[str, ...]:
        return with_extra(self._addresses, self._also)

    def announce_also(self, addresses: Sequence[str]) -> None:
        """Count these among our own addresses too; replaces what was given before. Raises `CallerError`."""
        self._also = tuple(parse_announced(text).text() for text in addresses)

    def seen_at(self, peer_id: PeerId) -> tuple[str, ...]:
        """Return the multiaddrs at the other end of a peer's connections, those it made first; none through relays."""
        connections = sorted(self.connections.of(peer_id), key=lambda each: each.is_outbound)
        found = [endpoint_of(*each.remote).text() for each in connections if each.remote[0] and not each.is_relayed]
        return tuple(dict.fromkeys(found))

    async def resolve(self, address: str) -> tuple[str, ...]:
        """Return what one of our addresses means with IP addresses for a name; nothing for one through a relay."""
        try:
            return tuple(each.text() for each in await resolve(parse_endpoint(address)))
        except BadAddressError:
            return ()

    async def dial_back(self, peer_id: PeerId, address: str) -> None:
        """Dial a peer afresh, let it prove who it is, and close. Raises `PeerUnavailableError`, `PeerSilentError`."""
        await self._fresh.dial(peer_id, parse_endpoint(address))

    def local_addresses(self) -> tuple[str, ...]:
        """Return where this machine itself listens, private addresses too, whatever peers elsewhere are told."""
        if self._listener is None:
            return ()
        return announceable(self._listener.endpoints, self._transport.interface_addresses(), allows_private=True)

    async def reserve_relay(self, peer_id: PeerId) -> tuple[str, ...]:
        """Have a connected peer relay for us for RELAY_RESERVATION_S, or go on with it. Raises as the seam says."""
        return await self.circuits.reserve(peer_id)

    def release_relay(self, peer_id: PeerId) -> None:
        """Be reached through this relay no more; no error when we were not."""
        self.circuits.release(peer_id)

    def relays(self) -> tuple[PeerId, ...]:
        """Return the relays through which we are reached now."""
        return self.circuits.relays()

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
            found.append(Connected(peer_id, connections[0].address, _source_of(connections[0])))
        return tuple(found)

    # Connecting.

    async def connect(self, peer_id: PeerId) -> None:
        """Make sure that a connection exists, trying every known address. Raises `PeerUnavailableError`."""
        await self._connect(peer_id)

    async def bootstrap(self, address: str) -> PeerId:
        """Connect to a multiaddr that ends in `/p2p/<peer id>`, private or not: the user named it."""
        endpoint, peer_id = parse_bootstrap(address)
        try:
            await self.connections.connect(peer_id, [endpoint])
        except PeerUnavailableError as error:
            if self._bootstrap_errors.get(address) != str(error):  # Said once, not at every attempt.
                logger.warning("no contact with the bootstrap address %s: %s", address, error)
            self._bootstrap_errors[address] = str(error)
            while len(self._bootstrap_errors) > limits.BOOTSTRAP_ERRORS_MAX:
                del self._bootstrap_errors[next(iter(self._bootstrap_errors))]
            raise
        self._bootstrap_errors.pop(address, None)
        return peer_id

    async def disconnect(self, peer_id: PeerId) -> None:
        """Close every connection with a peer."""
        await self.connections.disconnect(peer_id)

    def protect(self, peer_ids: frozenset[PeerId]) -> None:
        """Keep these peers' connections when strangers fill the slots; replaces the earlier set."""
        self.connections.protect(peer_ids)

    async def find_addresses(self, peer_id: PeerId) -> tuple[str, ...]:
        """Ask the DHT where a peer listens; only what may be dialled, empty when it does not know."""
        return tuple(endpoint.text() for endpoint in self._dialable(await self._dht.find(peer_id)))

    async def provide(self, name: bytes) -> bool:
        """Record in the DHT, for PROVIDER_RECORD_S, that we have what `name` stands for; False when nobody was told."""
        return await self._dht.provide(name)

    async def find_providers(self, name: bytes) -> dict[PeerId, tuple[str, ...]]:
        """Ask the DHT who else has what `name` stands for: what may be dialled of each. Nothing of it is proven."""
        found = await self._dht.find_providers(name)
        found.pop(self._peer_id, None)
        return {
            peer_id: tuple(endpoint.text() for endpoint in self._dialable(texts)) for peer_id, texts in found.items()
        }

    async def _connect(self, peer_id: PeerId) -> Connection:
        known = self._learnt.get(peer_id) or self._dht.addresses_heard_of(peer_id)
        return await self.connections.connect(peer_id, self._dialable(known))

    def _connection_to(self, peer_id: PeerId) -> Connection:
        connection = self.connections.best(peer_id)
        if connection is None:
            message = f"peer {peer_id_to_text(peer_id)} is not connected"
            raise PeerUnavailableError(message)
        return connection

    def _dialable(self, addresses: Sequence[str]) -> list[Dialable]:
        return dialable(
            addresses,
            allows_private=self._profile.dials_private_addresses,
            own=self.addresses(),
            count_max=limits.ADDRESSES_KEPT_MAX,
        )

    def _foreign_connections(self, peer_id: PeerId) -> list[ForeignConnection]:
        return [connection.foreign for connection in self.connections.of(peer_id)]

    # Streams.

    async def open_stream(self, peer_id: PeerId, protocol: str) -> Stream:
        """Open a stream, dialling if need be. Raises `PeerUnavailableError`; `PeerSilentError` when nothing answers."""
        return await self._dispatcher.open(peer_id, protocol)

    def handle(self, protocol: str, handler: StreamHandler) -> None:
        """Serve a protocol."""
        self._dispatcher.handle(protocol, handler)

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
        self._gossip = Gossip(self._host, self._topics, clock=self._clock, rng=self._rng)
        listener = await self._transport.listen(self._listen)
        self._addresses = self._announce or self._concrete(listener)
        self._listener = listener
        async with trio.open_nursery() as nursery:
            self.connections.start(nursery)
            nursery.start_soon(self._tell_changes)
            async with self._gossip.running():
                nursery.start_soon(self._dht.keep_fresh, self._has_peers, self._members_for_dht)
                nursery.start_soon(self._watch_addresses, listener)
                await nursery.start(listener.serve, self.connections.accept, nursery)
                task_status.started()
                await trio.sleep_forever()

    async def _watch_addresses(self, listener: Listener) -> None:
        """Notice when this machine gets other addresses. Connections from an old one end by their own rules."""
        while not self._announce:
            await trio.sleep(limits.ADDRESS_CHECK_S)
            self._addresses = self._concrete(listener)

    def _members_for_dht(self) -> list[tuple[PeerId, list[str]]]:
        """Return the members of whom we heard last, with what may be dialled of them."""
        latest = list(self._learnt.items())[-limits.DHT_MEMBERS_ADDED_MAX :]
        rows = [(peer_id, [endpoint.text() for endpoint in self._dialable(texts)]) for peer_id, texts in latest]
        return [(peer_id, texts) for peer_id, texts in rows if texts]

    def _concrete(self, listener: Listener) -> tuple[str, ...]:
        interfaces = self._transport.interface_addresses()
        return announceable(listener.endpoints, interfaces, allows_private=self._profile.dials_private_addresses)

    def _on_change(self, peer_id: PeerId, is_connected: bool) -> None:  # noqa: FBT001 - it comes from a callback
        if is_connected:
            self._has_peers.set()
        else:
            self.circuits.peer_lost(peer_id)
        if self._gossip is not None:
            self._gossip.peer_changed(peer_id, is_connected=is_connected)
        try:
            self._changes_in.send_nowait((peer_id, is_connected))
        except trio.WouldBlock:
            logger.warning("more connections came and went than the DHT could follow")

    async def _tell_changes(self) -> None:
        """Learn of those who came, in order."""
        async with trio.open_nursery() as nursery:
            async for peer_id, is_connected in self._changes_out:
                if is_connected:
                    nursery.start_soon(self._introduce, peer_id)

    async def _introduce(self, peer_id: PeerId) -> None:
        """Learn where a new peer listens and put it into the routing table. The outermost frame of its task."""
        try:
            addresses = self._dialable(await ask_identify(await self._dispatcher.open_foreign(peer_id, [IDENTIFY])))
            texts = [endpoint.text() for endpoint in addresses]
            if texts:
                await self._dht.add(peer_id, texts)
        except PeerUnavailableError as error:
            logger.debug("a new peer went away again: %s", error)
        except Exception:
            logger.exception("learning of a new peer failed")


def _source_of(connection: Connection) -> str:
    """Return where an inbound connection came from; the port was chosen by chance and means nothing."""
    host, port = connection.remote
    if connection.is_outbound or not host:
        return ""
    return endpoint_of(host, port).text().rpartition("/tcp/")[0]

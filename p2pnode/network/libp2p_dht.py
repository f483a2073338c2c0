"""The DHT, for two questions: where a peer listens, and who provides something.

py-libp2p's Kademlia would answer under one name for all networks; `libp2p_host.py` renames it. Its service is not run:
its loops would also republish values and providers. Its switches for values and providers do nothing for a peer that
sends them nevertheless (50,000 values of 1 MB would be stored), so its two stores are replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from p2pnode.network import limits
from p2pnode.network.libp2p_host import ForeignHost
from p2pnode.network.libp2p_kad_guard import CappedStream, NoValues
from p2pnode.network.libp2p_patches import KAD_PROTOCOL, set_dht_streams_max
from p2pnode.network.libp2p_providers import ProviderSearch, ServedProviders, endpoint_texts, provider_key
from p2pnode.seams import Rng
from wire.ids import PeerId

logger = logging.getLogger(__name__)

_REFRESH_JITTER = (0.8, 1.2)

_KEEP_S = 30 * 24 * 3600
"""How long py-libp2p remembers the addresses of a peer that connected. It is told once, so no connection may outlive
them; they are replaced when the peer connects again, and its store is bounded."""


class Dht:
    """The routing table, and looking up peers in it and beyond."""

    def __init__(self, host: ForeignHost, rng: Rng) -> None:
        """Serve the DHT on this host; `rng` spreads the look-ups of nodes that started together."""
        self._host = host
        self._rng = rng
        self._table = KadDHT(host.as_host(), DHTMode.SERVER, enable_providers=False, enable_values=False)
        self._table.value_store = NoValues(host.as_host(), host.get_id())
        self._served = ServedProviders(host.as_host())
        self._table.provider_store = self._served
        self._search = ProviderSearch(host.as_host(), self._table.peer_routing)
        set_dht_streams_max(self._table, limits.DHT_STREAMS_MAX)
        host.set_stream_handler(TProtocol(KAD_PROTOCOL), self._serve)

    async def add(self, peer_id: PeerId, addresses: Sequence[str]) -> None:
        """Put a peer into the routing table, under the addresses where it can be dialled."""
        known = [Multiaddr(address) for address in addresses]
        peer = ID(bytes(peer_id))
        self._host.get_peerstore().clear_addrs(peer)
        self._host.get_peerstore().add_addrs(peer, known, _KEEP_S)
        self._table.routing_table.remove_peer(peer)  # Else an entry that is there would keep its old addresses.
        await self._table.routing_table.add_peer(PeerInfo(peer, known), skip_server_mode_check=True)

    def entries(self) -> set[bytes]:
        """Return the ids in the routing table; strangers with keys of another kind may be among them."""
        return {peer.to_bytes() for peer in self._table.routing_table.get_peer_ids()}

    def addresses_heard_of(self, peer_id: PeerId) -> list[str]:
        """Return the addresses that other peers told us of, as they came."""
        peer = ID(bytes(peer_id))
        store = self._host.get_peerstore()
        if not store.has_peer(peer):
            return []
        try:
            return endpoint_texts(store.addrs(peer))
        except Exception as error:  # noqa: BLE001 - it raises several kinds when what it knew has become old
            logger.debug("no address of %s in the peer store: %r", peer_id, error)
            return []

    async def find(self, peer_id: PeerId) -> list[str]:
        """Ask the network where a peer listens; empty when nobody knows within FIND_PEER_S.

        What we believed of a peer that is not connected is forgotten first: py-libp2p would give that as the answer.
        """
        peer = ID(bytes(peer_id))
        if peer not in self._host.get_connected_peers():
            self._table.routing_table.remove_peer(peer)
            self._host.get_peerstore().clear_addrs(peer)
        found: PeerInfo | None = None
        with trio.move_on_after(limits.FIND_PEER_S):
            found = await self._table.find_peer(peer)
        return [] if found is None else endpoint_texts(found.addrs)

    async def provide(self, name: bytes) -> bool:
        """Tell the network that we have what `name` stands for; whether anybody could be told in FIND_PROVIDERS_S."""
        key = provider_key(name)
        self._served.add_provider(key, PeerInfo(self._host.get_id(), self._host.get_addrs()))
        with trio.move_on_after(limits.FIND_PROVIDERS_S):
            return await self._search.announce(key)
        return False

    async def find_providers(self, name: bytes) -> dict[PeerId, list[str]]:
        """Ask the network who has what `name` stands for, and where they listen; what we were told counts."""
        key = provider_key(name)
        found = {
            PeerId(info.peer_id.to_bytes()): endpoint_texts(info.addrs) for info in self._served.get_providers(key)
        }
        with trio.move_on_after(limits.FIND_PROVIDERS_S):
            found |= await self._search.ask(key)
        return found

    async def keep_fresh(
        self, has_peers: trio.Event, members: Callable[[], Sequence[tuple[PeerId, Sequence[str]]]]
    ) -> None:
        """Look around in the network again and again; runs until cancelled.

        `members` gives whom we know by their records. They go in at once: after a restart, or when the table has dried
        up, they are the way back in.
        """
        await has_peers.wait()
        await trio.sleep(limits.DHT_FIRST_REFRESH_S)
        while True:
            try:
                await self._look_around(members())
            except Exception:
                logger.exception("looking around in the DHT failed")
            self._served.cleanup_expired()
            await trio.sleep(limits.DHT_REFRESH_S * self._rng.uniform(*_REFRESH_JITTER))

    async def _look_around(self, members: Sequence[tuple[PeerId, Sequence[str]]]) -> None:
        known = self.entries()
        for peer_id, addresses in members:
            if peer_id not in known:
                await self.add(peer_id, addresses)
        with trio.move_on_after(limits.FIND_PEER_S):
            await self._table.refresh_routing_table()
        connected = set(self._host.get_connected_peers())
        silent = sorted(peer for peer in self.entries() if ID(peer) not in connected)
        with trio.move_on_after(limits.FIND_PEER_S):
            async with trio.open_nursery() as nursery:
                for peer in self._rng.shuffled(silent)[: limits.DHT_ENTRIES_TRIED_MAX]:
                    nursery.start_soon(self._drop_unless_alive, ID(peer))

    async def _drop_unless_alive(self, peer: ID) -> None:
        """Take a peer out of the routing table that does not answer; if it comes back, its record puts it in again."""
        try:
            stream = await self._host.new_stream(peer, [TProtocol(KAD_PROTOCOL)])
        except SwarmException as error:
            logger.debug("%s does not answer: %s", peer, error)
            self._table.routing_table.remove_peer(peer)
        else:
            await stream.reset()

    async def _serve(self, stream: INetStream) -> None:
        await self._table.handle_stream(CappedStream(stream, limits.DHT_STREAM_BYTES_MAX))

"""The DHT, for one question only: where a peer listens.

py-libp2p's Kademlia would answer under one name for all networks; `libp2p_host.py` renames it. Its service is not run:
its loops would also republish values and providers, which are switched off here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import trio
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrError

from p2pnode.network import limits
from p2pnode.network.addresses import BadAddressError, parse_endpoint
from p2pnode.network.libp2p_host import ForeignHost
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

    async def add(self, peer_id: PeerId, addresses: Sequence[str]) -> None:
        """Put a peer into the routing table, under the addresses where it can be dialled."""
        known = [Multiaddr(address) for address in addresses]
        peer = ID(bytes(peer_id))
        self._host.get_peerstore().clear_addrs(peer)
        self._host.get_peerstore().add_addrs(peer, known, _KEEP_S)
        await self._table.routing_table.add_peer(PeerInfo(peer, known), skip_server_mode_check=True)

    def addresses_heard_of(self, peer_id: PeerId) -> list[str]:
        """Return the addresses that other peers told us of, as they came."""
        peer = ID(bytes(peer_id))
        store = self._host.get_peerstore()
        if not store.has_peer(peer):
            return []
        try:
            return _endpoint_texts(store.addrs(peer))
        except Exception as error:  # noqa: BLE001 - it raises several kinds when what it knew has become old
            logger.debug("no address of %s in the peer store: %r", peer_id, error)
            return []

    async def find(self, peer_id: PeerId) -> list[str]:
        """Ask the network where a peer listens; empty when nobody knows within FIND_PEER_S."""
        found: PeerInfo | None = None
        with trio.move_on_after(limits.FIND_PEER_S):
            found = await self._table.find_peer(ID(bytes(peer_id)))
        return [] if found is None else _endpoint_texts(found.addrs)

    async def keep_fresh(self, has_peers: trio.Event) -> None:
        """Look around in the network again and again; runs until cancelled."""
        await has_peers.wait()
        await trio.sleep(limits.DHT_FIRST_REFRESH_S)
        while True:
            try:
                with trio.move_on_after(limits.FIND_PEER_S):
                    await self._table.refresh_routing_table()
            except Exception:
                logger.exception("looking around in the DHT failed")
            await trio.sleep(limits.DHT_REFRESH_S * self._rng.uniform(*_REFRESH_JITTER))


def _endpoint_texts(addresses: Sequence[Multiaddr]) -> list[str]:
    texts = []
    for address in addresses:
        try:
            text = str(address).partition("/p2p/")[0]
            texts.append(parse_endpoint(text).text())
        except (BadAddressError, MultiaddrError, ValueError):
            continue
    return texts

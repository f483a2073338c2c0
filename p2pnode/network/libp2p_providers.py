"""Provider records: who says that it has something, as the DHT asks us to remember it; and asking others for theirs.

py-libp2p's own store keeps any number of keys for two days, each with as many addresses as fit into 4 MiB, and what a
stranger answers to our own question too. This one is bounded, and holds only what a provider said of itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import trio
from libp2p.abc import IHost
from libp2p.kad_dht.peer_routing import PeerRouting
from libp2p.kad_dht.provider_store import ProviderStore
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrError

from p2pnode.membership.circuit_addresses import parse_dialable, without_peer
from p2pnode.network import limits
from p2pnode.network.addresses import BadAddressError
from wire.errors import WireError
from wire.ids import PeerId

_SHA2_256_PREFIX = b"\x12\x20"
"""The start of a multihash: SHA2-256, 32 bytes. Other implementations accept no key that is not a multihash."""


def provider_key(name: bytes) -> bytes:
    """Return the DHT's key for a name: its SHA2-256 as a multihash."""
    return _SHA2_256_PREFIX + hashlib.sha256(name).digest()


def endpoint_texts(addresses: Sequence[Multiaddr]) -> list[str]:
    """Return those of a peer's addresses that mean something here, without a peer id; ADDRESSES_KEPT_MAX at most."""
    texts: list[str] = []
    for address in addresses:
        try:
            texts.append(parse_dialable(without_peer(str(address))).text())
        except (BadAddressError, MultiaddrError, ValueError):
            continue
        if len(texts) == limits.ADDRESSES_KEPT_MAX:
            break
    return texts


@dataclass(frozen=True, slots=True)
class _Provider:
    """What one peer said of one key; `until` is on trio's clock."""

    addresses: tuple[str, ...]
    until: float


class ProviderTable:
    """Records by key and peer. When it is full, the peer that holds most of it loses its oldest: fair shares.

    So a flood from one peer, or from some, costs those peers their own records and nobody else's.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._keys: dict[bytes, dict[PeerId, _Provider]] = {}
        self._peers: dict[PeerId, dict[bytes, None]] = {}
        """The keys of each peer, the one that was renewed longest ago first."""
        self._by_count: list[dict[PeerId, None]] = [{} for _ in range(limits.PROVIDER_RECORDS_PER_PEER_MAX + 1)]
        """The peers with so many keys, so that the largest share is found without a look at every peer."""
        self._count = 0

    def __len__(self) -> int:
        """Return how many records there are."""
        return self._count

    def add(self, key: bytes, peer_id: PeerId, addresses: Sequence[str], *, now: float) -> None:
        """Remember or renew that a peer provides a key, for PROVIDER_RECORD_S."""
        self._remove(key, peer_id)
        if len(self._keys.get(key, ())) >= limits.PROVIDERS_PER_KEY_MAX:
            self._remove(key, next(iter(self._keys[key])))
        if len(self._peers.get(peer_id, ())) >= limits.PROVIDER_RECORDS_PER_PEER_MAX:
            self._remove_oldest_of(peer_id)
        if self._count >= limits.PROVIDER_RECORDS_MAX:
            self._remove_oldest_of(self._peer_with_most())
        record = _Provider(tuple(addresses)[: limits.ADDRESSES_KEPT_MAX], now + limits.PROVIDER_RECORD_S)
        self._keys.setdefault(key, {})[peer_id] = record
        self._recount(peer_id, +1, key)

    def of(self, key: bytes, *, now: float) -> list[tuple[PeerId, tuple[str, ...]]]:
        """Return who provides a key, and where it listens; what is out of date is dropped."""
        for peer_id in [peer for peer, record in self._keys.get(key, {}).items() if record.until <= now]:
            self._remove(key, peer_id)
        return [(peer_id, record.addresses) for peer_id, record in self._keys.get(key, {}).items()]

    def expire(self, *, now: float) -> None:
        """Drop everything that is out of date."""
        for key in list(self._keys):
            self.of(key, now=now)

    def _remove(self, key: bytes, peer_id: PeerId) -> None:
        if self._keys.get(key, {}).pop(peer_id, None) is None:
            return
        if not self._keys[key]:
            del self._keys[key]
        self._recount(peer_id, -1, key)

    def _remove_oldest_of(self, peer_id: PeerId) -> None:
        self._remove(next(iter(self._peers[peer_id])), peer_id)

    def _peer_with_most(self) -> PeerId:
        fullest = next(peers for peers in reversed(self._by_count) if peers)
        return next(iter(fullest))

    def _recount(self, peer_id: PeerId, change: int, key: bytes) -> None:
        keys = self._peers.setdefault(peer_id, {})
        self._by_count[len(keys)].pop(peer_id, None)
        if change > 0:
            keys[key] = None
        else:
            del keys[key]
        if keys:
            self._by_count[len(keys)][peer_id] = None
        else:
            del self._peers[peer_id]
        self._count += change


class ServedProviders(ProviderStore):
    """py-libp2p's store of what others told us, over the bounded table. Its DHT handler reads and fills it."""

    def __init__(self, host: IHost) -> None:
        """Start empty."""
        super().__init__(host)
        self.table = ProviderTable()

    def add_provider(self, key: bytes, provider: PeerInfo) -> None:
        """Remember what the handler has checked: that the provider itself is the sender."""
        peer_id = PeerId(provider.peer_id.to_bytes())
        self.table.add(key, peer_id, endpoint_texts(provider.addrs), now=trio.current_time())

    def get_providers(self, key: bytes) -> list[PeerInfo]:
        """Return who provides a key, as far as we were told."""
        return [
            PeerInfo(ID(bytes(peer_id)), [Multiaddr(address) for address in addresses])
            for peer_id, addresses in self.table.of(key, now=trio.current_time())
        ]

    def cleanup_expired(self) -> None:
        """Drop what is out of date."""
        self.table.expire(now=trio.current_time())


class ProviderSearch(ProviderStore):
    """The asking side of the DHT's provider records. It remembers nothing of what others answer: that is hearsay."""

    def __init__(self, host: IHost, routing: PeerRouting) -> None:
        """Ask the peers that `routing` finds."""
        super().__init__(host, routing)

    def add_provider(self, key: bytes, provider: PeerInfo) -> None:
        """Keep nothing."""

    def get_providers(self, key: bytes) -> list[PeerInfo]:  # noqa: ARG002 - py-libp2p's signature
        """Know nothing: the network is asked each time."""
        return []

    async def announce(self, key: bytes) -> bool:
        """Tell the peers closest to a key that we provide it, once; whether any of them could be told."""
        try:
            return await self.provide(key)
        finally:
            self.providing_keys.discard(key)  # The library would tell again by itself, which nothing here runs.

    async def ask(self, key: bytes) -> dict[PeerId, list[str]]:
        """Return who provides a key, as the network says, with the addresses it names; as many as are kept."""
        found: dict[PeerId, list[str]] = {}
        for info in await self.find_providers(key, limits.PROVIDERS_PER_KEY_MAX):
            try:
                peer_id = PeerId(info.peer_id.to_bytes())
            except WireError:  # It has a key of a kind that no member of this network has.
                continue
            known = found.setdefault(peer_id, [])
            known += [text for text in endpoint_texts(info.addrs) if text not in known]
        return {peer_id: texts[: limits.ADDRESSES_KEPT_MAX] for peer_id, texts in found.items()}

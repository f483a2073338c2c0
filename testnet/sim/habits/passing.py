"""Seams that pass everything on unchanged: a habit overrides the calls that it bends, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from p2pnode.seams import Connected, Files, GossipHandler, Network, OnRunning, Stream, StreamHandler
from wire.ids import PeerId


class PassingNetwork:
    """A `Network` in front of another one."""

    def __init__(self, inner: Network) -> None:
        """Pass everything on to `inner`."""
        self._inner = inner

    @property
    def peer_id(self) -> PeerId:
        return self._inner.peer_id

    def addresses(self) -> tuple[str, ...]:
        return self._inner.addresses()

    def announce_also(self, addresses: Sequence[str]) -> None:
        self._inner.announce_also(addresses)

    def seen_at(self, peer_id: PeerId) -> tuple[str, ...]:
        return self._inner.seen_at(peer_id)

    async def resolve(self, address: str) -> tuple[str, ...]:
        return await self._inner.resolve(address)

    async def dial_back(self, peer_id: PeerId, address: str) -> None:
        await self._inner.dial_back(peer_id, address)

    async def reserve_relay(self, peer_id: PeerId) -> tuple[str, ...]:
        return await self._inner.reserve_relay(peer_id)

    def release_relay(self, peer_id: PeerId) -> None:
        self._inner.release_relay(peer_id)

    def relays(self) -> tuple[PeerId, ...]:
        return self._inner.relays()

    def learn_addresses(self, peer_id: PeerId, addresses: Sequence[str]) -> None:
        self._inner.learn_addresses(peer_id, addresses)

    async def connect(self, peer_id: PeerId) -> None:
        await self._inner.connect(peer_id)

    async def bootstrap(self, address: str) -> PeerId:
        return await self._inner.bootstrap(address)

    def connected(self) -> tuple[Connected, ...]:
        return self._inner.connected()

    async def disconnect(self, peer_id: PeerId) -> None:
        await self._inner.disconnect(peer_id)

    def protect(self, peer_ids: frozenset[PeerId]) -> None:
        self._inner.protect(peer_ids)

    async def open_stream(self, peer_id: PeerId, protocol: str) -> Stream:
        return await self._inner.open_stream(peer_id, protocol)

    def handle(self, protocol: str, handler: StreamHandler) -> None:
        self._inner.handle(protocol, handler)

    def subscribe(self, topic: str, handler: GossipHandler) -> None:
        self._inner.subscribe(topic, handler)

    async def publish(self, topic: str, data: bytes) -> None:
        await self._inner.publish(topic, data)

    async def run(self, *, task_status: OnRunning) -> None:
        await self._inner.run(task_status=task_status)

    async def find_addresses(self, peer_id: PeerId) -> tuple[str, ...]:
        return await self._inner.find_addresses(peer_id)


class PassingFiles:
    """`Files` in front of other ones."""

    def __init__(self, inner: Files) -> None:
        """Pass everything on to `inner`."""
        self._inner = inner

    def write_new(self, name: str, data: Sequence[bytes | memoryview], *, mode: int = 0o600) -> None:
        self._inner.write_new(name, data, mode=mode)

    def rename(self, old: str, new: str) -> None:
        self._inner.rename(old, new)

    def sync_directory(self, name: str) -> None:
        self._inner.sync_directory(name)

    def make_directory(self, name: str) -> None:
        self._inner.make_directory(name)

    def read(self, name: str, *, offset: int = 0, count: int | None = None) -> bytes:
        return self._inner.read(name, offset=offset, count=count)

    def remove(self, name: str) -> None:
        self._inner.remove(name)

    def names(self, directory: str) -> list[str]:
        return self._inner.names(directory)

    def size(self, name: str) -> int:
        return self._inner.size(name)

    def space_bytes(self, name: str) -> int:
        return self._inner.space_bytes(name)

    def free_bytes(self) -> int:
        return self._inner.free_bytes()

    def away(self) -> tuple[str, ...]:
        return self._inner.away()

    def database(self, name: str) -> sqlite3.Connection:
        return self._inner.database(name)

"""Memory for the payloads of requests being served: a bounded number of bytes, fairly shared."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from p2pnode.network import limits
from wire.ids import PeerId


@dataclass(slots=True)
class _Waiter:
    peer_id: PeerId
    count: int
    granted: trio.Event = field(default_factory=trio.Event)


class PayloadSlots:
    """Bytes that requests may hold in memory at a time.

    Whoever came first is served first; a peer that has its share already waits without holding up the others.
    """

    def __init__(
        self,
        bytes_max: int = limits.PAYLOAD_BYTES_IN_MEMORY_MAX,
        *,
        bytes_per_peer_max: int = limits.PAYLOAD_BYTES_PER_PEER_MAX,
        bytes_per_s_min: int = 64 * 1024,
    ) -> None:
        """`bytes_per_s_min` is the slowest transfer that is waited for, the profile's parameter of that name."""
        self.bytes_per_s_min = bytes_per_s_min
        self._bytes_max = bytes_max
        self._bytes_per_peer_max = bytes_per_peer_max
        self._held = 0
        self._held_by: Counter[PeerId] = Counter()
        self._waiting: deque[_Waiter] = deque()

    @property
    def bytes_held(self) -> int:
        """Bytes that requests hold now."""
        return self._held

    @asynccontextmanager
    async def hold(self, peer_id: PeerId, count: int) -> AsyncIterator[None]:
        """Hold `count` bytes for as long as the block lasts. Raises `trio.TooSlowError` after PAYLOAD_WAIT_S."""
        assert count <= min(self._bytes_max, self._bytes_per_peer_max), f"{count} bytes would never be free"
        waiter = _Waiter(peer_id, count)
        self._waiting.append(waiter)
        self._grant()
        try:
            with trio.fail_after(limits.PAYLOAD_WAIT_S):
                await waiter.granted.wait()
            yield
        finally:
            if waiter.granted.is_set():
                self._held -= count
                self._held_by[peer_id] -= count
                if not self._held_by[peer_id]:
                    del self._held_by[peer_id]
            else:
                self._waiting.remove(waiter)
            self._grant()

    def _grant(self) -> None:
        for waiter in list(self._waiting):
            if self._held_by[waiter.peer_id] + waiter.count > self._bytes_per_peer_max:
                continue
            if self._held + waiter.count > self._bytes_max:
                return
            self._waiting.remove(waiter)
            self._held += waiter.count
            self._held_by[waiter.peer_id] += waiter.count
            waiter.granted.set()

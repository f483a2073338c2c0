"""What requests being served may hold: a bounded number of them, and of payload bytes, fairly shared among peers."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from p2pnode.network import limits
from p2pnode.network.resources import Claim, LimitReachedError, Reservation, Resource, Resources, Scope
from wire.ids import PeerId


@dataclass(eq=False, slots=True)
class _Waiter:
    claims: tuple[Claim, ...]
    count: int
    granted: trio.Event = field(default_factory=trio.Event)
    reservation: Reservation | None = None


class _Queue:
    """Those who wait for one resource.

    Whoever came first is served first; a peer that has its share already waits without holding up the others.
    """

    def __init__(self, resources: Resources, resource: Resource) -> None:
        self._resources = resources
        self._resource = resource
        self._waiting: deque[_Waiter] = deque()

    @asynccontextmanager
    async def hold(self, peer_id: PeerId, count: int) -> AsyncIterator[None]:
        claims = (Claim(Scope.PEER, self._resource, peer_id), Claim(Scope.SYSTEM, self._resource))
        most = min(claim.row.most for claim in claims)
        assert count <= most, f"{count} of {most} {self._resource.value} would never be free"
        waiter = _Waiter(claims, count)
        self._waiting.append(waiter)
        self._grant()
        try:
            if waiter.reservation is None:
                with trio.fail_after(limits.PAYLOAD_WAIT_S):
                    await waiter.granted.wait()
            yield
        finally:
            if waiter.reservation is not None:
                waiter.reservation.release()
            else:
                self._waiting.remove(waiter)
            self._grant()

    def _grant(self) -> None:
        for waiter in list(self._waiting):
            try:
                waiter.reservation = self._resources.reserve(waiter.claims, waiter.count)
            except LimitReachedError as error:
                if error.row.scope is Scope.SYSTEM:
                    return
                continue
            self._waiting.remove(waiter)
            waiter.granted.set()


class PayloadSlots:
    """Requests that are worked on, and the bytes that they hold in memory, at a time."""

    def __init__(self, resources: Resources | None = None, *, bytes_per_s_min: int = 64 * 1024) -> None:
        """`bytes_per_s_min` is the slowest transfer that is waited for, the profile's parameter of that name."""
        self.bytes_per_s_min = bytes_per_s_min
        self._resources = resources or Resources()
        self._requests = _Queue(self._resources, Resource.REQUESTS)
        self._lines: dict[PeerId, trio.StrictFIFOLock] = {}
        self._payloads = _Queue(self._resources, Resource.PAYLOAD_BYTES)

    @property
    def bytes_held(self) -> int:
        """Bytes that requests hold now."""
        return self._resources.used(Claim(Scope.SYSTEM, Resource.PAYLOAD_BYTES))

    @property
    def requests_served(self) -> int:
        """Requests that are worked on now."""
        return self._resources.used(Claim(Scope.SYSTEM, Resource.REQUESTS))

    @asynccontextmanager
    async def turn(self, peer_id: PeerId) -> AsyncIterator[None]:
        """Work on one request of a peer for as long as the block lasts. Raises as `hold`.

        A peer that sends requests at line rate on all its streams gets as many at a time as an honest one has.
        """
        async with self._requests.hold(peer_id, 1):
            await self._next_in_line(peer_id)
            yield

    async def _next_in_line(self, peer_id: PeerId) -> None:
        """Let one request of each peer begin in a round of the loop.

        Whoever keeps all of its streams full would else get sixteen requests' work for each one of a modest peer.
        """
        line = self._lines.setdefault(peer_id, trio.StrictFIFOLock())
        try:
            async with line:
                await trio.lowlevel.checkpoint()
        finally:
            if not line.locked():
                self._lines.pop(peer_id, None)

    @asynccontextmanager
    async def hold(self, peer_id: PeerId, count: int) -> AsyncIterator[None]:
        """Hold `count` bytes for as long as the block lasts. Raises `trio.TooSlowError` after PAYLOAD_WAIT_S."""
        async with self._payloads.hold(peer_id, count):
            yield

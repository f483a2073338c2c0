"""How fast bytes may go out and come in, and how many have: limits by the hour, kept for all connections together.

Counted and limited is what passes through the sockets with other nodes, the local ones too: what an operator pays for.
The wait for a turn stands outside of the deadlines of a write, because it is our own doing and says nothing of a peer.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from p2pnode.network.addresses import Endpoint
from p2pnode.network.transport import Listener, RawStream, Transport

CREDIT_S = 2.0
"""What was not used carries over, up to so many seconds of it."""

FREE_BYTES = 1_024
"""So small a write never waits, though it is counted: pings and answers must not stand behind our own limit."""

READ_S = 0.05
"""A limited read takes what so many seconds allow: the credit is spread over all connections, and none falls silent."""

READ_BYTES_MIN = 4_096

HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes a second, None for no limit; and the hours of the day, by local time, in which they hold."""

    up: int | None = None
    down: int | None = None
    first_hour: int = 0
    last_hour: int = HOURS
    """The first hour in which they do not hold any more; below `first_hour` the span goes over midnight."""

    def hold_at(self, hour: int) -> bool:
        """Tell whether the limits hold in this hour."""
        if self.first_hour <= self.last_hour:
            return self.first_hour <= hour < self.last_hour
        return hour >= self.first_hour or hour < self.last_hour


class ByteBucket:
    """Credit in bytes: it grows with time, and a taker that overdraws it is told how long to wait."""

    def __init__(self, now: float) -> None:
        """Start without credit; without a limit nobody needs any."""
        self._credit = 0.0
        self._since = now

    def take(self, count: int, *, per_s: int | None, now: float) -> float:
        """Count bytes, and return how many seconds must pass before they are within the limit.

        Who comes later waits longer: so takers come through in the order in which they asked.
        """
        if per_s is None:
            self._credit, self._since = 0.0, now
            return 0.0
        self._credit = min(per_s * CREDIT_S, self._credit + (now - self._since) * per_s) - count
        self._since = now
        return max(0.0, -self._credit / per_s)


class Meter:
    """Counts and limits all bytes of one node."""

    def __init__(self, limits: Limits = Limits(), *, wall: Callable[[], float] = time.time) -> None:
        """Begin to count at 0; `wall` tells the hour."""
        self.limits = limits
        self.up = 0
        self.down = 0
        self._wall = wall
        self._buckets: tuple[ByteBucket, ByteBucket] | None = None

    def limit_now(self) -> tuple[int | None, int | None]:
        """Return the limits of this hour, up and down."""
        limits = self.limits
        if limits.up is None and limits.down is None:
            return None, None
        return (limits.up, limits.down) if limits.hold_at(time.localtime(self._wall()).tm_hour) else (None, None)

    async def may_send(self, count: int) -> None:
        """Wait until so many bytes may go out."""
        per_s, _ = self.limit_now()
        self.up += count
        wait_s = self._bucket(0).take(count, per_s=per_s, now=trio.current_time())
        if wait_s > 0 and count > FREE_BYTES:
            await trio.sleep(wait_s)

    def read_bytes_max(self, wanted: int) -> int:
        """Return how many bytes to read at a time."""
        _, per_s = self.limit_now()
        return wanted if per_s is None else max(READ_BYTES_MIN, min(wanted, int(per_s * READ_S)))

    async def has_received(self, count: int) -> None:
        """Count what came, and wait until the next may be read: the sender is slowed by TCP itself."""
        _, per_s = self.limit_now()
        self.down += count
        wait_s = self._bucket(1).take(count, per_s=per_s, now=trio.current_time())
        if wait_s > 0:
            await trio.sleep(wait_s)

    def _bucket(self, which: int) -> ByteBucket:
        if self._buckets is None:  # Only in the loop there is a clock.
            now = trio.current_time()
            self._buckets = (ByteBucket(now), ByteBucket(now))
        return self._buckets[which]


class MeteredStream:
    """A raw stream whose bytes are counted. Who writes waits for `may_send` first."""

    def __init__(self, stream: RawStream, meter: Meter) -> None:
        """Take over an open stream."""
        self._stream = stream
        self.meter = meter
        self.remote = stream.remote
        """As that of the stream below."""
        self.is_relayed = stream.is_relayed

    async def send_all(self, data: bytes | memoryview) -> None:
        """Send all bytes. Raises as the stream below."""
        await self._stream.send_all(data)

    async def receive_some(self, bytes_max: int) -> bytes | bytearray:
        """Return at least one byte, none at the end. Raises as the stream below."""
        data = await self._stream.receive_some(self.meter.read_bytes_max(bytes_max))
        await self.meter.has_received(len(data))
        return data

    def abort(self) -> None:
        """Close at once."""
        self._stream.abort()


class MeteredTransport:
    """A transport all of whose streams are counted and limited together."""

    def __init__(self, transport: Transport, meter: Meter) -> None:
        """Open streams by the transport below."""
        self._transport = transport
        self._meter = meter

    async def dial(self, endpoint: Endpoint) -> RawStream:
        """Open a stream. Raises as the transport below."""
        return MeteredStream(await self._transport.dial(endpoint), self._meter)

    async def listen(self, endpoints: Sequence[Endpoint]) -> Listener:
        """Listen. Raises as the transport below."""
        return _MeteredListener(await self._transport.listen(endpoints), self._meter)

    def interface_addresses(self) -> list[str]:
        """As the transport below."""
        return self._transport.interface_addresses()


class _MeteredListener:
    """A listener whose streams are counted."""

    def __init__(self, listener: Listener, meter: Meter) -> None:
        self._listener = listener
        self._meter = meter

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """As the listener below."""
        return self._listener.endpoints

    async def serve(
        self,
        accept: Callable[[RawStream], Awaitable[None]],
        nursery: trio.Nursery,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Run `accept` for each stream, as the listener below."""

        async def metered(stream: RawStream) -> None:
            await accept(MeteredStream(stream, self._meter))

        await self._listener.serve(metered, nursery, task_status=task_status)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

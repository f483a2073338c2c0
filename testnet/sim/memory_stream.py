"""The streams of the transport in memory: two ends, and a bounded way in each direction between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

import trio

from testnet.sim.fabric import Fabric
from wire.ids import PeerId

WINDOW_BYTES = 256 * 1024
"""Bytes of one direction that were sent and not yet read: what the socket buffers of both machines hold."""

PACKET_BYTES = 64 * 1024
"""What travels at once: small enough that streams share an uplink, large enough to be few."""

CONTROL_BYTES = 64
"""The size of what opens, acknowledges, resets or ends something."""

_END = b""


class Machine(Protocol):
    """What a stream asks of the machine that it ends at."""

    @property
    def peer_id(self) -> PeerId:
        """The peer that runs on it."""
        ...

    @property
    def name(self) -> str:
        """Its name in the trace."""
        ...

    @property
    def is_on(self) -> bool:
        """Whether it has power."""
        ...


class _Way:
    """One direction: packets on their way, in order, then bytes that have arrived and wait for the reader."""

    def __init__(self, fabric: Fabric, source: Machine, target: Machine) -> None:
        self.source, self.target = source, target
        self.reader: MemoryStream
        self.unread = 0
        """Bytes that were sent and whose reading the sender does not know of yet."""
        self.arrived: deque[memoryview] = deque()
        self.is_ended = False
        self._fabric = fabric
        self._on_the_way: deque[bytes | None] = deque()
        self._last_arrival = 0.0

    def send(self, packet: bytes | None) -> None:
        """Send bytes, an end (`_END`) or a reset (None), behind what was sent before."""
        if not self.source.is_on:
            return
        self.unread += len(packet or b"")
        self._on_the_way.append(packet)
        # The packets themselves stay in order in the queue; an event only says that one more has arrived. After a cut
        # is healed, what it held comes in any order.
        self._last_arrival = self._fabric.post(
            self.source,
            self.target,
            max(CONTROL_BYTES, len(packet or b"")),
            self._arrive,
            not_before=self._last_arrival,
        )

    def take(self, bytes_max: int) -> bytes:
        """Return what has arrived, up to `bytes_max` bytes of one packet, and acknowledge it."""
        packet = self.arrived.popleft()
        if len(packet) > bytes_max:
            self.arrived.appendleft(packet[bytes_max:])
            packet = packet[:bytes_max]
        acknowledge = partial(self._acknowledged, len(packet))
        if self._fabric.is_cut(self.target, self.source):
            # Only now it matters that acknowledgements travel; else an event for each would cost as much as the data.
            self._fabric.post(self.target, self.source, CONTROL_BYTES, acknowledge)
        else:
            acknowledge()
        return bytes(packet)

    def _acknowledged(self, count: int) -> None:
        self.unread -= count
        self.reader.peer.wake()

    def _arrive(self) -> None:
        packet = self._on_the_way.popleft()
        if not self.source.is_on:  # Nobody is left who would send again what was lost on the way.
            return
        if self.reader.is_gone:
            if packet:
                self.reader.answer_reset()
        elif packet is None:
            self.reader.fail()
        elif packet == _END:
            self.is_ended = True
        else:
            self.arrived.append(memoryview(packet))
        self.reader.wake()


class MemoryStream:
    """One end of a stream; a `RawStream`."""

    def __init__(
        self,
        fabric: Fabric,
        *,
        remote: tuple[str, int],
        incoming: _Way,
        outgoing: _Way,
        is_replaced: Callable[[Machine], bool],
    ) -> None:
        """Use `connect_streams`."""
        self._fabric = fabric
        self.remote = remote
        self.is_relayed = False
        """The other end's IP address and port."""
        self.peer: MemoryStream
        """The other end."""
        self._incoming, self._outgoing = incoming, outgoing
        self._is_replaced = is_replaced
        self._is_closed = False
        self._is_broken = False
        self._news = trio.lowlevel.ParkingLot()
        self._is_sending = False
        self._is_receiving = False

    @property
    def source(self) -> Machine:
        """The machine of this end."""
        return self._outgoing.source

    @property
    def target(self) -> Machine:
        """The machine of the other end."""
        return self._outgoing.target

    @property
    def is_gone(self) -> bool:
        """Whether this end takes nothing any more."""
        return self._is_closed or self._is_broken or not self.source.is_on

    @property
    def is_in_use(self) -> bool:
        """Whether either end still takes something."""
        return not (self.is_gone and self.peer.is_gone)

    @property
    def bytes_unread(self) -> int:
        """Bytes that were sent to this end and not yet read: never more than WINDOW_BYTES."""
        return self._incoming.unread

    async def send_all(self, data: bytes | memoryview) -> None:
        """Send all bytes; waits while the window is full.

        Raises `trio.BrokenResourceError`, `trio.ClosedResourceError`, and `trio.BusyResourceError` for a second sender.
        """
        if self._is_sending:
            message = "another task is sending on this stream"
            raise trio.BusyResourceError(message)
        self._is_sending = True
        try:
            await trio.lowlevel.checkpoint()
            view = memoryview(data)
            for start in range(0, len(view), PACKET_BYTES):
                packet = bytes(view[start : start + PACKET_BYTES])
                while self._is_usable() and self._outgoing.unread + len(packet) > WINDOW_BYTES:
                    await self._news.park()
                self._check_usable()
                self._outgoing.send(packet)
            self._check_usable()
        finally:
            self._is_sending = False

    async def receive_some(self, bytes_max: int) -> bytes | bytearray:
        """Return at least one byte, none at the end. Raises as `send_all`."""
        if self._is_receiving:
            message = "another task is receiving on this stream"
            raise trio.BusyResourceError(message)
        self._is_receiving = True
        try:
            await trio.lowlevel.checkpoint()
            while True:
                self._check_usable()
                if self._incoming.arrived:
                    return self._incoming.take(bytes_max)
                if self._incoming.is_ended:
                    return b""
                await self._news.park()
        finally:
            self._is_receiving = False

    def abort(self) -> None:
        """Close at once; the other end hears of it behind what was sent, by a reset when we leave bytes unread."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self._is_broken:
            self._outgoing.send(None if self._incoming.arrived else _END)
        self._incoming.arrived.clear()
        self.wake()

    # What the world does to a stream.

    def break_both(self) -> None:
        """Break both ends at once, as a middlebox does that sends resets."""
        self.fail()
        self.peer.fail()

    def fail(self) -> None:
        """Break this end; what was not read is lost."""
        self._is_broken = True
        self._incoming.arrived.clear()
        self.wake()

    def answer_reset(self) -> None:
        """Bytes came for an end that is gone: our machine, or its successor, says so; one without power does not."""
        if self.source.is_on:
            self._outgoing.send(None)
        elif self._is_replaced(self.source):
            self._fabric.post(self.source, self.target, CONTROL_BYTES, self.peer.fail)

    def wake(self) -> None:
        """Let those who wait look again."""
        self._news.unpark_all()

    def _is_usable(self) -> bool:
        return not self._is_closed and not self._is_broken

    def _check_usable(self) -> None:
        if self._is_closed:
            message = "the stream was closed here"
            raise trio.ClosedResourceError(message)
        if self._is_broken:
            message = "the connection was reset"
            raise trio.BrokenResourceError(message)


def connect_streams(
    fabric: Fabric,
    dialler: Machine,
    listener: Machine,
    *,
    remotes: tuple[tuple[str, int], tuple[str, int]],
    is_replaced: Callable[[Machine], bool],
) -> MemoryStream:
    """Return the dialler's end of a new stream; `remotes` are what each end, the dialler's first, calls the other."""
    there, back = _Way(fabric, dialler, listener), _Way(fabric, listener, dialler)
    dialled = MemoryStream(fabric, remote=remotes[0], incoming=back, outgoing=there, is_replaced=is_replaced)
    accepted = MemoryStream(fabric, remote=remotes[1], incoming=there, outgoing=back, is_replaced=is_replaced)
    dialled.peer, accepted.peer = accepted, dialled
    there.reader, back.reader = accepted, dialled
    return dialled

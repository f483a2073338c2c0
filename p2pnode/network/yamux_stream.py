"""One stream of a yamux session: its windows, what arrived, and how it ends."""

from __future__ import annotations

from typing import Protocol

import trio

from p2pnode.network import limits
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.resources import Reservation
from p2pnode.network.yamux_frames import UINT32_MAX, Flag, FrameError, Header, Kind


class StreamEndError(ConnectionLostError):
    """The peer ended the stream cleanly, and everything that it sent was read."""


class StreamOwner(Protocol):
    """What a stream needs from its session."""

    def queue_control(self, header: Header) -> None:
        """Put a frame without a body into the queue; never waits."""
        ...

    async def queue_data(self, stream: YamuxStream, body: memoryview) -> int:
        """Wait for room, then put the start of `body` into the queue, and return how many bytes that were."""
        ...

    def forget(self, stream: YamuxStream) -> None:
        """Drop a stream that is over on both sides."""
        ...

    def was_read(self, count: int) -> None:
        """Take note that so many bytes, which had arrived, wait no more."""
        ...


class YamuxStream:
    """A byte channel that shares its connection. One task reads and one writes at a time."""

    def __init__(self, owner: StreamOwner, stream_id: int, *, is_inbound: bool) -> None:
        """Make a stream; the first frame that it sends tells the peer about it (SYN or ACK)."""
        self.stream_id = stream_id
        self.is_inbound = is_inbound
        self.send_window = limits.STREAM_WINDOW_INITIAL_BYTES
        self.ended_at: float | None = None
        """When we ended our side, on trio's clock."""
        self.reservation: Reservation | None = None
        """What the stream holds until it is over on both sides; its session releases it."""
        self.window_max = limits.STREAM_WINDOW_BYTES
        """What its window grows to once half of the initial one was read."""
        self._owner = owner
        self._greeting = Flag.ACK if is_inbound else Flag.SYN
        self._incoming = bytearray()
        self._credit_left = limits.STREAM_WINDOW_INITIAL_BYTES
        """What the peer may still send."""
        self._window = limits.STREAM_WINDOW_INITIAL_BYTES
        self._credit_owed = 0
        """What was read since the last window update."""
        self._is_remote_ended = False
        self._lost: str | None = None
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()

    async def read_some(self, bytes_max: int) -> bytes:
        """Return 1 to `bytes_max` bytes. Raises `StreamEndError`, or `ConnectionLostError` after an unclean end."""
        if self._incoming:
            await trio.lowlevel.checkpoint()
        while not self._incoming:
            self._check_alive()
            if self._is_remote_ended:
                message = "the peer ended the stream"
                raise StreamEndError(message)
            await self._readers.park()
        taken = bytes(memoryview(self._incoming)[:bytes_max])
        del self._incoming[: len(taken)]
        self._owner.was_read(len(taken))
        self._give_credit(len(taken))
        return taken

    async def read_exactly(self, count: int) -> bytes:
        """Return exactly `count` bytes.

        Raises `StreamEndError` when the stream ended cleanly before the first of them, else `ConnectionLostError`.
        """
        part = await self.read_some(count)
        if len(part) == count:
            return part
        parts = [part]
        missing = count - len(part)
        while missing:
            try:
                part = await self.read_some(missing)
            except StreamEndError as error:
                message = f"the peer ended the stream {missing} bytes too early"
                raise ConnectionLostError(message) from error
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    async def write(self, data: bytes | memoryview) -> None:
        """Send all bytes; waits while the peer's window is full. Raises `ConnectionLostError`."""
        rest = memoryview(data)
        if not rest:
            await trio.lowlevel.checkpoint()
        while rest:
            while self.send_window <= 0 and self.is_writable:
                await self._writers.park()
            self.check_writable()
            rest = rest[await self._owner.queue_data(self, rest) :]

    def end(self) -> None:
        """End our side after what was sent, and let go: what still arrives is dropped. Never waits."""
        self._drop_incoming()
        if self._lost is not None or self.ended_at is not None:
            return
        self.ended_at = trio.current_time()
        self._owner.queue_control(Header(Kind.WINDOW_UPDATE, self.take_greeting() | Flag.FIN, self.stream_id, 0))
        if self._is_remote_ended:
            self._owner.forget(self)

    def reset(self) -> None:
        """Abort for both sides at once. Never waits."""
        self._drop_incoming()
        if self._lost is not None:
            return
        self._owner.queue_control(Header(Kind.WINDOW_UPDATE, self.take_greeting() | Flag.RST, self.stream_id, 0))
        self.lose("the stream was reset here")
        self._owner.forget(self)

    @property
    def credit_left(self) -> int:
        """What the peer may still send; nothing once it has ended its side."""
        return 0 if self._is_remote_ended else self._credit_left

    @property
    def is_writable(self) -> bool:
        """Whether data may still be sent."""
        return self._lost is None and self.ended_at is None

    @property
    def is_quiet(self) -> bool:
        """Whether the stream is open and nothing unread is here: what a kept stream must be before it is used again."""
        return self.is_writable and not self._is_remote_ended and not self._incoming

    def check_writable(self) -> None:
        """Raise `ConnectionLostError` unless data may still be sent."""
        self._check_alive()
        if self.ended_at is not None:
            message = "our side of the stream is ended"
            raise ConnectionLostError(message)

    def take_greeting(self) -> Flag:
        """Return the flag that announces or accepts the stream, the first time; later none."""
        greeting, self._greeting = self._greeting, Flag.NONE
        return greeting

    @property
    def is_reading(self) -> bool:
        """Whether what arrives is kept: not after we ended our side, or the stream was lost."""
        return self.ended_at is None and self._lost is None

    # What the session's reader tells the stream. None of it waits.

    def receive(self, body: bytes) -> None:
        """Take a data body. Raises `FrameError` when the peer sends more than it was given credit for."""
        self._credit_left -= len(body)
        if self._credit_left < 0:
            message = f"stream {self.stream_id}: {-self._credit_left} bytes beyond the window"
            raise FrameError(message)
        if self.is_reading:
            self._incoming += body
            self._readers.unpark_all()

    def add_send_window(self, credit: int) -> None:
        """Take the peer's credit. Raises `FrameError` when the sum does not fit the format."""
        self.send_window += credit
        if self.send_window > UINT32_MAX:
            message = f"stream {self.stream_id}: a window of {self.send_window} bytes"
            raise FrameError(message)
        self._writers.unpark_all()

    def receive_end(self) -> None:
        """Take note that the peer ended its side."""
        self._is_remote_ended = True
        self._readers.unpark_all()
        if self.ended_at is not None:
            self._owner.forget(self)

    def lose(self, reason: str) -> None:
        """Take note that the stream is gone; what arrived before can still be read."""
        if self._lost is None:
            self._lost = reason
        self._readers.unpark_all()
        self._writers.unpark_all()

    def _drop_incoming(self) -> None:
        self._owner.was_read(len(self._incoming))
        self._incoming.clear()

    def _check_alive(self) -> None:
        if self._lost is not None:
            raise ConnectionLostError(self._lost)

    def _give_credit(self, count: int) -> None:
        """Tell the peer once half a window was read: an update for each read would cost as much as the data."""
        self._credit_owed += count
        if self._credit_owed * 2 < self._window or self._lost is not None or self._is_remote_ended:
            return
        credit = self._credit_owed + self.window_max - self._window
        self._window = self.window_max
        self._credit_owed = 0
        self._credit_left += credit
        self._owner.queue_control(Header(Kind.WINDOW_UPDATE, self.take_greeting(), self.stream_id, credit))

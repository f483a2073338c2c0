"""A simulated stream: two pipes of bytes, in order, with a bounded window each way.

A pipe's window counts what was sent and not yet read, so that a peer who does not read stops the writer.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import trio

from p2pnode.errors import PeerUnavailableError
from p2pnode.seams import StreamEndedError
from testnet.sim.fabric import Fabric, Host, Packet
from testnet.sim.traffic import OTHER
from wire.ids import PeerId

WINDOW_BYTES = 256 * 1024
"""Unread bytes in one direction, as of a yamux stream."""

PACKET_BYTES = 64 * 1024
"""What travels at once: small enough that two streams share a link, large enough to be few."""

_END = b""


class Pipe:
    """One direction of a stream. Its two ends may learn at different moments that it is broken."""

    def __init__(self, fabric: Fabric, number: int, source: Host, target: Host, *, kind: str = OTHER) -> None:
        """Carry bytes from one host to the other; both pipes of a stream have one number and count for one `kind`."""
        self._fabric = fabric
        self._number = number
        self._kind = kind
        self.source, self.target = source, target
        self._on_the_way: deque[bytes] = deque()
        self._arrived: deque[memoryview] = deque()
        self._unread = 0
        self._last_arrival = 0.0
        self._is_ended = False
        self._is_broken_for_sender = False
        self._is_broken_for_reader = False
        self._is_discarding = False
        self._news = trio.Event()

    async def send(self, data: bytes | memoryview) -> None:
        """Send all; waits while the window is full. Raises `PeerUnavailableError` once broken."""
        await trio.lowlevel.checkpoint()
        view = memoryview(data)
        for start in range(0, len(view), PACKET_BYTES):
            packet = bytes(view[start : start + PACKET_BYTES])
            while not self._is_broken_for_sender and self._unread + len(packet) > WINDOW_BYTES:
                await self._news.wait()
            if self._is_broken_for_sender:
                raise PeerUnavailableError(f"{self.source.name}: the stream to {self.target.name} broke while sending")
            self._unread += len(packet)
            self._post(packet)

    def end(self) -> None:
        """Send the clean end after everything else."""
        if not self._is_broken_for_sender:
            self._post(_END)

    def break_for_sender(self) -> None:
        """Let the sender notice, at its next use, that the pipe is gone."""
        self._is_broken_for_sender = True
        self._wake()

    def break_for_reader(self) -> None:
        """Let the reader notice that the pipe is gone; what it has not read yet is lost."""
        self._is_broken_for_reader = True
        self._arrived.clear()
        self._wake()

    async def receive_exactly(self, count: int) -> bytes:
        """Return `count` bytes; see `p2pnode.seams.Stream`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        has_waited = False
        parts: list[memoryview] = []
        missing = count
        while missing:
            if self._arrived:
                parts.append(self._take(missing))
                missing -= len(parts[-1])
            elif self._is_broken_for_reader:
                raise PeerUnavailableError(f"{self.target.name}: the stream from {self.source.name} broke")
            elif self._is_ended and missing == count:
                raise StreamEndedError(f"{self.source.name} ended the stream")
            elif self._is_ended:
                raise PeerUnavailableError(f"{self.source.name} ended the stream in the middle, {missing} bytes early")
            else:
                await self._news.wait()
                has_waited = True
        if not has_waited:
            await trio.lowlevel.cancel_shielded_checkpoint()
        return b"".join(parts)

    def discard(self) -> None:
        """Throw away what arrived and what will: its reader has let go of the stream."""
        self._is_discarding = True
        while self._arrived:
            self._take(len(self._arrived[0]))

    def _post(self, packet: bytes) -> None:
        for observe in self._fabric.observers:
            observe(Packet(self._number, self.source.name, self.target.name, packet))
        # The packets themselves stay in order in the queue; an event only says that one more has arrived.
        self._on_the_way.append(packet)
        self._last_arrival = self._fabric.post(
            self.source, self.target, len(packet), self._arrive, not_before=self._last_arrival, kind=self._kind
        )

    def _arrive(self) -> None:
        packet = self._on_the_way.popleft()
        if self._is_broken_for_reader:
            return
        if packet == _END:
            self._is_ended = True
        elif self._is_discarding:
            self._unread -= len(packet)
        else:
            self._arrived.append(memoryview(packet))
        self._wake()

    def _take(self, limit: int) -> memoryview:
        packet = self._arrived.popleft()
        if len(packet) > limit:
            self._arrived.appendleft(packet[limit:])
            packet = packet[:limit]
        self._unread -= len(packet)
        self._wake()
        return packet

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()


class Owner(Protocol):
    """One end of the connection that carries the stream."""

    def forget(self, stream: SimStream) -> None:
        """Stop telling the stream about the connection's fate."""
        ...

    def reset_other(self, stream: SimStream) -> None:
        """Let the other end of the stream know that it was aborted."""
        ...


class SimStream:
    """One end of a stream; implements `p2pnode.seams.Stream`."""

    def __init__(self, owner: Owner, *, number: int, incoming: Pipe, outgoing: Pipe) -> None:
        """Join two pipes; both ends of a stream have the same number."""
        self._owner = owner
        self.number = number
        self._incoming, self._outgoing = incoming, outgoing
        self._is_closed = False

    @property
    def peer_id(self) -> PeerId:
        """The peer at the other end."""
        return self._incoming.source.peer_id

    async def send(self, data: bytes | memoryview) -> None:
        """Send all bytes."""
        self._check_open()
        await self._outgoing.send(data)

    async def receive_exactly(self, count: int) -> bytes:
        """Return exactly `count` bytes."""
        self._check_open()
        return await self._incoming.receive_exactly(count)

    async def close(self) -> None:
        """End our side and let go."""
        if not self._is_closed:
            self._is_closed = True
            self._outgoing.end()
            self._incoming.discard()
            self._owner.forget(self)
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """Abort for both sides."""
        if not self._is_closed:
            self._is_closed = True
            self.fail()
            self._owner.reset_other(self)
            self._owner.forget(self)
        await trio.lowlevel.checkpoint()

    def fail(self) -> None:
        """Break our ends of both pipes: the connection, or the peer, is gone."""
        self._incoming.break_for_reader()
        self._outgoing.break_for_sender()

    def _check_open(self) -> None:
        if self._is_closed:
            raise PeerUnavailableError("this stream was closed on our side")

"""A yamux session: many streams on one connection, and the watch that notices when the peer is gone.

It speaks the wire format of libp2p's /yamux/1.0.0 and replaces py-libp2p's own session, which resets a stream whose
reader stalls for five seconds, does not enforce its window, never notices a stopped peer, and loses the whole
connection when a writer is cancelled in the middle of a frame.

Rules of this file: only the write loop writes, so that no frame is ever cut; the read loop never waits for anything
but bytes, so that two sides cannot wait for each other; control frames are queued and never wait. What costs us more
than the peer (opening, resetting, tiny frames) has a rate: beyond it the reader pauses, or the connection ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from p2pnode.network import limits
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.pace import TokenBucket
from p2pnode.network.resources import LimitReachedError, Reservation, Resources
from p2pnode.network.silence import Silence
from p2pnode.network.yamux_frames import BODY_BYTES_MAX, HEADER_BYTES, Flag, FrameError, Header, Kind, decode_header
from p2pnode.network.yamux_stream import YamuxStream

_FRAMES_PER_TURN = 5
"""Data frames that a stream queues before others get their turn: one piece of sliver bytes, in frames of one size. Four
of the largest would leave a rest of a hundred bytes, which costs as much as a whole one."""

_CHECKS_PER_PING = 4
"""How often the watch looks, per ping interval."""


_PAUSE_MIN_S = 0.01
"""Pauses of the reader are gathered until they are worth a timer."""

UNREAD_BLOCK_BYTES = 64 * limits.KIB
"""Unread bytes are accounted in whole blocks, a rest is not: to count each frame that is read at once, which is what
nearly all are, would cost much and say nothing. A thousand connections have at most 64 MiB of such rests."""


class FrameChannel(Protocol):
    """The sealed connection below a session."""

    @property
    def last_arrival(self) -> float:
        """When bytes came last, on trio's clock."""
        ...

    async def read_exactly(self, count: int) -> bytes:
        """Return exactly `count` bytes. Raises `ConnectionLostError`."""
        ...

    async def write_frames(self, frames: Sequence[bytes]) -> None:
        """Write whole frames. Raises `ConnectionLostError`."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class YamuxSession:
    """The streams of one connection. `run` serves it until it is over."""

    def __init__(
        self,
        channel: FrameChannel,
        *,
        is_initiator: bool,
        accept: Callable[[YamuxStream], bool],
        ping_every_s: float,
        unread: Reservation | None = None,
        may_hold: Callable[[int], bool] = lambda _count: True,
    ) -> None:
        """`accept` is told of each stream that the peer opens and must not wait; False has the stream reset.

        `unread` counts the bytes that arrived and were not read, in blocks of UNREAD_BLOCK_BYTES; `may_hold` may refuse
        more of them.
        """
        self._channel = channel
        self._accept = accept
        self._ping_every_s = ping_every_s
        self._streams: dict[int, YamuxStream] = {}
        self._next_id = 1 if is_initiator else 2
        self._control = bytearray()
        self._frames: list[bytes] = []
        self._queued_bytes = 0
        self._work = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()
        self._is_writing = False
        self._over = trio.Event()
        self._over_because = ""
        self._unread_bytes = 0
        self._unread = unread or Resources().reserve(())
        self._may_hold = may_hold
        self._late_bytes = 0
        """What the peer may have sent on streams that are over here, before it knew."""
        now = trio.current_time()
        self._frames_pace = TokenBucket(per_s=limits.SMALL_FRAMES_PER_S, burst=limits.SMALL_FRAMES_BURST, now=now)
        self._opens_pace = TokenBucket(per_s=limits.STREAM_OPENS_PER_S, burst=limits.STREAM_OPENS_BURST, now=now)
        self._resets_pace = TokenBucket(per_s=limits.STREAM_RESETS_PER_S, burst=limits.STREAM_RESETS_BURST, now=now)
        self._pings_pace = TokenBucket(per_s=limits.PINGS_PER_S, burst=limits.PINGS_BURST, now=now)
        self._pause_s = 0.0
        self._turn_cost = 0
        self.is_breach = False
        """Whether it is over because the peer broke the protocol."""

    @property
    def is_over(self) -> bool:
        """Whether the connection is gone."""
        return self._over.is_set()

    async def wait_over(self) -> str:
        """Wait until the connection is gone and return why."""
        await self._over.wait()
        return self._over_because

    @property
    def stream_count(self) -> int:
        """Streams that are not over on both sides."""
        return len(self._streams)

    @property
    def _has_unsent(self) -> bool:
        return bool(self._control or self._frames or self._is_writing)

    def open(self) -> YamuxStream:
        """Open a stream; the peer hears of it with the first bytes. Raises `ConnectionLostError`."""
        self._check_alive()
        stream = YamuxStream(self, self._next_id, is_inbound=False)
        self._streams[self._next_id] = stream
        self._next_id += 2
        return stream

    async def run(self) -> None:
        """Serve the session until the connection is gone, whoever ends it. Never raises for a peer's fault."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_loop)
                nursery.start_soon(self._write_loop)
                nursery.start_soon(self._watch_loop)
                await self._over.wait()
                nursery.cancel_scope.cancel()
        finally:
            self.abort("the node stops")

    async def close(self) -> None:
        """Say goodbye, wait up to SHUTDOWN_S until it is sent, and end the session."""
        if not self.is_over:
            self.queue_control(Header(Kind.GO_AWAY, Flag.NONE, 0, 0))
            with trio.move_on_after(limits.SHUTDOWN_S):
                while self._has_unsent and not self.is_over:
                    await self._room.park()
        self.abort("the connection was closed here")

    def abort(self, reason: str) -> None:
        """End the session at once; every stream on it is lost. Harmless when it is over already."""
        if self.is_over:
            return
        self._over_because = reason
        self._over.set()
        self._channel.abort()
        for stream in self._streams.values():
            stream.lose(reason)
            _release(stream)
        self._streams.clear()
        self._unread.release()
        self._frames.clear()
        self._control.clear()
        self._room.unpark_all()

    # What streams ask of their session.

    def queue_control(self, header: Header) -> None:
        """Put a frame without a body into the queue; a peer that causes too many ends its connection."""
        if self.is_over:
            return
        self._control += header.encode()
        if len(self._control) > limits.CONTROL_BYTES_MAX:
            self.abort(f"more than {limits.CONTROL_BYTES_MAX} bytes of control frames wait to be sent")
            return
        self._work.unpark_all()

    async def queue_data(self, stream: YamuxStream, body: memoryview) -> int:
        """Wait for room, then queue what the stream's window allows of `body`, in whole frames; return how much."""
        await trio.lowlevel.checkpoint()
        while self._queued_bytes >= limits.WRITE_QUEUE_BYTES_MAX and not self.is_over:
            await self._room.park()
        stream.check_writable()
        count = max(0, min(len(body), stream.send_window, _FRAMES_PER_TURN * BODY_BYTES_MAX))
        stream.send_window -= count
        frames = max(1, -(-count // BODY_BYTES_MAX))
        size = max(1, -(-count // frames))
        for start in range(0, count, size):
            part = body[start : min(start + size, count)]
            header = Header(Kind.DATA, stream.take_greeting(), stream.stream_id, len(part))
            self._frames.append(b"".join((header.encode(), part)))
        self._queued_bytes += count
        self._work.unpark_all()
        return count

    def forget(self, stream: YamuxStream) -> None:
        """Drop a stream that is over on both sides."""
        if self._streams.pop(stream.stream_id, None) is not None:
            self._late_bytes += stream.credit_left
            _release(stream)

    def was_read(self, count: int) -> None:
        """Take note that so many bytes, which had arrived, wait no more."""
        self._unread_bytes -= count
        blocks = _blocks(self._unread_bytes)
        if blocks != self._unread.count and not self.is_over:
            self._unread.resize(blocks)

    # The three loops.

    async def _write_loop(self) -> None:
        while not self.is_over:
            while not self._control and not self._frames:
                await self._work.park()
            # A reset may overtake data of its stream, a fin must not: so control goes first only when no data waits
            # from before it. Frames are few, so the order of both is kept by sending data first.
            frames, self._frames = self._frames, []
            control, self._control = bytes(self._control), bytearray()
            if control:
                frames.append(control)
            self._queued_bytes = 0
            self._is_writing = True
            try:
                await self._channel.write_frames(frames)
            except ConnectionLostError as error:
                self.abort(str(error))
                return
            finally:
                self._is_writing = False
            self._room.unpark_all()

    async def _read_loop(self) -> None:
        try:
            while not self.is_over:
                header = decode_header(await self._channel.read_exactly(HEADER_BYTES))
                if header.kind is Kind.DATA:
                    await self._read_data(header)
                elif header.kind is Kind.WINDOW_UPDATE:
                    self._update_stream(header)
                elif header.kind is Kind.PING:
                    self._answer_ping(header)
                else:
                    self.abort("the peer said goodbye")
                if header.kind is not Kind.DATA or header.length < limits.SMALL_BODY_BYTES:
                    self._pause(self._frames_pace)
                self._turn_cost += 1
                if self._pause_s >= _PAUSE_MIN_S:
                    await trio.sleep(self._pause_s)
                    self._pause_s = 0.0
                    self._turn_cost = 0
                elif self._turn_cost >= limits.FRAMES_PER_TURN:
                    # A buffer full of frames is no reason to let everybody else wait.
                    await trio.lowlevel.checkpoint()
                    self._turn_cost = 0
        except ConnectionLostError as error:
            self.abort(str(error))
        except FrameError as error:
            self.is_breach = not self.is_over
            self.abort(f"the peer broke the protocol: {error}")

    def _pause(self, pace: TokenBucket) -> None:
        self._pause_s = max(self._pause_s, pace.take(trio.current_time()))

    def _answer_ping(self, header: Header) -> None:
        if not header.flags & Flag.SYN:
            return
        if self._pings_pace.take(trio.current_time()):
            message = f"more control frames than anybody needs: above {limits.PINGS_PER_S:.0f} pings a second"
            raise FrameError(message)
        self.queue_control(Header(Kind.PING, Flag.ACK, 0, header.length))

    async def _read_data(self, header: Header) -> None:
        if header.length > limits.STREAM_WINDOW_BYTES:
            message = f"a data frame of {header.length} bytes"
            raise FrameError(message)
        stream = self._stream_of(header)
        if stream is None:
            self._late_bytes -= header.length
            if self._late_bytes < 0:
                message = f"data for stream {header.stream_id}, which was never open"
                raise FrameError(message)
        body = await self._channel.read_exactly(header.length) if header.length else b""
        if stream is None:
            return
        if stream.is_reading and not self._hold(len(body)):
            stream.reset()
            return
        stream.receive(body)
        self._apply_end(stream, header.flags)

    def _hold(self, count: int) -> bool:
        """Count bytes as unread; False when there is no room for them."""
        blocks = _blocks(self._unread_bytes + count)
        if blocks > self._unread.count:
            if not self._may_hold(blocks - self._unread.count):
                return False
            try:
                self._unread.resize(blocks)
            except LimitReachedError:
                return False
        self._unread_bytes += count
        return True

    def _update_stream(self, header: Header) -> None:
        stream = self._stream_of(header)
        if stream is not None:
            stream.add_send_window(header.length)
            self._apply_end(stream, header.flags)

    def _stream_of(self, header: Header) -> YamuxStream | None:
        """Return the stream of a frame; None for one that is over here, which the peer may not know yet."""
        stream_id = header.stream_id
        if not header.flags & Flag.SYN:
            return self._streams.get(stream_id)
        is_theirs = stream_id > 0 and stream_id % 2 != self._next_id % 2
        if not is_theirs or stream_id in self._streams:
            message = f"stream {stream_id} cannot be opened"
            raise FrameError(message)
        self._pause(self._opens_pace)
        self._turn_cost += limits.FRAMES_PER_OPENING
        stream = YamuxStream(self, stream_id, is_inbound=True)
        self._streams[stream_id] = stream
        if not self._accept(stream):
            self.forget(stream)
            self.queue_control(Header(Kind.WINDOW_UPDATE, Flag.RST, stream_id, 0))
            return None
        return stream

    def _apply_end(self, stream: YamuxStream, flags: Flag) -> None:
        if flags & Flag.RST:
            if stream.is_inbound and self._resets_pace.take(trio.current_time()):
                message = f"more than {limits.STREAM_RESETS_PER_S:.0f} streams a second are opened and reset"
                raise FrameError(message)
            stream.receive_end()  # Nothing more may come on it.
            self.forget(stream)
            stream.lose("the peer reset the stream")
        elif flags & Flag.FIN:
            stream.receive_end()

    async def _watch_loop(self) -> None:
        every_s = self._ping_every_s / _CHECKS_PER_PING
        silence = Silence(every_s=every_s, now=trio.current_time())
        while not self.is_over:
            await trio.sleep(every_s)
            now = trio.current_time()
            silence_s = silence.look(now=now, last_arrival=self._channel.last_arrival)
            if silence_s >= limits.SILENT_PINGS * self._ping_every_s:
                self.abort(f"the peer was silent for {silence_s:.0f} s")
                return
            if silence_s >= self._ping_every_s:
                self.queue_control(Header(Kind.PING, Flag.SYN, 0, int(now) % 2**32))
            for stream in list(self._streams.values()):
                if stream.ended_at is not None and now - stream.ended_at > limits.LINGER_S:
                    stream.reset()

    def _check_alive(self) -> None:
        if self.is_over:
            raise ConnectionLostError(self._over_because)


def _blocks(count: int) -> int:
    """Return these bytes, rounded down to whole blocks."""
    return count // UNREAD_BLOCK_BYTES * UNREAD_BLOCK_BYTES


def _release(stream: YamuxStream) -> None:
    if stream.reservation is not None:
        stream.reservation.release()

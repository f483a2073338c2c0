"""One neighbour in gossip: frames read from its streams, and the queue of frames to it, all within limits."""

from __future__ import annotations

from collections import deque

import trio
from libp2p.abc import INetStream

from p2pnode.network import gossip_limits, limits
from p2pnode.network.gossip_pace import Pace
from p2pnode.network.libp2p_gossip_wire import BadFrameError, split_length
from wire.ids import PeerId


class FrameReader:
    """Reads frames from a stream, each within its time."""

    def __init__(self, stream: INetStream) -> None:
        """Nothing is read yet."""
        self._stream = stream
        self._buffer = bytearray()

    async def next(self) -> bytes:
        """Return the next frame without its length; waits as long as the peer says nothing.

        Raises `BadFrameError` for one that is too long or too slow, py-libp2p's `StreamError` when the stream ends.
        """
        if not self._buffer:
            self._buffer += await self._stream.read(limits.SOCKET_READ_BYTES)
        with trio.move_on_after(gossip_limits.FRAME_S):
            while True:
                head = split_length(self._buffer)
                if head is not None and len(self._buffer) >= sum(head):
                    length, offset = head
                    frame = bytes(self._buffer[offset : offset + length])
                    del self._buffer[: offset + length]
                    await trio.lowlevel.checkpoint()
                    return frame
                self._buffer += await self._stream.read(limits.SOCKET_READ_BYTES)
        raise BadFrameError(f"a frame was not whole after {gossip_limits.FRAME_S:.0f} s")


class Outbox:
    """Frames that wait for one neighbour; control goes before messages."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._messages: deque[bytes] = deque()
        self._control: deque[bytes] = deque()
        self._bytes = 0
        self._wake = trio.Event()

    def __len__(self) -> int:
        """Return how many frames wait."""
        return len(self._messages) + len(self._control)

    @property
    def is_half_full(self) -> bool:
        """Whether a publisher had better wait."""
        return 2 * len(self) > gossip_limits.QUEUE_MESSAGES_MAX or 2 * self._bytes > gossip_limits.QUEUE_BYTES_MAX

    def put(self, frame: bytes, *, is_control: bool = False) -> bool:
        """Queue a frame; False when there is no room and it was dropped."""
        queue = self._control if is_control else self._messages
        if len(queue) >= gossip_limits.QUEUE_MESSAGES_MAX or self._bytes + len(frame) > gossip_limits.QUEUE_BYTES_MAX:
            return False
        queue.append(frame)
        self._bytes += len(frame)
        self._wake.set()
        return True

    def poke(self) -> None:
        """Wake whoever waits in `take`, though there may be nothing."""
        self._wake.set()

    async def take(self) -> bytes:
        """Return the next frames, joined up to WRITE_BYTES; waits for one. May be empty after `poke`."""
        if not len(self):
            self._wake = trio.Event()
            await self._wake.wait()
        parts: list[bytes] = []
        size = 0
        for queue in (self._control, self._messages):
            while queue and (not parts or size + len(queue[0]) <= gossip_limits.WRITE_BYTES):
                parts.append(queue.popleft())
                size += len(parts[-1])
        self._bytes -= size
        return b"".join(parts)


class Neighbour:
    """A connected peer, as far as gossip knows it."""

    def __init__(self, peer_id: PeerId, *, now: float) -> None:
        """Nothing was said yet."""
        self.peer_id = peer_id
        self.outbox = Outbox()
        self.pace = Pace(per_s=gossip_limits.PEER_UNITS_PER_S, burst=gossip_limits.PEER_UNITS_BURST, now=now)
        self.inbound: INetStream | None = None
        self.outbound: INetStream | None = None
        self.sending: trio.CancelScope | None = None
        """What ends the task that sends to it; None until the connection is known to gossip."""
        self.missed: set[str] = set()
        """Topics of which a message was dropped because its queue was full: it is told the names when it has room."""
        self.asked = 0
        """Names of messages asked of it since the last heartbeat."""
        self.served = 0
        """Messages sent to it since the last heartbeat because it asked."""

    async def admit(self, stream: INetStream) -> None:
        """Take a fresh stream of this peer; an older one goes: an honest peer opens one when it has lost the other."""
        older, self.inbound = self.inbound, stream
        if older is not None:
            await older.reset()

    def release(self, stream: INetStream) -> None:
        """Forget a stream that ended."""
        if self.inbound is stream:
            self.inbound = None

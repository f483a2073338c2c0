"""Messages, payloads and raw pieces over one stream, each within the time that its bytes need at the slowest speed.

Both sides of every protocol are built on it: `requests.py` asks and `request_server.py` answers. A peer that sends or
takes a byte a second therefore holds a stream, and what the stream holds, for seconds and not for as long as it likes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import PeerSilentError, PeerUnavailableError
from p2pnode.network import limits
from p2pnode.seams import Stream, StreamEndedError
from wire import limits as wire_limits
from wire.codec import decode
from wire.framing import frame, message_bytes, pieces
from wire.ids import PeerId
from wire.messages import payload_bytes

Payload = Sequence[bytes | memoryview]

_RUN_BYTES = 4 * wire_limits.PIECE_BYTES
"""What one deadline covers when raw bytes are sent: long enough that the deadline costs nothing beside the bytes."""


class Exchange:
    """One stream, in messages and pieces. One task sends and one receives at a time.

    Every method raises `PeerUnavailableError` when the peer is lost, and `PeerSilentError` (a kind of it) when a
    transfer of k bytes takes longer than TRANSFER_GRACE_S + k / `bytes_per_s_min`. After any error the stream is of no
    use: whoever opened it resets it.
    """

    def __init__(self, stream: Stream, *, bytes_per_s_min: int) -> None:
        """Speak on a stream on which nothing is under way."""
        self._stream = stream
        self._bytes_per_s_min = bytes_per_s_min

    @property
    def peer_id(self) -> PeerId:
        """The authenticated peer at the other end."""
        return self._stream.peer_id

    async def send(self, message: object, payload: Payload = ()) -> None:
        """Send a message and the payload that it announces. Raises `WireError` when our own message breaks a limit."""
        framed = frame(message)
        count = sum(memoryview(part).nbytes for part in payload)
        assert count == payload_bytes(message), f"{count} bytes beside a {type(message).__name__}"
        await self.send_framed(framed, payload)

    async def send_framed(self, framed: bytes, payload: Payload = ()) -> None:
        """Send a message that is framed already, and its payload."""
        count = len(framed) + sum(memoryview(part).nbytes for part in payload)
        with self._moving(count, "taken"):
            await self._stream.send(framed)
            for part in payload:
                for piece in pieces(part):
                    await self._stream.send(piece)

    async def send_pieces(self, data: bytes | memoryview) -> None:
        """Send raw bytes, as a message of the protocol has announced them; a slow reader makes this wait."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _RUN_BYTES):
            run = view[start : start + _RUN_BYTES]
            with self._moving(len(run), "taken"):
                await self._stream.send(run)

    async def wait(self, timeout_s: float) -> bytes | None:
        """Return the length prefix of the next message; None when the peer ends the stream or is silent for so long."""
        try:
            with trio.move_on_after(timeout_s):
                return await self._stream.receive_exactly(wire_limits.LENGTH_PREFIX_BYTES)
        except StreamEndedError:
            return None
        return None

    async def receive(self, *kinds: type[Any], timeout_s: float) -> Any:  # noqa: ANN401 - one of `kinds`
        """Return the next message, one of `kinds`; its payload, if it announces one, comes next.

        `timeout_s` is for the peer to think; then its bytes have to move. Raises `WireError` for what is none of
        `kinds`, and `PeerUnavailableError` also when the peer ends the stream.
        """
        try:
            with trio.fail_after(timeout_s):
                prefix = await self._stream.receive_exactly(wire_limits.LENGTH_PREFIX_BYTES)
        except trio.TooSlowError as error:
            message = f"{self._name} said nothing for {timeout_s:.0f} s"
            raise PeerSilentError(message) from error
        except StreamEndedError as error:
            message = f"{self._name} ended the stream where a message was due"
            raise PeerUnavailableError(message) from error
        return await self.receive_body(prefix, *kinds)

    async def receive_body(self, prefix: bytes, *kinds: type[Any]) -> Any:  # noqa: ANN401 - one of `kinds`
        """Return the message behind a length prefix. Raises as `receive`."""
        body = await self.receive_payload(message_bytes(prefix))
        return decode(body, *kinds, bytes_max=wire_limits.MESSAGE_BYTES_MAX)

    async def receive_payload(self, count: int) -> bytes:
        """Return exactly `count` raw bytes."""
        if not count:
            return b""
        with self._moving(count, "sent"):
            return await self._exactly(count)

    async def receive_pieces(self, count: int) -> AsyncIterator[bytes]:
        """Yield `count` raw bytes in pieces of PIECE_BYTES, so that no more than one of them is in memory."""
        for start in range(0, count, wire_limits.PIECE_BYTES):
            yield await self.receive_payload(min(wire_limits.PIECE_BYTES, count - start))

    async def _exactly(self, count: int) -> bytes:
        try:
            return await self._stream.receive_exactly(count)
        except StreamEndedError as error:
            message = f"{self._name} ended the stream {count} bytes too early"
            raise PeerUnavailableError(message) from error

    @contextmanager
    def _moving(self, count: int, what: str) -> Iterator[None]:
        allowed_s = limits.TRANSFER_GRACE_S + count / self._bytes_per_s_min
        try:
            with trio.fail_after(allowed_s):
                yield
        except trio.TooSlowError as error:
            message = f"{count} bytes were not {what} by {self._name} within {allowed_s:.0f} s"
            raise PeerSilentError(message) from error

    @property
    def _name(self) -> str:
        return f"peer {peer_id_to_text(self.peer_id)}"


async def reset(stream: Stream) -> None:
    """Abort a stream, also when the caller is cancelled."""
    with trio.move_on_after(limits.RESET_S, shield=True):
        await stream.reset()

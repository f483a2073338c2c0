"""Uploads and downloads: bytes pass between a client and the node piece by piece, and each side waits for the other.

Both end at once when the client goes away: nobody would take the rest. A download keeps its last piece back until
the node has said that everything was right, because a client that has all its bytes believes that it has succeeded.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from http import HTTPStatus

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from p2pnode.api.edge import send_problem
from p2pnode.api.problems import problem_of
from p2pnode.api.transfers import Transfer
from p2pnode.errors import CallerError, P2PNodeError
from p2pnode.services.owner_face import PutOptions
from p2pnode.services.results import NodeFace, PutResult
from wire.references import Reference

PIECE_BYTES = 256 * 1024
"""Downloads go out in pieces of at most this size: the server copies each, and the last is kept back."""


Chunk = bytes | memoryview


class ClientGoneError(CallerError):
    """The client closed the connection in the middle."""

    reason = "CLIENT_GONE"


class WrongLengthError(P2PNodeError):
    """The node gave another number of bytes than it had announced."""

    reason = "WRONG_LENGTH"


async def upload(
    node: NodeFace, receive: Receive, *, shards: int | None, size: int | None, options: PutOptions
) -> PutResult:
    """Store the request's body. Raises what `put` raises, and `ClientGoneError`."""
    sender, receiver = trio.open_memory_channel[bytes](0)
    results: list[PutResult] = []
    async with sender, receiver, trio.open_nursery() as nursery:
        nursery.start_soon(_pump, receive, sender, nursery.cancel_scope)
        results.append(await node.put(receiver, shards=shards, size=size, options=options))
        nursery.cancel_scope.cancel()
    if not results:  # The pump cancelled the put.
        message = "the client closed the connection before the upload was stored"
        raise ClientGoneError(message)
    return results[0]


async def _pump(receive: Receive, sender: trio.MemorySendChannel[bytes], scope: trio.CancelScope) -> None:
    """Pass the body on, then stay to cancel `scope` when the client leaves.

    The channel is closed at the body's true end only: to the put a closed channel is a complete file.
    """
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            scope.cancel()
            return
        more = message.get("more_body", False)
        if message.get("body"):
            await sender.send(message["body"])
    sender.close()
    await _cancel_when_client_leaves(receive, scope)


async def _cancel_when_client_leaves(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


class DownloadResponse(Response):
    """The answer to a read: its status is known when the node has the first bytes ready."""

    def __init__(self, node: NodeFace, reference: Reference, transfer: Transfer) -> None:
        super().__init__()
        self._node = node
        self._reference = reference
        self._transfer = transfer
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send headers and body, or a problem; a failure in the middle leaves the body unfinished."""
        try:
            last = await self._send_while_client_stays(receive, send)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a request's task; `problem_of` logs it.
            problem = problem_of(error)
            self._transfer.failed(problem)
            if not self._started:
                await send_problem(problem, send)
            return
        self._transfer.done()
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _send_while_client_stays(self, receive: Receive, send: Send) -> bytes:
        lasts: list[bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_client_leaves, receive, nursery.cancel_scope)
            lasts.append(await self._send_all_but_the_last(send))
            nursery.cancel_scope.cancel()
        if not lasts:
            message = "the client closed the connection before it had everything"
            raise ClientGoneError(message)
        return lasts[0]

    async def _send_all_but_the_last(self, send: Send) -> bytes:
        last = b""
        given = 0
        async with self._node.get(self._reference) as download:
            size = str(download.size).encode("ascii")
            headers = [(b"content-type", b"application/octet-stream"), (b"content-length", size)]
            self._started = True
            await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": headers})
            async with _closed_at_end(download.chunks) as chunks:
                async for chunk in chunks:
                    given += len(chunk)
                    if given > download.size:
                        break
                    for piece in _pieces(chunk):
                        if last:
                            await send({"type": "http.response.body", "body": last, "more_body": True})
                        last = bytes(piece)  # A copy: the node may use its buffer again.
            if given != download.size:
                message = f"{self._reference.text()} has {download.size} bytes, but {given} came"
                raise WrongLengthError(message)
        return last


@contextlib.asynccontextmanager
async def _closed_at_end(chunks: AsyncIterator[Chunk]) -> AsyncIterator[AsyncIterator[Chunk]]:
    """Close a generator that is left early, instead of leaving it to the garbage collector."""
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def _pieces(chunk: Chunk) -> Iterator[memoryview]:
    view = memoryview(chunk)
    return (view[start : start + PIECE_BYTES] for start in range(0, len(view), PIECE_BYTES))

"""Serving the API on a socket: Hypercorn speaks HTTP, this file keeps each connection within its limits.

Hypercorn's own accept loop is not used, for three reasons that its connections would otherwise have:

- It sends under a shield. A client that stops reading would keep a stopping daemon alive for ever, and a stalled
  download would hold its memory; here a send has a deadline, and a stop closes the sockets underneath.
- When an application answers before it has read the whole request, Hypercorn's reader stays blocked on a queue that
  nobody empties; here a connection's tasks end with its socket.
- An error that escapes one connection would end the server; here it ends that connection only, and is logged.
"""

from __future__ import annotations

import logging
import socket
from typing import cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState, LifespanState
from starlette.types import ASGIApp

from p2pnode.errors import CallerError, PortInUseError
from p2pnode.seams import OnRunning

_log = logging.getLogger(__name__)

CONNECTIONS_MAX = 64
"""Open connections: each may hold about 1 MB of request body. Further ones are closed at once."""

SEND_STALL_S_MAX = 600.0
"""How long a client may stop reading: a person may look at a pager, but what a download holds must end some time."""

END_S_MAX = 5.0
"""How long the tasks of a connection may go on after its socket is closed, to note how their transfer ended."""

QUEUED_PIECES_MAX = 8
"""Pieces of a request body (64 KiB each) that are read ahead of the node."""

LISTEN_BACKLOG = 64

_LOOPBACK_HOSTS = {"127.0.0.1": socket.AF_INET, "localhost": socket.AF_INET, "::1": socket.AF_INET6}


def bind(address: str) -> socket.socket:
    """Bind a loopback address `HOST:PORT` (port 0: any free one) and listen.

    Raises `CallerError` when it is not a loopback address, and `PortInUseError`.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if host not in _LOOPBACK_HOSTS or not port.isdecimal() or int(port) > 0xFFFF:  # noqa: PLR2004 - the last port
        message = f"the API cannot listen on {address!r}: expected 127.0.0.1:PORT, localhost:PORT or [::1]:PORT"
        raise CallerError(message)
    listener = socket.socket(_LOOPBACK_HOSTS[host], socket.SOCK_STREAM)
    try:
        # A daemon that starts again must not wait for the connections of the last one to be forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1" if host == "localhost" else host, int(port)))
        listener.listen(LISTEN_BACKLOG)
    except OSError as error:
        listener.close()
        message = f"the API cannot listen on {address} ({error.strerror}): choose another port with --api HOST:PORT"
        raise PortInUseError(message) from error
    listener.setblocking(False)  # noqa: FBT003 - the name of the method says what is false
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the URL at which a bound socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family is socket.AF_INET6 else f"http://{host}:{port}"


async def serve(app: ASGIApp, listener: socket.socket, *, task_status: OnRunning) -> None:
    """Serve the app on a listening socket until cancelled; takes the socket over. A cancellation cuts what is open."""
    server = _Server(app)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.cut_all_when_cancelled)
        accepting = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        task_status.started()
        await trio.serve_listeners(server.serve_connection, [accepting], handler_nursery=nursery)


class _Server:
    def __init__(self, app: ASGIApp) -> None:
        self._app = ASGIWrapper(cast("ASGIFramework", app))
        self._config = Config()
        self._config.errorlog = logging.getLogger("p2pnode.api.http")
        self._config.max_app_queue_size = QUEUED_PIECES_MAX
        self._config.include_server_header = False
        self._context = WorkerContext(None)
        self._open: set[_Connection] = set()

    async def serve_connection(self, stream: trio.SocketStream) -> None:
        """Speak HTTP on one connection until either side ends it."""
        if len(self._open) >= CONNECTIONS_MAX:
            _log.warning("a connection to the API was refused: %d are open", CONNECTIONS_MAX)
            await stream.aclose()
            return
        with trio.CancelScope() as scope:
            connection = _Connection(stream, scope)
            self._open.add(connection)
            try:
                state = ConnectionState(LifespanState({}))
                await TCPServer(
                    self._app,
                    self._config,
                    self._context,
                    state,
                    connection,  # type: ignore[arg-type] # It has all that Hypercorn uses of the stream that it names.
                )
            except Exception:  # noqa: BLE001 - the outermost frame of this task
                _log.exception("a connection to the API ended with an error")
            finally:
                self._open.discard(connection)
                connection.cut()

    async def cut_all_when_cancelled(self) -> None:
        """Close every socket when the server is cancelled, because sends are shielded from that."""
        try:
            await trio.sleep_forever()
        finally:
            for connection in self._open:
                connection.cut()


class _Connection:
    """A socket stream whose sends have a deadline, and whose end ends the tasks that serve it."""

    def __init__(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        self._stream = stream
        self._scope = scope

    @property
    def socket(self) -> trio.socket.SocketType:
        return self._stream.socket

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes) -> None:
        with trio.move_on_after(SEND_STALL_S_MAX) as deadline:
            await self._stream.send_all(data)
        if deadline.cancelled_caught:
            self.cut()
            message = f"the client read nothing for {SEND_STALL_S_MAX:.0f} s"
            raise trio.BrokenResourceError(message)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        self.cut()
        await trio.lowlevel.checkpoint()

    def cut(self) -> None:
        """Close the socket at once, so that whoever waits on it wakes up; what then still runs is cancelled soon."""
        self._stream.socket.close()
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + END_S_MAX)

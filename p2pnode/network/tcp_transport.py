"""Streams over TCP."""

from __future__ import annotations

import errno
import functools
from collections.abc import Awaitable, Callable, Sequence

import trio

from p2pnode.errors import CallerError, PortInUseError
from p2pnode.network import limits
from p2pnode.network.addresses import Endpoint, endpoint_of, interface_addresses
from p2pnode.network.names import resolve
from p2pnode.network.transport import RawStream


class TcpStream:
    """One TCP connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        """Take over an open socket."""
        self._stream = stream
        self.remote = _remote_of(stream)
        """The other end's IP address and port; ("", 0) when the socket closed before it could be asked."""
        self.is_relayed = False

    async def send_all(self, data: bytes | memoryview) -> None:
        """Send all bytes. Raises `trio.BrokenResourceError` or `trio.ClosedResourceError`."""
        await self._stream.send_all(data)

    async def receive_some(self, bytes_max: int) -> bytes | bytearray:
        """Return at least one byte, none at the end. Raises as `send_all`."""
        return await self._stream.receive_some(bytes_max)

    def abort(self) -> None:
        """Close at once, without a farewell; harmless when it is closed already."""
        self._stream.socket.close()


class TcpListener:
    """Listening sockets."""

    def __init__(self, listeners: Sequence[trio.SocketListener]) -> None:
        """Take over sockets that listen."""
        self._listeners = list(listeners)
        self.endpoints = [endpoint_of(*each.socket.getsockname()[:2]) for each in listeners]
        """What is listened on, with the ports that the system chose."""

    async def serve(
        self,
        accept: Callable[[RawStream], Awaitable[None]],
        nursery: trio.Nursery,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Run `accept` in the nursery for each accepted connection, until cancelled."""

        async def accepted(stream: trio.SocketStream) -> None:
            await accept(TcpStream(stream))

        async with trio.open_nursery() as own:
            for each in self._listeners:
                await own.start(functools.partial(trio.serve_listeners, accepted, [each], handler_nursery=nursery))
            task_status.started()
            await trio.sleep_forever()

    def close(self) -> None:
        """Stop listening."""
        for each in self._listeners:
            each.socket.close()


class TcpTransport:
    """The sockets of this machine."""

    def __init__(self, *, dials_private_names: bool = True) -> None:
        """Tell whether a name may lead to a private address: whoever announces one decides what it leads to."""
        self._dials_private_names = dials_private_names

    async def dial(self, endpoint: Endpoint) -> RawStream:
        """Open a connection. Raises `OSError`; the caller sets the deadline."""
        if endpoint.ip is not None or self._dials_private_names:
            return TcpStream(await trio.open_tcp_stream(endpoint.host, endpoint.port))
        return await _dial_public(endpoint)

    async def listen(self, endpoints: Sequence[Endpoint]) -> TcpListener:
        """Listen on all of these or on none. Raises `PortInUseError`, and `CallerError` for one that is not ours."""
        listeners: list[trio.SocketListener] = []
        is_complete = False
        try:
            for endpoint in endpoints:
                listeners += await _open_listeners(endpoint)
            is_complete = True
        finally:
            if not is_complete:
                TcpListener(listeners).close()
        return TcpListener(listeners)

    def interface_addresses(self) -> list[str]:
        """Return this machine's own addresses: those from which routes to the world start, then loopback."""
        return interface_addresses()


async def _dial_public(named: Endpoint) -> TcpStream:
    """Try the public addresses behind a name, one after the other; the name is asked for once. Raises `OSError`."""
    failure = OSError(f"the name {named.host} leads to no public address")
    for endpoint in await resolve(named):
        if not endpoint.is_private:
            try:
                return TcpStream(await trio.open_tcp_stream(endpoint.host, endpoint.port))
            except OSError as error:
                failure = error
    raise failure


async def _open_listeners(endpoint: Endpoint) -> list[trio.SocketListener]:
    if endpoint.ip is None:
        message = f"cannot listen on {endpoint.text()}: an IP address is needed"
        raise CallerError(message)
    open_them = functools.partial(trio.open_tcp_listeners, endpoint.port, host=endpoint.host)
    try:
        return await open_them(backlog=limits.LISTEN_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"{endpoint.text()} is in use by another program: stop it, or choose another port with --listen"
            raise PortInUseError(message) from error
        message = f"cannot listen on {endpoint.text()}: {error.strerror or error}"
        raise CallerError(message) from error


def _remote_of(stream: trio.SocketStream) -> tuple[str, int]:
    try:
        name = stream.socket.getpeername()
    except OSError:
        return "", 0
    return str(name[0]), int(name[1])

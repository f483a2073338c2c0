"""All connections of a node: accepting, dialling every known address, and letting go.

Rules of this file: a connection is in the table exactly while its session runs; nothing a peer does ends any task but
that of its own connection or stream; a dial is shared by all who wait for it, so that a dead peer costs one dial.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import PeerSilentError, PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.addresses import Endpoint
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.libp2p_connection import Connection
from p2pnode.network.libp2p_noise import HandshakeError, Handshaker, SealedChannel
from p2pnode.network.transport import RawStream, Transport
from p2pnode.network.yamux_stream import YamuxStream
from wire.ids import PeerId

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Dial:
    """One dial under way and everybody who waits for it."""

    done: trio.Event = field(default_factory=trio.Event)
    error: PeerUnavailableError | None = None


class ConnectionTable:
    """The open connections, by peer."""

    def __init__(
        self,
        *,
        own_id: PeerId,
        transport: Transport,
        handshaker: Handshaker,
        dial_timeout_s: float,
        ping_every_s: float,
        serve_stream: Callable[[Connection, YamuxStream], Awaitable[None]],
        on_change: Callable[[PeerId, bool], None],
    ) -> None:
        """`serve_stream` runs for each inbound stream; `on_change` hears of a peer's first and last connection."""
        self._own_id = own_id
        self._transport = transport
        self._handshaker = handshaker
        self._dial_timeout_s = dial_timeout_s
        self._ping_every_s = ping_every_s
        self._serve_stream = serve_stream
        self._on_change = on_change
        self._nursery: trio.Nursery | None = None
        self._connections: dict[PeerId, list[Connection]] = {}
        self._dials: dict[PeerId, _Dial] = {}
        self._dial_limiter = trio.CapacityLimiter(limits.DIALS_MAX)
        self._handshakes = 0
        self._inbound_streams: Counter[PeerId] = Counter()
        self._inbound_stream_count = 0

    def start(self, nursery: trio.Nursery) -> None:
        """Use this nursery for the tasks of connections; they end with it."""
        self._nursery = nursery

    # Looking.

    def peers(self) -> list[PeerId]:
        """Return the peers with an open connection, in the order of their ids."""
        return sorted(peer_id for peer_id in self._connections if self.of(peer_id))

    def of(self, peer_id: PeerId) -> list[Connection]:
        """Return the open connections with a peer."""
        return [each for each in self._connections.get(peer_id, ()) if not each.session.is_over]

    def best(self, peer_id: PeerId) -> Connection | None:
        """Return the connection that was heard from last: after a restart the old one may not be noticed yet."""
        return max(self.of(peer_id), key=lambda each: each.last_arrival, default=None)

    @property
    def count(self) -> int:
        """All open connections."""
        return sum(len(connections) for connections in self._connections.values())

    @property
    def slots_taken(self) -> tuple[int, int, int]:
        """Connections, handshakes under way and inbound streams that count against a limit now."""
        return self.count, self._handshakes, self._inbound_stream_count

    # Accepting.

    async def accept(self, stream: RawStream) -> None:
        """Serve one accepted stream until its connection is over. The outermost frame of its task: never raises."""
        socket = GuardedSocket(stream)
        try:
            await self._accept(socket)
        except HandshakeError as error:
            logger.debug("an inbound connection from %s came to nothing: %s", socket.remote, error)
        except Exception:
            logger.exception("an inbound connection from %s failed", socket.remote)
        finally:
            socket.abort()

    async def _accept(self, socket: GuardedSocket) -> None:
        if self._handshakes >= limits.HANDSHAKES_MAX or self.count >= limits.CONNECTIONS_MAX:
            logger.warning("too many connections: one from %s was turned away", socket.remote)
            return
        self._handshakes += 1
        try:
            with trio.move_on_after(limits.HANDSHAKE_S) as deadline:
                channel, peer_id = await self._handshaker.secure_inbound(socket)
        finally:
            self._handshakes -= 1
        if deadline.cancelled_caught or peer_id == self._own_id:
            return
        await self._serve(self._connection(peer_id, socket, channel, dialled=None))

    # Dialling.

    async def connect(self, peer_id: PeerId, endpoints: Sequence[Endpoint]) -> Connection:
        """Return an open connection, dialling these addresses when there is none. Raises `PeerUnavailableError`."""
        connection = self.best(peer_id)
        if connection is not None:
            return connection
        if peer_id == self._own_id:
            message = "a node does not dial itself"
            raise PeerUnavailableError(message)
        dial = self._dials.get(peer_id)
        if dial is None:
            if not endpoints:
                message = f"no address of peer {peer_id_to_text(peer_id)} is known that may be dialled"
                raise PeerUnavailableError(message)
            dial = self._dials[peer_id] = _Dial()
            self._spawn(self._dial, peer_id, list(endpoints), dial)
        await dial.done.wait()
        connection = self.best(peer_id)
        if connection is not None:
            return connection
        reason = dial.error or PeerUnavailableError(
            f"peer {peer_id_to_text(peer_id)} was lost as soon as it was reached"
        )
        raise type(reason)(str(reason)) from reason  # Everybody who waits gets an exception of their own.

    async def _dial(self, peer_id: PeerId, endpoints: list[Endpoint], dial: _Dial) -> None:
        """Try the addresses, each with a head start over the next, until one works; all tasks end with this one."""
        failures: list[Exception] = []
        try:
            async with trio.open_nursery() as nursery:
                for endpoint in endpoints:
                    failed = trio.Event()
                    nursery.start_soon(self._attempt, peer_id, endpoint, failures, failed, nursery.cancel_scope)
                    with trio.move_on_after(limits.DIAL_STAGGER_S):
                        await failed.wait()
        finally:
            if not self.of(peer_id):
                dial.error = _dial_error(peer_id, failures)
            del self._dials[peer_id]
            dial.done.set()

    async def _attempt(
        self,
        peer_id: PeerId,
        endpoint: Endpoint,
        failures: list[Exception],
        failed: trio.Event,
        others: trio.CancelScope,
    ) -> None:
        socket: GuardedSocket | None = None
        is_connected = False
        try:
            async with self._dial_limiter:
                with trio.fail_after(self._dial_timeout_s):
                    socket = GuardedSocket(await self._transport.dial(endpoint))
                    channel = await self._handshaker.secure_outbound(socket, peer_id)
            connection = self._connection(peer_id, socket, channel, dialled=endpoint.text())
            self._add(connection)
            self._spawn(self._serve_added, connection, socket)
            is_connected = True
            others.cancel()
        except (OSError, HandshakeError, trio.TooSlowError) as error:
            failures.append(error)
            logger.debug("dialling %s at %s failed: %r", peer_id, endpoint.text(), error)
            failed.set()
        finally:
            if socket is not None and not is_connected:
                socket.abort()

    # Serving.

    def _connection(
        self, peer_id: PeerId, socket: GuardedSocket, channel: SealedChannel, *, dialled: str | None
    ) -> Connection:
        return Connection(
            peer_id=peer_id,
            socket=socket,
            channel=channel,
            dialled=dialled,
            accept=self._accept_stream,
            ping_every_s=self._ping_every_s,
        )

    async def _serve(self, connection: Connection) -> None:
        self._add(connection)
        try:
            await connection.session.run()
        finally:
            self._remove(connection)

    async def _serve_added(self, connection: Connection, socket: GuardedSocket) -> None:
        """Serve a connection that we made. The outermost frame of its task: never raises."""
        try:
            await connection.session.run()
        except Exception:
            logger.exception("the connection to %s failed", connection.remote)
        finally:
            socket.abort()
            self._remove(connection)

    def _add(self, connection: Connection) -> None:
        connections = self._connections.setdefault(connection.peer_id, [])
        connections.append(connection)
        if len(connections) > limits.CONNECTIONS_PER_PEER_MAX:
            connections[0].session.abort("the peer has newer connections")
        if len(connections) == 1:
            self._on_change(connection.peer_id, True)  # noqa: FBT003 - connected or not

    def _remove(self, connection: Connection) -> None:
        connections = self._connections[connection.peer_id]
        connections.remove(connection)
        if not connections:
            del self._connections[connection.peer_id]
            self._on_change(connection.peer_id, False)  # noqa: FBT003 - connected or not

    def _accept_stream(self, connection: Connection, stream: YamuxStream) -> bool:
        peer_id = connection.peer_id
        if (
            self._inbound_streams[peer_id] >= limits.INBOUND_STREAMS_PER_PEER_MAX
            or self._inbound_stream_count >= limits.INBOUND_STREAMS_MAX
            or connection.session.stream_count >= limits.STREAMS_PER_CONNECTION_MAX
        ):
            return False
        self._inbound_streams[peer_id] += 1
        self._inbound_stream_count += 1
        self._spawn(self._run_stream, connection, stream)
        return True

    async def _run_stream(self, connection: Connection, stream: YamuxStream) -> None:
        """Serve one inbound stream. The outermost frame of its task: whatever is raised ends this stream only."""
        peer_id = connection.peer_id
        try:
            await self._serve_stream(connection, stream)
            stream.end()
        except Exception:
            logger.exception("the handler of a stream from %s failed", peer_id_to_text(peer_id))
        finally:
            if stream.is_writable:
                stream.reset()
            self._inbound_stream_count -= 1
            self._inbound_streams[peer_id] -= 1
            if not self._inbound_streams[peer_id]:
                del self._inbound_streams[peer_id]

    # Letting go.

    async def disconnect(self, peer_id: PeerId) -> None:
        """Close every connection with a peer."""
        async with trio.open_nursery() as nursery:
            for connection in self.of(peer_id):
                nursery.start_soon(connection.session.close)

    def _spawn(self, function: Callable[..., Awaitable[None]], *args: object) -> None:
        assert self._nursery is not None, "the network does not run"
        self._nursery.start_soon(function, *args)


def _dial_error(peer_id: PeerId, failures: list[Exception]) -> PeerUnavailableError:
    name = peer_id_to_text(peer_id)
    reasons = "; ".join(sorted({str(failure) or type(failure).__name__ for failure in failures}))
    if failures and any(isinstance(failure, trio.TooSlowError) for failure in failures):
        return PeerSilentError(f"peer {name} did not answer in time ({len(failures)} addresses tried)")
    return PeerUnavailableError(f"peer {name} cannot be reached: {reasons or 'the node stops'}")

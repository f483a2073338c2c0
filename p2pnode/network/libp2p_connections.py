"""All connections of a node: accepting, dialling every known address, and letting go.

Rules of this file: a connection is in the table exactly while its session runs; nothing a peer does ends any task but
that of its own connection or stream; a dial is shared by all who wait for it, so that a dead peer costs one dial.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import PeerSilentError, PeerUnavailableError
from p2pnode.membership.circuit_addresses import CircuitAddress, Dialable
from p2pnode.network import limits
from p2pnode.network.addresses import Endpoint
from p2pnode.network.admission import Place, place_of
from p2pnode.network.connection_slots import ConnectionSlots, NoSlotError
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.libp2p_connection import Connection
from p2pnode.network.libp2p_noise import HandshakeError, Handshaker, SealedChannel
from p2pnode.network.pace import Turnstile, Warnings
from p2pnode.network.resources import Claim, LimitReachedError, Reservation, Resource, Resources, Scope
from p2pnode.network.transport import RawStream, Transport
from p2pnode.network.yamux_stream import YamuxStream
from wire.ids import PeerId

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Dial:
    """One dial under way and everybody who waits for it."""

    done: trio.Event = field(default_factory=trio.Event)
    error: PeerUnavailableError | None = None


class CircuitDialler(Protocol):
    """How peers behind a relay are reached."""

    async def approach(self, peer_id: PeerId, address: CircuitAddress) -> None:
        """Make sure of a connection to the relay. Raises `PeerUnavailableError`; the caller sets the deadline."""
        ...

    async def dial(self, peer_id: PeerId, address: CircuitAddress) -> RawStream:
        """Open a circuit. Raises `PeerUnavailableError`; the caller sets the deadline."""
        ...


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
        serve_stream: Callable[[Connection, YamuxStream, Reservation], Awaitable[None]],
        on_change: Callable[[PeerId, bool], None],
        resources: Resources | None = None,
    ) -> None:
        """`serve_stream` runs for each inbound stream, with its slot, which it may count against a protocol too.

        `on_change` hears of a peer's first and last connection.
        """
        self._own_id = own_id
        self._transport = transport
        self._handshaker = handshaker
        self._dial_timeout_s = dial_timeout_s
        self._ping_every_s = ping_every_s
        self._serve_stream = serve_stream
        self._on_change = on_change
        self._nursery: trio.Nursery | None = None
        self._connections: dict[PeerId, list[Connection]] = {}
        self._in_order: dict[Connection, None] = {}
        self._dials: dict[PeerId, _Dial] = {}
        self._dial_limiter = trio.CapacityLimiter(limits.DIALS_MAX)
        self.resources = resources or Resources()
        """What connections, streams and bytes are held, against the table of limits."""
        self.circuits: CircuitDialler | None = None
        """Set by who knows relays; without it an address through one cannot be dialled."""
        self._slots = ConnectionSlots(self.resources, self._all)
        self._turnstile = Turnstile()
        self._breaches: dict[PeerId, float] = {}
        self._warnings = Warnings(logger)

    def start(self, nursery: trio.Nursery) -> None:
        """Use this nursery for the tasks of connections; they end with it."""
        self._nursery = nursery

    def protect(self, peer_ids: frozenset[PeerId]) -> None:
        """Keep these peers' connections when strangers fill the slots; replaces the earlier set."""
        self._slots.protected = peer_ids

    # Looking.

    def peers(self) -> list[PeerId]:
        """Return the peers with an open connection, in the order of their ids."""
        return sorted(peer_id for peer_id in self._connections if self.of(peer_id))

    def of(self, peer_id: PeerId) -> list[Connection]:
        """Return the open connections with a peer."""
        return [each for each in self._connections.get(peer_id, ()) if not each.session.is_over]

    def best(self, peer_id: PeerId) -> Connection | None:
        """Return the connection that was heard from last: after a restart the old one may not be noticed yet.

        One through a relay is the last resort: it is slower, and costs somebody else's line.
        """
        return max(self.of(peer_id), key=lambda each: (not each.is_relayed, each.last_arrival), default=None)

    @property
    def count(self) -> int:
        """All open connections."""
        return sum(len(connections) for connections in self._connections.values())

    @property
    def slots_taken(self) -> tuple[int, int, int]:
        """Connections, handshakes under way and inbound streams that count against a limit now."""
        counted = (Resource.HANDSHAKES, Resource.STREAMS_INBOUND)
        handshakes, streams = (self.resources.used(Claim(Scope.SYSTEM, each)) for each in counted)
        return self.count, handshakes, streams

    def _all(self) -> list[Connection]:
        """Return all connections that still hold a slot, in the order in which they came."""
        return [each for each in self._in_order if not each.session.is_over]

    # Accepting.

    async def accept(self, stream: RawStream) -> None:
        """Serve one accepted stream until its connection is over. The outermost frame of its task: never raises."""
        socket = GuardedSocket(stream)
        try:
            await self._accept(socket)
        except (HandshakeError, NoSlotError) as error:
            logger.debug("an inbound connection from %s came to nothing: %s", socket.remote, error)
        except Exception:
            logger.exception("an inbound connection from %s failed", socket.remote)
        finally:
            socket.abort()

    async def _accept(self, socket: GuardedSocket) -> None:
        place = replace(place_of(socket.remote[0]), is_relay=socket.is_relayed)
        socket.turnstile = self._turnstile
        with self._slots.handshaking(place) as scope:
            scope.deadline = trio.current_time() + limits.HANDSHAKE_S
            channel, peer_id = await self._handshaker.secure_inbound(socket)
        socket.turnstile = None
        if scope.cancelled_caught or peer_id == self._own_id or self._is_in_disgrace(peer_id):
            return
        await self._serve(self._connection(peer_id, socket, channel, dialled=None, place=place))

    def _is_in_disgrace(self, peer_id: PeerId) -> bool:
        """Tell whether a peer broke the protocol just now."""
        since = self._breaches.get(peer_id)
        if since is not None and trio.current_time() - since >= limits.BREACH_PAUSE_S:
            del self._breaches[peer_id]
        return peer_id in self._breaches

    # Dialling.

    async def connect(self, peer_id: PeerId, endpoints: Sequence[Dialable]) -> Connection:
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
            dial = _Dial()
            try:
                self._spawn(self._dial, peer_id, list(endpoints), dial)
            except RuntimeError as error:  # So trio says that the nursery has ended: a caller has outlived the network.
                message = f"peer {peer_id_to_text(peer_id)} cannot be reached: the node has stopped"
                raise PeerUnavailableError(message) from error
            self._dials[peer_id] = dial
        await dial.done.wait()
        connection = self.best(peer_id)
        if connection is not None:
            return connection
        reason = dial.error or PeerUnavailableError(
            f"peer {peer_id_to_text(peer_id)} was lost as soon as it was reached"
        )
        raise type(reason)(str(reason)) from reason  # Everybody who waits gets an exception of their own.

    async def _dial(self, peer_id: PeerId, addresses: list[Dialable], dial: _Dial) -> None:
        """Try the addresses, each with a head start over the next, until one works; all tasks end with this one.

        Circuits come last, and later: they cost somebody else's line.
        """
        failures: list[Exception] = []
        direct: list[trio.Event] = []
        try:
            async with trio.open_nursery() as nursery:
                for address in sorted(addresses, key=lambda each: isinstance(each, CircuitAddress)):
                    if isinstance(address, CircuitAddress):
                        with trio.move_on_after(limits.CIRCUIT_HEAD_START_S):
                            while direct:
                                await direct[-1].wait()
                                direct.pop()
                        direct.clear()
                    failed = trio.Event()
                    nursery.start_soon(self._attempt, peer_id, address, failures, failed, nursery.cancel_scope)
                    if isinstance(address, Endpoint):
                        direct.append(failed)
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
        address: Dialable,
        failures: list[Exception],
        failed: trio.Event,
        others: trio.CancelScope,
    ) -> None:
        socket: GuardedSocket | None = None
        is_connected = False
        try:
            if isinstance(address, CircuitAddress):
                # Before a slot is taken: the relay's own dial needs one, and they could all be held by circuits.
                with trio.fail_after(self._dial_timeout_s):
                    await self._circuit_dialler().approach(peer_id, address)
            async with self._dial_limiter:
                with trio.fail_after(self._dial_timeout_s):
                    socket = GuardedSocket(await self._raw_stream(peer_id, address))
                    channel = await self._handshaker.secure_outbound(socket, peer_id)
            connection = self._connection(peer_id, socket, channel, dialled=address.text())
            self._add(connection)
            self._spawn(self._serve_added, connection, socket)
            is_connected = True
            others.cancel()
        except (OSError, HandshakeError, NoSlotError, PeerUnavailableError, trio.TooSlowError) as error:
            failures.append(error)
            logger.debug("dialling %s at %s failed: %r", peer_id, address.text(), error)
            failed.set()
        finally:
            if socket is not None and not is_connected:
                socket.abort()

    async def _raw_stream(self, peer_id: PeerId, address: Dialable) -> RawStream:
        if isinstance(address, CircuitAddress):
            return await self._circuit_dialler().dial(peer_id, address)
        return await self._transport.dial(address)

    def _circuit_dialler(self) -> CircuitDialler:
        if self.circuits is None:
            message = "no relays are used here"
            raise PeerUnavailableError(message)
        return self.circuits

    # Serving.

    def _connection(
        self,
        peer_id: PeerId,
        socket: GuardedSocket,
        channel: SealedChannel,
        *,
        dialled: str | None,
        place: Place | None = None,
    ) -> Connection:
        """Make a connection, for the caller to add at once; it has a slot then. Raises `NoSlotError`."""
        return Connection(
            peer_id=peer_id,
            socket=socket,
            channel=channel,
            dialled=dialled,
            accept=self._accept_stream,
            ping_every_s=self._ping_every_s,
            resources=self.resources,
            reservation=self._slots.admit(peer_id, place),
            block="" if place is None else place.block,
            may_hold=lambda count: self._may_hold(peer_id, count),
        )

    def _may_hold(self, peer_id: PeerId, count: int) -> bool:
        """Tell whether so many more unread bytes of a peer fit: strangers leave room for those who are protected."""
        held = self.resources.used(Claim(Scope.SYSTEM, Resource.UNREAD_BYTES))
        fits = peer_id in self._slots.protected or held + count <= limits.UNREAD_BYTES_FOR_STRANGERS_MAX
        if not fits:
            self._warnings.warn("too many unread bytes, a stream was reset", f"one of {peer_id_to_text(peer_id)}")
        return fits

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
        self._in_order[connection] = None
        if len(connections) == 1:
            self._on_change(connection.peer_id, True)  # noqa: FBT003 - connected or not

    def _remove(self, connection: Connection) -> None:
        connections = self._connections[connection.peer_id]
        connections.remove(connection)
        del self._in_order[connection]
        if connection.session.is_breach:
            self._warnings.warn("a connection was closed because its peer broke the protocol", str(connection.remote))
            self._breaches[connection.peer_id] = trio.current_time()
            while len(self._breaches) > limits.BREACHES_KEPT_MAX:
                del self._breaches[next(iter(self._breaches))]
        connection.release()
        if not connections:
            del self._connections[connection.peer_id]
            self._on_change(connection.peer_id, False)  # noqa: FBT003 - connected or not

    def _accept_stream(self, connection: Connection, stream: YamuxStream) -> bool:
        try:
            connection.hold_inbound(stream)
            reservation = self.resources.reserve(
                (
                    Claim(Scope.SYSTEM, Resource.STREAMS_INBOUND),
                    Claim(Scope.PEER, Resource.STREAMS_INBOUND, connection.peer_id),
                )
            )
        except LimitReachedError as error:
            self._warnings.warn("inbound streams were refused", f"one of {connection.remote}: {error}")
            return False
        self._spawn(self._run_stream, connection, stream, reservation)
        return True

    async def _run_stream(self, connection: Connection, stream: YamuxStream, reservation: Reservation) -> None:
        """Serve one inbound stream. The outermost frame of its task: whatever is raised ends this stream only."""
        try:
            with reservation:
                await self._serve_stream(connection, stream, reservation)
                stream.end()
        except Exception:
            logger.exception("the handler of a stream from %s failed", peer_id_to_text(connection.peer_id))
        finally:
            if stream.is_writable:
                stream.reset()

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

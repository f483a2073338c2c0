"""Circuit relay v2: serving as a relay, being reached through one, and dialling through one.

Source: libp2p specification, "Circuit Relay v2" (hop and stop protocols). Left out are vouchers, which nobody of us
checks, and upgrading a circuit to a direct connection. A circuit ends when either side ends it: there is no half-close.
What was sent before is still passed on, in the direction that ended.

Rules of this file: the relay is trusted with nothing but the passing on of sealed bytes, and it trusts neither end.
Everything that an end can make it hold has a limit (`circuits.py`); a circuit is opened on direct connections only.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import trio
from google.protobuf.message import DecodeError
from libp2p.abc import INetStream
from libp2p.io.exceptions import IOException
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, Limit, Reservation, Status, StopMessage
from libp2p.relay.circuit_v2.pb.circuit_pb2 import PeerId as CircuitPeer
from libp2p.utils.varint import encode_varint_prefixed, read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrError

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import PeerRefusedError, PeerUnavailableError
from p2pnode.membership.circuit_addresses import without_peer
from p2pnode.network import limits
from p2pnode.network.addresses import BadAddressError, Endpoint, parse_endpoint
from p2pnode.network.admission import place_of
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.circuits import Grant, RelayBudget, RelayDesk
from p2pnode.network.libp2p_connection import Connection
from p2pnode.network.libp2p_streams import ForeignStream
from p2pnode.network.transport import RawStream
from p2pnode.network.yamux_stream import StreamEndError, YamuxStream
from p2pnode.seams import Clock
from wire.errors import WireError
from wire.ids import PeerId
from wire.messages import RefusalCode

HOP = "/libp2p/circuit/relay/0.2.0/hop"
STOP = "/libp2p/circuit/relay/0.2.0/stop"

logger = logging.getLogger(__name__)

_STATUS = {
    Grant.OK: Status.OK,
    Grant.NO_RESERVATION: Status.NO_RESERVATION,
    Grant.TOO_MANY: Status.RESOURCE_LIMIT_EXCEEDED,
    Grant.NOT_THIS_WAY: Status.PERMISSION_DENIED,
}

Open = Callable[[PeerId, str], Awaitable[tuple[Connection, YamuxStream]]]
"""Opens a stream of one protocol on a direct connection that exists. Raises `PeerUnavailableError`."""


class CircuitStream:
    """A stream through a relay, in the shape of a socket: what runs over it is sealed end to end."""

    def __init__(self, stream: YamuxStream, remote: tuple[str, int]) -> None:
        """`remote` is the relay's address: the peer's own is not known, and it fails when its relay does."""
        self._stream = stream
        self.remote = remote
        """The relay's IP address and port."""
        self.is_relayed = True

    async def send_all(self, data: bytes | memoryview) -> None:
        """Send all bytes. Raises `trio.BrokenResourceError`."""
        try:
            await self._stream.write(data)
        except ConnectionLostError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def receive_some(self, bytes_max: int) -> bytes:
        """Return at least one byte, none at the end. Raises `trio.BrokenResourceError`."""
        try:
            return await self._stream.read_some(bytes_max)
        except StreamEndError:
            return b""
        except ConnectionLostError as error:
            raise trio.BrokenResourceError(str(error)) from error

    def abort(self) -> None:
        """Close at once; harmless when it is closed already."""
        self._stream.reset()


class Relay:
    """Carries circuits for peers that reserved a place here."""

    def __init__(
        self, *, open_stop: Open, addresses: Callable[[], Sequence[str]], own_id: PeerId, clock: Clock
    ) -> None:
        """`open_stop` opens a stream to a peer that is connected; `addresses` are ours, for what we grant."""
        self._open_stop = open_stop
        self._addresses = addresses
        self._own_id = own_id
        self._clock = clock
        self.desk = RelayDesk()
        self._budget = RelayBudget()
        self._turns = _Turns()

    async def serve(self, stream: INetStream) -> None:
        """Serve one hop stream: a reservation, or a circuit for as long as it lasts. May raise anything."""
        assert isinstance(stream, ForeignStream)
        message = HopMessage()
        with trio.fail_after(limits.NEGOTIATION_S):
            message.ParseFromString(await _read(stream))
        if message.type == HopMessage.RESERVE:
            await self._reserve(stream)
        elif message.type == HopMessage.CONNECT:
            await self._connect(stream, message)
        else:
            await _answer(stream, HopMessage(type=HopMessage.STATUS, status=Status.UNEXPECTED_MESSAGE))
        await stream.close()

    async def _reserve(self, stream: ForeignStream) -> None:
        connection = stream.connection
        grant = Grant.NOT_THIS_WAY
        if not connection.is_relayed:
            place = place_of(connection.remote[0])
            prefix = place.block if place.is_public else ""
            grant = self.desk.reserve(connection.peer_id, prefix=prefix, now=self._clock.monotonic())
        answer = HopMessage(type=HopMessage.STATUS, status=_STATUS[grant])
        if grant is Grant.OK:
            expire = int(self._clock.wall() + limits.RELAY_RESERVATION_S)
            own = peer_id_to_text(self._own_id)
            addresses = [Multiaddr(f"{address}/p2p/{own}").to_bytes() for address in self._addresses()]
            answer.reservation.CopyFrom(Reservation(expire=expire, addrs=addresses))
            answer.limit.CopyFrom(_limit())
        await _answer(stream, answer)

    async def _connect(self, stream: ForeignStream, message: HopMessage) -> None:
        source = stream.connection.peer_id
        try:
            target = PeerId(message.peer.id)
        except WireError:
            await _answer(stream, HopMessage(type=HopMessage.STATUS, status=Status.MALFORMED_MESSAGE))
            return
        if stream.connection.is_relayed or source == target:
            grant = Grant.NOT_THIS_WAY
        else:
            grant = self.desk.may_connect(source, target, now=self._clock.monotonic())
        if grant is not Grant.OK:
            await _answer(stream, HopMessage(type=HopMessage.STATUS, status=_STATUS[grant]))
            return
        with self.desk.circuit(source, target):
            far = await self._reach(source, target)
            if far is None:
                await _answer(stream, HopMessage(type=HopMessage.STATUS, status=Status.CONNECTION_FAILED))
                return
            stream.stream.window_max = far.window_max = limits.RELAY_WINDOW_BYTES
            try:
                await _answer(stream, HopMessage(type=HopMessage.STATUS, status=Status.OK, limit=_limit()))
                await self._carry(source, stream.stream, far)
            finally:
                # Not reset: that would count as an attack at the target when many circuits end at one moment.
                far.end()
                stream.stream.end()

    async def _reach(self, source: PeerId, target: PeerId) -> YamuxStream | None:
        """Ask the target to take a circuit; None when it does not."""
        far: YamuxStream | None = None
        is_agreed = False
        try:
            with trio.fail_after(limits.NEGOTIATION_S):
                connection, far = await self._open_stop(target, STOP)
                foreign = ForeignStream(connection, far, STOP)
                question = StopMessage(type=StopMessage.CONNECT, peer=CircuitPeer(id=bytes(source)), limit=_limit())
                await _answer(foreign, question)
                answer = StopMessage()
                answer.ParseFromString(await _read(foreign))
            is_agreed = answer.type == StopMessage.STATUS and answer.status == Status.OK
            return far if is_agreed else None
        except (trio.TooSlowError, IOException, DecodeError, ValueError, PeerUnavailableError) as error:
            logger.debug("no circuit to %s: %r", peer_id_to_text(target), error)
            return None
        finally:
            if far is not None and not is_agreed:
                far.reset()

    async def _carry(self, asker: PeerId, near: YamuxStream, far: YamuxStream) -> None:
        """Pass bytes on both ways until one side ends, or the circuit's time or bytes are over."""
        with trio.move_on_after(limits.RELAY_CIRCUIT_S), self._turns.of(asker) as turn:
            async with trio.open_nursery() as nursery:
                for source, target in ((near, far), (far, near)):
                    nursery.start_soon(self._pass_on, source, target, turn, nursery.cancel_scope)

    async def _pass_on(
        self, source: YamuxStream, target: YamuxStream, turn: trio.StrictFIFOLock, circuit: trio.CancelScope
    ) -> None:
        left = limits.RELAY_CIRCUIT_BYTES_MAX
        try:
            while left > 0:
                data = await source.read_some(min(left, limits.RELAY_PIECE_BYTES))
                left -= len(data)
                async with turn:
                    await self._clock.sleep(self._budget.wait_s(len(data), now=self._clock.monotonic()))
                await target.write(data)
        except ConnectionLostError as error:
            logger.debug("a circuit ended: %s", error)
        circuit.cancel()


class _Turns:
    """One piece of each asker waits for the budget at a time: eight circuits of one get what one circuit gets."""

    def __init__(self) -> None:
        self._locks: dict[PeerId, trio.StrictFIFOLock] = {}
        self._users: Counter[PeerId] = Counter()

    @contextmanager
    def of(self, asker: PeerId) -> Iterator[trio.StrictFIFOLock]:
        """Return the lock that all circuits of one asker share; it is forgotten with the last of them."""
        self._users[asker] += 1
        try:
            yield self._locks.setdefault(asker, trio.StrictFIFOLock())
        finally:
            self._users[asker] -= 1
            if not self._users[asker]:
                del self._users[asker], self._locks[asker]


class Relayed:
    """The other side: being reached through relays, and dialling through them."""

    def __init__(self, *, open_hop: Open, accept: Callable[[RawStream], Awaitable[None]]) -> None:
        """`open_hop` opens a stream to a relay; `accept` takes a stream that a peer opened to us."""
        self._open_hop = open_hop
        self._accept = accept
        self._reserved: set[PeerId] = set()

    async def reserve(self, relay_id: PeerId) -> tuple[Connection, list[Endpoint]]:
        """Ask a peer to be our relay, or to stay it; return on which connection, and where it says that it is.

        Raises `PeerRefusedError` when it does not want to, `PeerUnavailableError`.
        """
        self._reserved.add(relay_id)  # Now: a circuit may come before we have read the answer.
        is_granted = False
        try:
            answer, stream, connection = await self._ask(relay_id, HopMessage(type=HopMessage.RESERVE))
            stream.reset()
            is_granted = True
        finally:
            if not is_granted:
                self._reserved.discard(relay_id)
        found = (_endpoint_of(raw) for raw in list(answer.reservation.addrs)[: limits.RELAY_ADDRESSES_MAX])
        return connection, [endpoint for endpoint in found if endpoint is not None]

    def forget(self, relay_id: PeerId) -> None:
        """Take no more circuits from this relay."""
        self._reserved.discard(relay_id)

    async def dial(self, peer_id: PeerId, relay_id: PeerId) -> CircuitStream:
        """Open a circuit to a peer through a relay. Raises `PeerUnavailableError`; the caller sets the deadline."""
        question = HopMessage(type=HopMessage.CONNECT, peer=CircuitPeer(id=bytes(peer_id)))
        _, stream, connection = await self._ask(relay_id, question)
        return CircuitStream(stream, connection.remote)

    async def serve(self, stream: INetStream) -> None:
        """Serve one stop stream: take a circuit, and keep it for as long as the connection on it lasts."""
        assert isinstance(stream, ForeignStream)
        message = StopMessage()
        with trio.fail_after(limits.NEGOTIATION_S):
            message.ParseFromString(await _read(stream))
        if message.type != StopMessage.CONNECT or stream.connection.peer_id not in self._reserved:
            await _answer(stream, StopMessage(type=StopMessage.STATUS, status=Status.PERMISSION_DENIED))
            await stream.close()
            return
        await _answer(stream, StopMessage(type=StopMessage.STATUS, status=Status.OK))
        await self._accept(CircuitStream(stream.stream, stream.connection.remote))

    async def _ask(self, relay_id: PeerId, question: HopMessage) -> tuple[HopMessage, YamuxStream, Connection]:
        connection, stream = await self._open_hop(relay_id, HOP)
        is_granted = False
        try:
            foreign = ForeignStream(connection, stream, HOP)
            with trio.fail_after(limits.NEGOTIATION_S):
                await _answer(foreign, question)
                answer = HopMessage()
                answer.ParseFromString(await _read(foreign))
            is_granted = answer.type == HopMessage.STATUS and answer.status == Status.OK
        except (trio.TooSlowError, IOException, DecodeError, ValueError) as error:
            message = f"the relay {peer_id_to_text(relay_id)} gave no proper answer: {error!r}"
            raise PeerUnavailableError(message) from error
        finally:
            if not is_granted:
                stream.reset()
        if not is_granted:
            reason = Status.Name(answer.status).lower().replace("_", " ")
            message = f"the relay {peer_id_to_text(relay_id)} refused: {reason}"
            raise PeerRefusedError(message, RefusalCode.BUSY)
        return answer, stream, connection


def _limit() -> Limit:
    return Limit(duration=int(limits.RELAY_CIRCUIT_S), data=limits.RELAY_CIRCUIT_BYTES_MAX)


def _endpoint_of(raw: bytes) -> Endpoint | None:
    """Return the endpoint that a relay's address starts with; None when it is none that can be dialled."""
    try:
        endpoint = parse_endpoint(without_peer(str(Multiaddr(raw))))
    except (BadAddressError, MultiaddrError, ValueError):
        return None
    return None if endpoint.is_unspecified else endpoint


async def _read(stream: ForeignStream) -> bytes:
    data: bytes = await read_varint_prefixed_bytes_limited(stream, limits.RELAY_MESSAGE_BYTES_MAX)
    return data


async def _answer(stream: ForeignStream, message: HopMessage | StopMessage) -> None:
    await stream.write(encode_varint_prefixed(message.SerializeToString()))

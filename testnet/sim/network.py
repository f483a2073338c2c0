"""The `Network` of one simulated node, on top of the world's `Fabric`."""

from __future__ import annotations

import contextvars
from collections.abc import Sequence

import trio

from crypto.peer_id import BadPeerIdError, peer_id_from_text
from p2pnode.errors import CallerError, PeerSilentError, PeerUnavailableError, PortInUseError
from p2pnode.membership.circuit_addresses import CircuitAddress, is_circuit, parse_dialable
from p2pnode.network.addresses import with_extra
from p2pnode.seams import Connected, GossipHandler, OnRunning, Stream, StreamEndedError, StreamHandler, Verdict
from testnet.sim.circuits import SimPlaces
from testnet.sim.connection import CONTROL_BYTES, Connection, ConnectionEnd
from testnet.sim.fabric import Fabric, Host, is_only
from testnet.sim.gossip import SimGossip
from testnet.sim.search import search
from wire.ids import PeerId

DIAL_TIMEOUT_S = 5.0
"""How long a dial waits for a machine that does not answer."""

OPEN_TIMEOUT_S = 10.0
"""How long the opening of a stream waits for a connected peer that does not answer."""

_PEER_IS_GONE = (PeerUnavailableError, StreamEndedError)
"""What may leave a handler without being a fault of the node's code."""


class SimNetwork:
    """One node's network. A node that starts again gets a new one with the same peer id and addresses."""

    def __init__(self, fabric: Fabric, *, name: str, peer_id: PeerId, listen: Sequence[str]) -> None:
        """Prepare; nothing is reachable before `run`."""
        self._fabric = fabric
        self._name = name
        self._peer_id = peer_id
        self._listen = tuple(listen)
        self._handlers: dict[str, StreamHandler] = {}
        self._learnt: dict[PeerId, tuple[str, ...]] = {}
        self._ends: dict[PeerId, ConnectionEnd] = {}
        self.protected: frozenset[PeerId] = frozenset()
        """The peers whose connections a real network would keep; here there are always slots enough."""
        self.believed: tuple[str, ...] = ()
        """Where we believe to listen, when it is not where we do: a router stands between."""
        self.seen_as: tuple[str, ...] = ()
        """Where others see us come from, when it is not where we listen."""
        self._extra: tuple[str, ...] = ()
        self._connected: tuple[Connected, ...] | None = ()
        """What `connected` returns; None when somebody came or went since it was made."""
        self._places = SimPlaces(self._ends)
        self.gossip = SimGossip(fabric, self, hears=self._hears, is_connected=self._is_connected)
        self._nursery: trio.Nursery | None = None
        self._context = contextvars.copy_context()

    # ------------------------------------------------------------------ who and where

    @property
    def peer_id(self) -> PeerId:
        """Our own peer id."""
        return self._peer_id

    @property
    def name(self) -> str:
        """The node's name in the trace."""
        return self._name

    def addresses(self) -> tuple[str, ...]:
        """Return where we listen, or believe that we do."""
        return with_extra(self.believed or self._listen, [*self._extra, *self._places.addresses()])

    def announce_also(self, addresses: Sequence[str]) -> None:
        """Count these among our own addresses too."""
        self._extra = tuple(addresses)

    def seen_at(self, peer_id: PeerId) -> tuple[str, ...]:
        """Return where the connection with a peer comes from; nothing when it leads through a relay."""
        end = self._ends.get(peer_id)
        return () if end is None or end.is_relayed or not isinstance(end.peer, SimNetwork) else end.peer.outside

    @property
    def outside(self) -> tuple[str, ...]:
        """Where others see us come from."""
        return self.seen_as or self._listen[:1]

    async def resolve(self, address: str) -> tuple[str, ...]:
        """Return the address itself: there are no names here."""
        await trio.lowlevel.checkpoint()
        return (address,)

    async def dial_back(self, peer_id: PeerId, address: str) -> None:
        """Try an address without a lasting connection."""
        self._fabric.trace.record("dial back", self._name, address)
        await trio.sleep(2 * self._fabric.round_trip_s())
        with trio.move_on_after(DIAL_TIMEOUT_S) as deadline:
            while self._gets_no_answer(address):
                await self._fabric.wait_for_change()
        if deadline.cancelled_caught:
            raise PeerSilentError(f"{self._name}: nothing answers at {address}")
        host = self._fabric.listener(address)
        if host is None or host.peer_id != peer_id:
            raise PeerUnavailableError(f"{self._name}: {peer_id.hex()[-12:]} does not listen at {address}")

    def move(self, addresses: Sequence[str]) -> None:
        """Listen at other addresses from now on, as a machine that was given new ones: the old ones are silent.

        Our ends of all connections are gone at once, the peers notice when they lose their patience.
        """
        self._fabric.leave(self, is_silent=True)
        self._listen = tuple(addresses)
        self._fabric.listen(self, self._listen)
        for _, end in sorted(self._ends.items()):
            end.break_now()
            end.break_other_at_last()

    async def reserve_relay(self, peer_id: PeerId) -> tuple[str, ...]:
        """Have a connected peer relay for us."""
        await trio.sleep(self._fabric.round_trip_s())
        addresses = [each.addresses() for each in self.neighbours() if each.peer_id == peer_id]
        return (self._places.take(peer_id, sum(addresses, ())),)

    def release_relay(self, peer_id: PeerId) -> None:
        """Be reached through this relay no more."""
        self._places.give_back(peer_id)

    def relays(self) -> tuple[PeerId, ...]:
        """Return the relays through which we are reached now."""
        return self._places.relays()

    def learn_addresses(self, peer_id: PeerId, addresses: Sequence[str]) -> None:
        """Remember where a peer says it listens."""
        self._learnt[peer_id] = tuple(addresses)

    def known_addresses(self, peer_id: PeerId) -> tuple[str, ...]:
        """Return what was learnt about a peer; what another node's search in the DHT may find here."""
        return self._learnt.get(peer_id, ())

    async def find_addresses(self, peer_id: PeerId) -> tuple[str, ...]:
        """Search the nodes that can be reached over open connections for a peer's addresses."""
        await trio.sleep(self._fabric.round_trip_s())
        return search(self, peer_id)

    def neighbours(self) -> list[SimNetwork]:
        """Return the live hosts that we have a working connection with, in the order of their ids."""
        peers = [end.peer for _, end in sorted(self._ends.items()) if end.is_open]
        return [peer for peer in peers if isinstance(peer, SimNetwork) and self._can_talk_to(peer)]

    def neighbour(self, peer_id: PeerId) -> SimNetwork | None:
        """Return the live host with this id, if we have a working connection with it."""
        end = self._ends.get(peer_id)
        if end is None or not end.is_open or not isinstance(end.peer, SimNetwork) or not self._can_talk_to(end.peer):
            return None
        return end.peer

    def _can_talk_to(self, peer: Host) -> bool:
        return self._fabric.is_live(peer) and not self._fabric.hears_nothing(self, peer)

    # ------------------------------------------------------------------ connections

    async def connect(self, peer_id: PeerId) -> None:
        """Make sure that a connection exists."""
        await trio.lowlevel.checkpoint()
        if peer_id in self._ends:
            return
        if peer_id == self._peer_id:
            raise PeerUnavailableError(f"{self._name}: this is our own peer id")
        started = trio.current_time()
        for address in self._learnt.get(peer_id, ()):
            if await self._dial(peer_id, address):
                return
        if round(trio.current_time() - started, 3) >= DIAL_TIMEOUT_S:
            raise PeerSilentError(f"{self._name}: {peer_id.hex()[-12:]} does not answer at its addresses")
        raise PeerUnavailableError(f"{self._name}: no known address of {peer_id.hex()[-12:]} answers as it")

    async def bootstrap(self, address: str) -> PeerId:
        """Connect to a multiaddr that ends in `/p2p/<peer id>`."""
        where, separator, text = address.rpartition("/p2p/")
        try:
            peer_id = PeerId(peer_id_from_text(text))
        except BadPeerIdError as error:
            raise CallerError(f"not an address that ends in /p2p/<peer id>: {address!r}") from error
        if not separator or not where.startswith("/"):
            raise CallerError(f"not an address that ends in /p2p/<peer id>: {address!r}")
        if where not in self._learnt.get(peer_id, ()):
            self._learnt[peer_id] = (*self._learnt.get(peer_id, ()), where)
        await self.connect(peer_id)
        return peer_id

    def connected(self) -> tuple[Connected, ...]:
        """Return the peers with a connection."""
        if self._connected is None:
            ends = sorted(self._ends.items())
            self._connected = tuple(Connected(peer_id, end.address, end.source) for peer_id, end in ends)
        return self._connected

    async def disconnect(self, peer_id: PeerId) -> None:
        """Close the connection with a peer, if there is one."""
        end = self._ends.get(peer_id)
        if end is not None:
            end.break_now()
            end.break_other_later()
        await trio.lowlevel.checkpoint()

    def protect(self, peer_ids: frozenset[PeerId]) -> None:
        """Remember whose connections to keep; replaces the earlier set."""
        self.protected = peer_ids

    async def _dial(self, peer_id: PeerId, address: str) -> bool:
        """Try one address; True when a connection with that peer exists then."""
        if is_circuit(address):
            return await self._dial_circuit(peer_id, address)
        with trio.move_on_after(DIAL_TIMEOUT_S) as deadline:
            await trio.sleep(2 * self._fabric.round_trip_s(self, self._fabric.listener(address)))
            while self._gets_no_answer(address):
                await self._fabric.wait_for_change()
        host = self._fabric.listener(address)
        if deadline.cancelled_caught or host is None or self._fabric.hears_nothing(self, host):
            return False
        return peer_id in self._ends or self._meet(host, peer_id, address)

    async def _dial_circuit(self, peer_id: PeerId, address: str) -> bool:
        """Reach a peer through its relay. Once met, the two ends talk as if the relay were a cable between them."""
        circuit = parse_dialable(address)
        assert isinstance(circuit, CircuitAddress)
        if circuit.relay_id == self._peer_id:
            return False
        if circuit.relay_id not in self._ends and not await self._dial(circuit.relay_id, circuit.relay.text()):
            return False
        relays = [each for each in self.neighbours() if each.peer_id == circuit.relay_id]
        behind = [each for relay in relays for each in relay.neighbours() if circuit.relay_id in each.relays()]
        return any(peer_id in self._ends or self._meet(each, peer_id, address) for each in behind)

    def _gets_no_answer(self, address: str) -> bool:
        host = self._fabric.listener(address)
        if host is None:
            return self._fabric.is_silent_address(address)
        return self._fabric.gets_no_answer(self, host)

    def _meet(self, host: object, peer_id: PeerId, address: str) -> bool:
        """Both sides prove who they are; a peer of another id is not kept."""
        if not isinstance(host, SimNetwork) or host.peer_id != peer_id or not self._fabric.is_live(self):
            return False
        connection = Connection(
            self._fabric,
            dialler=self,
            listener=host,
            address=address,
            source=(address if is_circuit(address) else next(iter(self._listen), "")).partition("/tcp/")[0],
            on_lost=(self.end_lost, host.end_lost),
        )
        host.adopt(connection.accepted)
        self.adopt(connection.dialled)
        self.gossip.meet(host.gossip)
        return True

    def adopt(self, end: ConnectionEnd) -> None:
        """Take over our end of a new connection."""
        stale = self._ends.get(end.peer.peer_id)
        if stale is not None:  # An earlier life of that peer, whose end we have not noticed yet.
            stale.break_now()
        self._ends[end.peer.peer_id] = end
        self._connected = None

    def end_lost(self, end: ConnectionEnd) -> None:
        """Our end of a connection is gone, and with it the circuits that we dialled through that peer."""
        if self._ends.get(end.peer.peer_id) is not end:
            return
        del self._ends[end.peer.peer_id]
        self._connected = None
        self.gossip.lose(end.peer.peer_id)
        if not end.is_relayed:
            self._places.break_through(end.peer.peer_id)

    # ------------------------------------------------------------------ streams

    def handle(self, protocol: str, handler: StreamHandler) -> None:
        """Serve a protocol."""
        self._handlers[protocol] = handler

    async def open_stream(self, peer_id: PeerId, protocol: str) -> Stream:
        """Open a stream, dialling if need be."""
        if peer_id not in self._ends:
            await self.connect(peer_id)
        end = self._ends.get(peer_id)
        with trio.move_on_after(OPEN_TIMEOUT_S):
            await trio.sleep(self._fabric.round_trip_s(self, None if end is None else end.peer))
            while end is not None and end.is_open:
                if self._ends.get(peer_id) is end and self._can_talk_to(end.peer):
                    return self._open_on(end, protocol)
                self._fabric.gets_no_answer(self, end.peer)
                await self._fabric.wait_for_change()
            raise PeerUnavailableError(f"{self._name}: the connection with {peer_id.hex()[-12:]} was lost")
        raise PeerSilentError(f"{self._name}: {peer_id.hex()[-12:]} does not answer on its connection")

    def _open_on(self, end: ConnectionEnd, protocol: str) -> Stream:
        peer = end.peer
        assert isinstance(peer, SimNetwork), "only simulated networks meet on a fabric"
        if not peer.speaks(protocol):
            raise PeerUnavailableError(f"{peer.name} does not speak {protocol}")
        ours, theirs = end.open_stream(protocol)
        peer.serve(protocol, theirs)
        return ours

    def speaks(self, protocol: str) -> bool:
        """Tell whether a stream of this protocol would be served here."""
        return self._nursery is not None and protocol in self._handlers

    def serve(self, protocol: str, stream: Stream) -> None:
        """Serve a stream that a peer opened, in a task of its own."""
        assert self._nursery is not None, "only a running network is asked to serve"
        self._context.run(self._nursery.start_soon, self._serve, protocol, self._handlers[protocol], stream)

    async def _serve(self, protocol: str, handler: StreamHandler, stream: Stream) -> None:
        self._fabric.trace.record("serve", self._name, protocol)
        try:
            await handler(stream)
        except Exception as error:  # noqa: BLE001 - the outermost loop of a handler's task
            if self._nursery is not None and not is_only(error, _PEER_IS_GONE):
                self._fabric.report(self, protocol, error)
            await stream.reset()
        else:
            await stream.close()

    @property
    def handlers(self) -> tuple[StreamHandler, ...]:
        """What serves our protocols, in the order of their names."""
        return tuple(handler for _, handler in sorted(self._handlers.items()))

    def open_streams(self) -> dict[PeerId, int]:
        """Return how many streams are open with each connected peer, whoever opened them."""
        return {peer_id: end.open_streams for peer_id, end in sorted(self._ends.items())}

    # ------------------------------------------------------------------ gossip

    def subscribe(self, topic: str, handler: GossipHandler) -> None:
        """Take part in a topic."""
        self.gossip.subscribe(topic, handler)

    async def publish(self, topic: str, data: bytes) -> None:
        """Gossip a message to everyone in the topic."""
        await trio.lowlevel.checkpoint()
        self.gossip.publish(topic, data)

    def _hears(self, handler: GossipHandler, via: PeerId, data: bytes, topic: str) -> Verdict:
        try:
            verdict = self._context.run(handler, via, data)
        except Exception as error:  # noqa: BLE001 - the seam promises that it counts as IGNORE
            self._fabric.report(self, topic, error)
            verdict = Verdict.IGNORE
        for tell in self._fabric.on_verdict:
            tell(self, via, topic, verdict)
        return verdict

    def _is_connected(self, host: Host) -> bool:
        """Tell whether we have a connection with this very host, not with an earlier life of it."""
        end = self._ends.get(host.peer_id)
        return end is not None and end.peer is host

    # ------------------------------------------------------------------ life and death

    async def run(self, *, task_status: OnRunning) -> None:
        """Listen and serve until cancelled. Ends cleanly: peers learn at once that we are gone."""
        try:
            self._fabric.listen(self, self._listen)
        except OSError as error:
            raise PortInUseError(str(error)) from error
        if not self._fabric.is_first_life(self):
            self._break_stale_connections()
        self._context = contextvars.copy_context()  # What runs for us is our code, whoever's task or event starts it.
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                await trio.sleep_forever()
        finally:
            self.die(is_silent=False)

    def die(self, *, is_silent: bool) -> None:
        """Be gone at once; no error when we are already. With `is_silent` the machine lost power: nobody is told."""
        if self._nursery is None:
            return
        self._nursery = None
        self._fabric.leave(self, is_silent=is_silent)
        for _, end in sorted(self._ends.items()):
            end.break_now()
            if is_silent:
                end.break_other_at_last()
            else:
                end.break_other_later()

    def _break_stale_connections(self) -> None:
        """Tell the peers that still believe in connections of our earlier life: a new machine knows nothing of them."""
        for connection in self._fabric.connections:
            assert isinstance(connection, Connection), "only connections of this module are on the fabric"
            for end in (connection.dialled, connection.accepted):
                if end.peer.peer_id == self._peer_id and end.is_open:
                    self._fabric.post(self, end.host, CONTROL_BYTES, end.break_now)

"""Streams between real `Libp2pNetwork`s in memory and in virtual time, over the same `Fabric` as the simulated network.

They behave as TCP does: bytes arrive in order, a window bounds what was sent and not read, a cut holds everything
until it is healed, a machine that lost its power says nothing, and one that has started again resets the connections of
its earlier life. Addresses are IPv4 or IPv6 endpoints; names are not resolved.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import trio

from p2pnode.errors import CallerError, PortInUseError
from p2pnode.network.addresses import Endpoint
from p2pnode.network.transport import RawStream
from testnet.sim.fabric import Fabric
from testnet.sim.memory_stream import CONTROL_BYTES, MemoryStream, connect_streams
from wire.ids import PeerId

BACKLOG = 128
"""Streams that wait until a listener's task takes them, as the adapter asks of the system."""

REPEAT_S = 1.0
"""How long a dial waits before it asks again: a machine that starts meanwhile is found."""

_FIRST_FREE_PORT = 50_000
_DEFAULT_PORT = 4_710


class Internet:
    """All machines of one fabric, by IP address, and the open streams between them."""

    def __init__(self, fabric: Fabric) -> None:
        """Start without a machine."""
        self.fabric = fabric
        self._machines: dict[str, MemoryTransport] = {}
        self._streams: dict[int, MemoryStream] = {}
        self._ports = itertools.count(_FIRST_FREE_PORT)
        self._numbers = itertools.count()

    def machine(self, *, name: str, peer_id: PeerId, hosts: Sequence[str]) -> MemoryTransport:
        """Switch a machine on; a machine that had one of these addresses before is switched off."""
        for host in hosts:
            if host in self._machines:
                self._machines[host].power_off()
        machine = MemoryTransport(self, name=name, peer_id=peer_id, hosts=hosts)
        self._machines |= dict.fromkeys(hosts, machine)
        return machine

    def at(self, host: str) -> MemoryTransport | None:
        """Return the machine that is switched on at an IP address."""
        machine = self._machines.get(host)
        return machine if machine is not None and machine.is_on else None

    def streams(self) -> list[MemoryStream]:
        """Return the dialling ends of all streams of which an end is still in use, in the order of their making."""
        self._streams = {number: stream for number, stream in self._streams.items() if stream.is_in_use}
        return list(self._streams.values())

    def reset(self, one: str, other: str) -> int:
        """Break all streams between two machines, by name, at both ends at once; return how many they were."""
        hit = [stream for stream in self.streams() if {stream.source.name, stream.target.name} == {one, other}]
        for stream in hit:
            self.fabric.trace.record("reset", one, other)
            stream.break_both()
        return len(hit)

    def connect(self, dialler: MemoryTransport, listener: MemoryTransport, endpoint: Endpoint) -> MemoryStream:
        """Return the dialling end of a new stream; the other one is its `peer`."""
        remote = (dialler.hosts[0], next(self._ports))
        stream = connect_streams(
            self.fabric,
            dialler,
            listener,
            remotes=((endpoint.host, endpoint.port), remote),
            is_replaced=self._is_replaced,
        )
        self._streams[next(self._numbers)] = stream
        return stream

    def _is_replaced(self, machine: object) -> bool:
        """Tell whether a machine that is off has a successor at its address, which answers for it."""
        return isinstance(machine, MemoryTransport) and self.at(machine.hosts[0]) is not None


@dataclass(slots=True)
class _Dial:
    """A dial under way."""

    endpoint: Endpoint
    stream: MemoryStream | None = None
    """Our end, once the other machine has accepted."""
    is_refused: bool = False
    is_over: bool = False
    answered: trio.Event = field(default_factory=trio.Event)


class MemoryTransport:
    """One machine: the `Transport` of a network in memory, and a host of the fabric."""

    def __init__(self, internet: Internet, *, name: str, peer_id: PeerId, hosts: Sequence[str]) -> None:
        """Use `Internet.machine`. `hosts` are its IP addresses."""
        self.name = name
        self.peer_id = peer_id
        self.hosts = tuple(hosts)
        self.is_on = True
        self._internet = internet
        self._fabric = internet.fabric
        self._listeners: dict[tuple[str, int], MemoryListener] = {}

    def power_off(self) -> None:
        """Lose power: nothing leaves this machine any more, not even a farewell; what comes gets no answer."""
        if self.is_on:
            self.is_on = False
            self._fabric.trace.record("silent", self.name)

    # The `Transport` seam.

    async def dial(self, endpoint: Endpoint) -> RawStream:
        """Open a stream. Raises `OSError` when it is refused; waits for ever when nobody answers."""
        await trio.lowlevel.checkpoint()
        if endpoint.ip is None:
            raise OSError(errno.EHOSTUNREACH, f"names are not resolved in memory: {endpoint.host}")
        dial = _Dial(endpoint)
        try:
            while not dial.answered.is_set():
                self._ask(dial)
                with trio.move_on_after(REPEAT_S):
                    await dial.answered.wait()
            if dial.stream is None:
                raise ConnectionRefusedError(errno.ECONNREFUSED, f"{endpoint.text()} refused the connection")
            stream, dial.stream = dial.stream, None
            return stream
        finally:
            dial.is_over = True
            if dial.stream is not None:
                dial.stream.abort()

    async def listen(self, endpoints: Sequence[Endpoint]) -> MemoryListener:
        """Listen on all of these or on none. Raises `PortInUseError`, and `CallerError` for one that is not ours."""
        await trio.lowlevel.checkpoint()
        concrete = [self._concrete(endpoint) for endpoint in endpoints]
        listener = MemoryListener(self, concrete)
        for endpoint in concrete:
            for host in self._hosts_of(endpoint):
                if (host, endpoint.port) in self._listeners:
                    listener.close()
                    message = f"{endpoint.text()} is in use by another program"
                    raise PortInUseError(message)
                self._listeners[host, endpoint.port] = listener
        self._fabric.trace.record("up", self.name)
        return listener

    def interface_addresses(self) -> list[str]:
        """Return the machine's IP addresses."""
        return list(self.hosts)

    # What happens to dials.

    def _ask(self, dial: _Dial) -> None:
        target = self._internet.at(dial.endpoint.host)
        if target is not None and self.is_on:
            self._fabric.post(self, target, CONTROL_BYTES, partial(target.take_dial, self, dial))

    def take_dial(self, dialler: MemoryTransport, dial: _Dial) -> None:
        """Somebody dials us: take the stream, refuse it, or say nothing when we are off or have no room."""
        if dial.is_over or dial.is_refused or dial.stream is not None or not self.is_on or not dialler.is_on:
            return
        listener = self._listeners.get((dial.endpoint.host, dial.endpoint.port))
        if listener is None:
            dial.is_refused = True
        else:
            stream = self._internet.connect(dialler, self, dial.endpoint)
            if not listener.offer(stream.peer):
                return
            dial.stream = stream
        self._fabric.post(self, dialler, CONTROL_BYTES, dial.answered.set)

    def forget(self, listener: MemoryListener) -> None:
        """Listen no more where this listener did; harmless when it did nowhere."""
        self._listeners = {key: each for key, each in self._listeners.items() if each is not listener}
        if not self._listeners and self.is_on:
            self._fabric.trace.record("down", self.name)

    def _concrete(self, endpoint: Endpoint) -> Endpoint:
        if endpoint.ip is None or not self._hosts_of(endpoint):
            message = f"cannot listen on {endpoint.text()}: it is no address of this machine"
            raise CallerError(message)
        return Endpoint(endpoint.kind, endpoint.host, endpoint.port or _DEFAULT_PORT)

    def _hosts_of(self, endpoint: Endpoint) -> list[str]:
        if endpoint.ip is not None and endpoint.ip.is_unspecified:
            return [host for host in self.hosts if (":" in host) == (endpoint.kind == "ip6")]
        return [host for host in self.hosts if host == endpoint.host]


class MemoryListener:
    """Endpoints of a machine on which others reach it."""

    def __init__(self, machine: MemoryTransport, endpoints: Sequence[Endpoint]) -> None:
        """Use `MemoryTransport.listen`."""
        self._machine = machine
        self.endpoints = list(endpoints)
        """What is listened on."""
        self._offer, self._offered = trio.open_memory_channel[MemoryStream](BACKLOG)

    def offer(self, stream: MemoryStream) -> bool:
        """Put a stream into the backlog; False when it is full, so that the dialler asks again."""
        try:
            self._offer.send_nowait(stream)
        except trio.WouldBlock:
            return False
        return True

    async def serve(
        self,
        accept: Callable[[RawStream], Awaitable[None]],
        nursery: trio.Nursery,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Run `accept` in the nursery for each stream that somebody opens to us, until cancelled."""
        task_status.started()
        try:
            async for stream in self._offered:
                nursery.start_soon(accept, stream)
        finally:
            self.close()

    def close(self) -> None:
        """Stop listening; streams that nobody has taken yet are reset."""
        self._machine.forget(self)
        while self._offered.statistics().current_buffer_used:
            self._offered.receive_nowait().abort()

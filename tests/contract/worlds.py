"""The worlds of the three laboratories: how their networks are made, and what can be done to them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Protocol

import trio

from crypto.keys import SigningKey
from crypto.peer_id import peer_id_of
from p2pnode.config import TESTNET
from p2pnode.network.addresses import Endpoint
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.tcp_transport import TcpStream, TcpTransport
from p2pnode.network.transport import RawStream
from p2pnode.seams import Network
from p2pnode.system import SystemClock, SystemRng
from testnet.sim.clock import NodeClock, SimClock
from testnet.sim.fabric import Breakable, Fabric
from testnet.sim.memory_transport import Internet, MemoryTransport
from testnet.sim.network import SimNetwork
from testnet.sim.rng import SimRng, generator
from testnet.sim.trace import Trace
from wire.ids import PeerId
from wire.protocol_ids import NetworkNames

NAMES = NetworkNames("contract", TESTNET.shared())

_NO_LINGER = struct.pack("ii", 1, 0)
"""A socket that is closed with this option sends a reset instead of a farewell."""


class Member(Protocol):
    """What a world asks of a member of a laboratory."""

    @property
    def network(self) -> Network:
        """Its network."""
        ...

    @property
    def place(self) -> int:
        """Which machine it is on."""
        ...


class _RememberedTcp(TcpTransport):
    """TCP that remembers what it dialled, so that a test can reset it."""

    def __init__(self) -> None:
        self.dialled: list[tuple[str, trio.SocketStream]] = []

    async def dial(self, endpoint: Endpoint) -> RawStream:
        stream = await trio.open_tcp_stream(endpoint.host, endpoint.port)
        self.dialled.append((endpoint.text(), stream))
        return TcpStream(stream)


class TcpWorld:
    """Real sockets on loopback. Ways cannot be cut here, and machines cannot be switched off."""

    def __init__(self) -> None:
        """Start empty."""
        self._transports: dict[PeerId, _RememberedTcp] = {}

    def make(self, key: SigningKey, place: int) -> Network:
        """Build a network; every one gets a port of its own from the system."""
        del place
        transport = _RememberedTcp()
        self._transports[PeerId(peer_id_of(key.public))] = transport
        return Libp2pNetwork(
            key=key,
            names=NAMES,
            profile=TESTNET,
            clock=SystemClock(),
            rng=SystemRng(),
            listen=["/ip4/127.0.0.1/tcp/0"],
            transport=transport,
        )

    def reset(self, one: Member, other: Member) -> int:
        """Close the sockets between two members so that a reset is sent; return how many there were."""
        return self._reset(one.network, other.network) + self._reset(other.network, one.network)

    def _reset(self, dialler: Network, dialled: Network) -> int:
        count = 0
        for address, stream in self._transports[dialler.peer_id].dialled:
            if address in dialled.addresses() and stream.socket.fileno() >= 0:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                stream.socket.close()
                count += 1
        return count


class _FabricWorld:
    """What the two worlds in virtual time share: cuts of the fabric, by the names of machines."""

    def __init__(self, clock: SimClock, trace: Trace, seed: int) -> None:
        self.fabric = Fabric(clock=clock, rng=generator(seed, "fabric"), trace=trace)
        self._seed = seed

    def partition(self, *groups: Sequence[Member]) -> None:
        """Cut every way between members of different groups, in addition to the cuts that exist."""
        self.fabric.partition(*[[machine_name(member.place) for member in group] for group in groups])

    def cut_one_way(self, source: Member, target: Member) -> None:
        """Cut the way from one member to another; the way back stays."""
        self.fabric.cut_one_way(machine_name(source.place), machine_name(target.place))

    def heal(self) -> None:
        """End every cut."""
        self.fabric.heal()


class MemoryWorld(_FabricWorld):
    """Real networks over the transport in memory."""

    def __init__(self, clock: SimClock, trace: Trace, seed: int) -> None:
        """Start without machines."""
        super().__init__(clock, trace, seed)
        self.internet = Internet(self.fabric)
        self._machines: dict[int, MemoryTransport] = {}

    def make(self, key: SigningKey, place: int) -> Network:
        """Build a network on a machine of its own; one that was at this place before is switched off."""
        peer_id = PeerId(peer_id_of(key.public))
        machine = self.internet.machine(name=machine_name(place), peer_id=peer_id, hosts=[_host(place)])
        self._machines[place] = machine
        return Libp2pNetwork(
            key=key,
            names=NAMES,
            profile=TESTNET,
            clock=NodeClock(),
            rng=SimRng(generator(self._seed, f"node {self.fabric.new_number()}")),
            listen=[f"/ip4/{_host(place)}/tcp/4710"],
            transport=machine,
        )

    def reset(self, one: Member, other: Member) -> int:
        """Break all connections between two members at both ends; return how many there were."""
        return self.internet.reset(machine_name(one.place), machine_name(other.place))

    def lose_power(self, member: Member) -> None:
        """Switch a member's machine off: nobody is told."""
        self._machines[member.place].power_off()


class SimulatedWorld(_FabricWorld):
    """Simulated networks."""

    def make(self, key: SigningKey, place: int) -> Network:
        """Build a network at its own address."""
        peer_id = PeerId(peer_id_of(key.public))
        address = f"/ip4/{_host(place)}/tcp/4710"
        return SimNetwork(self.fabric, name=machine_name(place), peer_id=peer_id, listen=[address])

    def reset(self, one: Member, other: Member) -> int:
        """Break all connections between two members at both ends; return how many there were."""
        names = {machine_name(one.place), machine_name(other.place)}
        hit = [each for each in self.fabric.connections if _names(each) == names]
        for connection in hit:
            connection.break_ends()
        return len(hit)

    def lose_power(self, member: Member) -> None:
        """Switch a member's machine off: nobody is told."""
        assert isinstance(member.network, SimNetwork)
        member.network.die(is_silent=True)


def machine_name(place: int) -> str:
    """Return the name of the machine at a place."""
    return f"n{place}"


def _host(place: int) -> str:
    return f"10.0.0.{place}"


def _names(connection: Breakable) -> set[str]:
    return {host.name for host in connection.ends()}

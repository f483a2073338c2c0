"""What each node of a network keeps, sends and computes while nothing happens, measured in the simulator.

`measure` runs whole nodes on the public profile, all of which know all others. `measure_sample` runs whole nodes that
are a sample of a larger network. Two things stand for the rest of it. Their tables begin with the records of all its
members. And each member that is not simulated signs a new record once a period, as in a real network, which comes to
one node of the sample at random, as from a neighbour outside. What a node sends for one gossiped record does not depend
on how many others there are, so the sample's traffic is that of the network. Left out are connections to those who are
not simulated: the sample's nodes are connected among themselves.

Counted is what the simulated wires carry, with the frames of GossipSub, yamux and Noise, without TCP/IP. The simulated
network does not ping; what pings add is worked out from the connections that there are. The DHT is not simulated.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from crypto.keys import SEED_BYTES, SigningKey
from p2pnode.membership.circle import fill_circle
from p2pnode.node import Node
from p2pnode.protocols.gossip import MEMBERS
from p2pnode.protocols.members import OwnFacts, make_member_record
from p2pnode.services import contacts
from p2pnode.services.node_config import SOFTWARE
from testnet.sim.admission import SIMULATED, solved
from testnet.sim.clock import WALL_EPOCH_S
from testnet.sim.escapes import replaced
from testnet.sim.gossip import SEALED_BYTES
from testnet.sim.machine import Machine
from testnet.sim.network import SimNetwork
from testnet.sim.traffic import Counts
from testnet.sim.world import NETWORK_NAME, World, run_world
from wire.codec import encode
from wire.ids import PeerId, PublicKey
from wire.protocol_ids import NetworkNames
from wire.records import MemberRecord
from wire.signed import Signed

SETTLE_S = 60.0
"""Virtual time after everybody has met, before anything is measured: meshes find their sizes."""

HOUR_S = 3600.0
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class KindOfTraffic:
    """What the average node sends and receives of one protocol or topic, a second."""

    kind: str
    sent: float
    """Bytes."""
    received: float
    """Bytes, those of duplicates included."""
    messages: float
    """Frames sent."""
    duplicates: float
    """Gossiped messages that came though the node had them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured of one network."""

    members: int
    whole: int
    """How many of them were simulated as whole nodes."""
    converged_s: float
    """Virtual seconds from the first start until everybody knew everybody."""
    connections: float
    mesh: float
    """Neighbours in a node's mesh of member records."""
    copies: float
    """How often a node got each gossiped record."""
    kinds: tuple[KindOfTraffic, ...]
    sent_max: float
    """Bytes a second of the node that sent most."""
    pings: float
    """Bytes a second that pings and their answers add to what a node sends: worked out, not simulated."""
    behind: float
    """Share of what all know of all others that was older than the newest record, at one moment."""
    cpu_s_per_hour: float
    """CPU time of one node in a virtual hour, with the simulator's own, without checks of signatures."""

    @property
    def sent(self) -> float:
        """Bytes a second that the average node sends, pings included."""
        return sum(each.sent for each in self.kinds) + self.pings

    @property
    def received(self) -> float:
        """Bytes a second that the average node receives, pings included."""
        return sum(each.received for each in self.kinds) + self.pings


def measure(nodes: int, *, window_s: float, seed: int = 1) -> Figures:
    """Start so many whole nodes, let them meet, and watch them do nothing. Raises `TooSlowError` if they do not."""
    figures: list[Figures] = []

    async def main(world: World) -> None:
        machines = await world.start_nodes(nodes)
        converged_s = world.clock.current_time()
        await trio.sleep(SETTLE_S)
        figures.append(await _watch(world, machines, members=nodes, window_s=window_s, converged_s=converged_s))

    run_world(seed, main)
    return figures[0]


def measure_sample(whole: int, members: int, *, window_s: float, seed: int = 1) -> Figures:
    """Watch so many whole nodes of a network that has more members: see the module for what stands for the others."""
    figures: list[Figures] = []

    async def main(world: World) -> None:
        machines = await world.start_nodes(whole)
        converged_s = world.clock.current_time()
        others = Others(members - whole, world.generator("others"), now=converged_s)
        with others.not_dialled(machines):
            for machine in machines:
                others.introduce(machine)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(others.renew, machines)
                await trio.sleep(SETTLE_S)
                figures.append(
                    await _watch(world, machines, members=members, window_s=window_s, converged_s=converged_s)
                )
                nursery.cancel_scope.cancel()

    run_world(seed, main)
    return figures[0]


class Others:
    """The members of a network that are not simulated: keys, and the records that they sign."""

    def __init__(self, count: int, chance: random.Random, *, now: float) -> None:
        """Make them; each has signed one record."""
        self._chance = chance
        self._keys = [SigningKey(chance.randbytes(SEED_BYTES)) for _ in range(count)]
        self._facts = [
            OwnFacts(
                network=NETWORK_NAME,
                owner=PublicKey(SigningKey(chance.randbytes(SEED_BYTES)).public),
                work=solved(key, NETWORK_NAME, SIMULATED),
                domain_tag="",
                software=SOFTWARE,
            )
            for key in self._keys
        ]
        self.records = [self._sign(number, sequence=1, now=now) for number in range(count)]

    def _sign(self, number: int, *, sequence: int, now: float) -> Signed[MemberRecord]:
        # As long as the records of the simulated nodes are.
        return make_member_record(
            self._keys[number],
            self._facts[number],
            sequence=sequence,
            time=int(WALL_EPOCH_S + now),
            addresses=[f"/ip4/{100 + number // 65536}.{number // 256 % 256}.{number % 256}.7/tcp/4710"],
            capacity_bytes=GIB,
            free_bytes=GIB,
        )

    def introduce(self, machine: Machine) -> None:
        """Put everybody into a node's table, as a greeting would have."""
        table = _node(machine)._membership.table  # noqa: SLF001 - the benchmark looks inside
        now = trio.current_time()
        for signed in self.records:
            table.consider(signed, now=now, wall=WALL_EPOCH_S + now)

    async def renew(self, machines: Sequence[Machine]) -> None:
        """Let each sign a new record once a period, and bring it to a random node."""
        topic = _names().topic(MEMBERS.topic)
        sequence = 2
        while True:
            for number in range(len(self.records)):
                await trio.sleep(SIMULATED.member_record_every_s / len(self.records))
                signed = self._sign(number, sequence=sequence, now=trio.current_time())
                life = self._chance.choice(machines).life
                assert life is not None
                life.network.gossip.hear_from_outside(signed.signer_peer, topic, encode(signed.envelope))
            sequence += 1

    @contextmanager
    def not_dialled(self, machines: Sequence[Machine]) -> Iterator[None]:
        """Let nodes choose their connections among the simulated: the others could not answer."""
        there = {machine.peer_id for machine in machines}

        def among_the_simulated(
            circle: frozenset[PeerId], present: Sequence[tuple[PeerId, str]], *, size: int
        ) -> frozenset[PeerId]:
            return fill_circle(circle, [row for row in present if row[0] in there], size=size)

        with replaced(contacts, "fill_circle", among_the_simulated):
            yield


async def _watch(
    world: World, machines: Sequence[Machine], *, members: int, window_s: float, converged_s: float
) -> Figures:
    names = [machine.name for machine in machines]
    traffic = world.fabric.traffic
    before = {(name, kind): traffic.of(name, kind).copy() for name in names for kind in traffic.kinds()}
    cpu_s = time.process_time()
    await trio.sleep(window_s)
    cpu_s = time.process_time() - cpu_s
    rows = {
        (name, kind): traffic.of(name, kind).since(before.get((name, kind), Counts()))
        for name in names
        for kind in traffic.kinds()
    }
    node_seconds = len(names) * window_s
    kinds = []
    for kind in traffic.kinds():
        total = Counts()
        for name in names:
            total.add(rows[name, kind])
        if total.messages:
            kinds.append(_kind(kind, total, node_seconds))
    topic = _names().topic(MEMBERS.topic)
    records_per_s = members / SIMULATED.member_record_every_s
    duplicates = next((each.duplicates for each in kinds if each.kind == topic), 0.0)
    connections = sum(len(_network(each).connected()) for each in machines) / len(machines)
    return Figures(
        members=members,
        whole=len(machines),
        converged_s=converged_s,
        connections=connections,
        mesh=sum(len(_network(each).gossip.meshes[topic].members) for each in machines) / len(machines),
        copies=1 + duplicates / records_per_s,
        kinds=tuple(kinds),
        sent_max=max(sum(rows[name, kind].bytes for kind in traffic.kinds()) for name in names) / window_s,
        # One of the two ends pings, the other answers; so each sends one frame in each interval.
        pings=connections / SIMULATED.ping_every_s * SEALED_BYTES,
        behind=_behind(machines),
        cpu_s_per_hour=cpu_s / node_seconds * HOUR_S,
    )


def _kind(kind: str, total: Counts, node_seconds: float) -> KindOfTraffic:
    return KindOfTraffic(
        kind=kind,
        sent=total.bytes / node_seconds,
        received=total.received_bytes / node_seconds,
        messages=total.messages / node_seconds,
        duplicates=total.duplicates / node_seconds,
    )


def _behind(machines: Sequence[Machine]) -> float:
    """Return the share of what simulated nodes know of each other that is not the newest there is."""
    newest = {each.peer_id: _node(each)._membership.own.record.sequence for each in machines}  # noqa: SLF001 - as above
    behind = 0
    for machine in machines:
        table = _node(machine)._membership.table  # noqa: SLF001 - as above
        for peer_id, sequence in newest.items():
            member = table.get(peer_id)
            behind += peer_id != machine.peer_id and (member is None or member.record.sequence < sequence)
    return behind / max(1, len(machines) * (len(machines) - 1))


def _node(machine: Machine) -> Node:
    node = machine.node
    assert isinstance(node, Node)
    return node


def _network(machine: Machine) -> SimNetwork:
    assert machine.life is not None
    return machine.life.network


def _names() -> NetworkNames:
    return NetworkNames(NETWORK_NAME, SIMULATED.shared())

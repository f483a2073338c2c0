"""A whole `Libp2pNetwork`, py-libp2p's code included, attacked by a stranger over a transport in memory.

Handshakes, yamux frames, negotiations, and the bodies of every protocol that is served. Whatever comes, nothing is
logged as a fault of ours, and an honest peer is served afterwards.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import trio

import p2pnode.network.libp2p_connections
import p2pnode.network.libp2p_dispatch
import p2pnode.network.libp2p_gossip
import p2pnode.network.libp2p_gossip_router
import p2pnode.network.libp2p_kad_guard
import p2pnode.network.libp2p_noise
import p2pnode.network.libp2p_ping
import p2pnode.network.libp2p_providers
import p2pnode.network.libp2p_relay
from crypto.hashing import tagged_hash
from crypto.keys import SigningKey
from crypto.peer_id import peer_id_of
from p2pnode.config import TESTNET
from p2pnode.network.addresses import parse_endpoint
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_noise import HandshakeError, Handshaker, SealedChannel
from p2pnode.network.negotiation import METHOD, encode_line
from p2pnode.network.payload_slots import PayloadSlots
from p2pnode.network.request_server import serve_requests
from p2pnode.network.requests import Requester
from p2pnode.network.yamux_frames import Flag, Header, Kind
from p2pnode.seams import OnRunning, Stream, Verdict
from testnet.fuzz import honest, network_inputs
from testnet.fuzz.protobuf import Field, edited_message, varint, write_fields
from testnet.fuzz.target import Check, Target
from testnet.fuzz.targets.gossip import gossip_frames
from testnet.fuzz.watch import Watch, watched
from testnet.sim.clock import NodeClock, SimClock
from testnet.sim.fabric import Fabric
from testnet.sim.foreign_code import foreign_code_in_virtual_time
from testnet.sim.memory_transport import Internet, MemoryTransport
from testnet.sim.rng import SimRng, generator
from testnet.sim.trace import Trace
from wire.framing import frame
from wire.ids import PeerId
from wire.messages import GetRecord, NoRecord
from wire.protocol_ids import NetworkNames

NAMES = NetworkNames("fuzzed", TESTNET.shared())
READ, KAD = NAMES.protocol("read"), NAMES.protocol("kad")
HOP, STOP = "/libp2p/circuit/relay/0.2.0/hop", "/libp2p/circuit/relay/0.2.0/stop"
SERVED = (KAD, "/meshsub/1.1.0", "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", HOP, STOP, READ)

ANSWER_S = 0.5
"""How long an attack looks at what comes back, in virtual time."""

HONEST_EVERY = 250
"""Inputs between two visits of an honest peer."""

_INPUTS = 10_000
_HOST, _ATTACKER, _GUEST = "10.0.0.1", "10.0.0.2", "10.0.0.3"
_HANDSHAKE, _FRAMES, _BODY = range(3)
_MEMORY_BYTES = 16 * 1024 * 1024


def targets() -> list[Target]:
    """Return the targets of this file."""
    network = p2pnode.network
    return [
        Target(
            name="network/host",
            open=_attacked,
            errors=(),
            seeds=_inputs,
            modules=(network.libp2p_dispatch, network.libp2p_noise, network.libp2p_gossip, network.libp2p_gossip_router,
                     network.libp2p_ping, network.libp2p_relay, network.libp2p_kad_guard, network.libp2p_connections,
                     network.libp2p_providers),
            mutate=_edited,
            inputs_max=_INPUTS,
            memory_base_bytes=_MEMORY_BYTES,
            cpu_s_max=1.0,
        )
    ]  # fmt: skip


def _kad_messages() -> list[bytes]:
    """Return what the DHT is asked: values, providers, nodes, in both directions."""
    peer = write_fields(
        [Field(1, 2, bytes(honest.peer_id(1))), Field(2, 2, bytes.fromhex("04c0000207061266")), Field(3, 0, 1)]
    )
    key = b"\x12\x20" + bytes(32)
    made = []
    for kind in range(6):
        fields = [Field(1, 0, kind), Field(2, 2, key)]
        if kind in (0, 1):
            fields.append(Field(3, 2, write_fields([Field(1, 2, key), Field(2, 2, b"value"), Field(5, 2, b"now")])))
        if kind in (2, 3):
            fields.append(Field(9, 2, peer))
        made.append(write_fields([*fields, Field(8, 2, peer)]))
    return made


def _bodies() -> dict[str, list[bytes]]:
    circuit = write_fields([Field(1, 2, bytes(honest.peer_id(1))), Field(2, 2, bytes.fromhex("04c0000207061266"))])
    hops = [
        write_fields([Field(1, 0, 0)]),
        write_fields([Field(1, 0, 1), Field(2, 2, circuit)]),
        write_fields([Field(1, 0, 2), Field(5, 0, 100)]),
    ]
    stops = [write_fields([Field(1, 0, 0), Field(2, 2, circuit)]), write_fields([Field(1, 0, 1), Field(4, 0, 100)])]
    read = frame(GetRecord(blob_id=honest.honest_blob().blob_id, wants_certificates=False))
    return {
        KAD: _kad_messages(),
        "/meshsub/1.1.0": gossip_frames(),
        "/ipfs/id/1.0.0": [b""],
        "/ipfs/ping/1.0.0": [bytes(32), bytes(64)],
        HOP: hops,
        STOP: stops,
        READ: [read, read + read],
    }


def _inputs(rng: random.Random) -> list[bytes]:
    """An input is what is attacked, for a protocol's body which, and what is sent."""
    made = [bytes([_HANDSHAKE]) + network_inputs.handshake(rng) for _ in range(3)]
    made += [bytes([_FRAMES]) + network_inputs.frames(rng) for _ in range(3)]
    for number, (protocol, bodies) in enumerate(_bodies().items()):
        is_prefixed = protocol not in (READ, "/ipfs/ping/1.0.0", "/ipfs/id/1.0.0")
        made += [bytes([_BODY, number]) + (varint(len(body)) + body if is_prefixed else body) for body in bodies]
    return made


def _edited(rng: random.Random, data: bytes) -> bytes:
    """Change a message behind its length, or take something else that is malformed."""
    if data[:1] == bytes([_BODY]) and len(data) > 3:  # noqa: PLR2004 - its head
        skipped = next((index + 1 for index, byte in enumerate(data) if index > 1 and byte < 1 << 7), 2)
        body = edited_message(rng, data[skipped:])
        return data[:2] + varint(len(body)) + body
    match rng.randrange(4):
        case 0:
            return bytes([_HANDSHAKE]) + network_inputs.handshake(rng)
        case 1:
            return bytes([_FRAMES]) + network_inputs.frames(rng)
        case _:
            return bytes([_FRAMES + 2]) + network_inputs.message(rng, SERVED)


class _Attacker:
    """A stranger with one connection, which it makes anew whenever it is cut off."""

    def __init__(self, machine: MemoryTransport, victim: PeerId) -> None:
        self._machine = machine
        self._victim = victim
        self._channel: SealedChannel | None = None
        self._socket: GuardedSocket | None = None
        self._next_id = 1
        self._keys = count()

    async def shake_hands_badly(self, data: bytes) -> str:
        """Say something on a fresh connection."""
        stream = await self._machine.dial(parse_endpoint(f"/ip4/{_HOST}/tcp/4710"))
        try:
            await stream.send_all(data)
            with trio.move_on_after(ANSWER_S):
                while await stream.receive_some(1_000):
                    pass
        finally:
            stream.abort()
        return "shaken"

    async def send_frames(self, data: bytes) -> str:
        """Say something on the sealed connection."""
        channel = await self._sealed()
        await channel.write_frames([data])
        return await self._listen(channel)

    async def send_body(self, data: bytes) -> str:
        """Say something on a stream of its own."""
        self._next_id += 2
        frames = [Header(Kind.DATA, Flag.SYN, self._next_id, len(data)).encode() + data]
        end = (Flag.FIN, Flag.RST, Flag.NONE)[len(data) % 3]
        frames.append(Header(Kind.WINDOW_UPDATE, end, self._next_id, 0).encode())
        return await self.send_frames(b"".join(frames))

    async def _listen(self, channel: SealedChannel) -> str:
        try:
            with trio.move_on_after(ANSWER_S):
                while True:
                    await channel.read_some(1 << 16)
        except ConnectionLostError:
            self.hang_up()
            return "cut off"
        return "still there"

    async def _sealed(self) -> SealedChannel:
        if self._channel is None:
            key = SigningKey(tagged_hash(b"testnet/fuzz/attacker", next(self._keys).to_bytes(4, "big")))
            self._socket = GuardedSocket(await self._machine.dial(parse_endpoint(f"/ip4/{_HOST}/tcp/4710")))
            self._channel = await Handshaker(key).secure_outbound(self._socket, self._victim)
            self._next_id = 1
        return self._channel

    def hang_up(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.abort()
        self._channel = self._socket = None


def _network(internet: Internet, host: str, seed: int) -> Libp2pNetwork:
    key = SigningKey(tagged_hash(b"testnet/fuzz/host", host.encode()))
    machine = internet.machine(name=host, peer_id=PeerId(peer_id_of(key.public)), hosts=[host])
    network = Libp2pNetwork(
        key=key,
        names=NAMES,
        profile=TESTNET,
        clock=NodeClock(),
        rng=SimRng(generator(seed, host)),
        listen=[f"/ip4/{host}/tcp/4710"],
        transport=machine,
    )
    slots = PayloadSlots(network.connections.resources)

    async def answer(_peer: PeerId, _message: object, _payload: bytes) -> tuple[object, list[bytes]]:
        await trio.lowlevel.checkpoint()
        return NoRecord(), []

    async def serve(stream: Stream) -> None:
        await serve_requests(stream, answer, accepts=(GetRecord,), slots=slots)

    network.handle(READ, serve)
    network.subscribe(NAMES.topic("members"), lambda _via, data: Verdict.REJECT if len(data) % 2 else Verdict.ACCEPT)
    return network


@asynccontextmanager
async def _attacked(rng: random.Random) -> AsyncIterator[Check]:
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, SimClock)
    seed = rng.getrandbits(32)
    fabric = Fabric(clock=clock, rng=generator(seed, "fabric"), trace=Trace(clock))
    internet = Internet(fabric)
    with watched() as watch, foreign_code_in_virtual_time(clock, generator(seed, "libraries")):
        victim, guest = _network(internet, _HOST, seed), _network(internet, _GUEST, seed)
        machine = internet.machine(name="attacker", peer_id=honest.peer_id(5), hosts=[_ATTACKER])
        async with trio.open_nursery() as nursery:
            for network in (victim, guest):

                async def run(*, task_status: OnRunning, network: Libp2pNetwork = network) -> None:
                    await network.run(task_status=task_status)

                await nursery.start(run)
            yield _check_of(_Attacker(machine, victim.peer_id), victim, guest, watch)
            nursery.cancel_scope.cancel()


def _check_of(attacker: _Attacker, victim: Libp2pNetwork, guest: Libp2pNetwork, watch: Watch) -> Check:
    inputs = count(1)
    requester = Requester(guest, NodeClock(), TESTNET)

    async def check(data: bytes) -> str:
        try:
            outcome = await _attack(attacker, data)
        except (OSError, trio.BrokenResourceError, HandshakeError, ConnectionLostError):
            attacker.hang_up()
            outcome = "turned away"
        watch.raise_what_was_logged()
        if next(inputs) % HONEST_EVERY == 0:
            guest.learn_addresses(victim.peer_id, victim.addresses())
            question = GetRecord(blob_id=honest.honest_blob().blob_id, wants_certificates=False)
            await requester.request(victim.peer_id, READ, question, expect=(NoRecord,))
        return outcome

    return check


async def _attack(attacker: _Attacker, data: bytes) -> str:
    kind, rest = data[:1], data[1:]
    if kind == bytes([_HANDSHAKE]):
        return await attacker.shake_hands_badly(rest)
    if kind == bytes([_FRAMES]):
        return await attacker.send_frames(rest)
    if kind == bytes([_BODY]) and rest:
        protocol = SERVED[rest[0] % len(SERVED)]
        return f"{protocol} " + await attacker.send_body(encode_line(METHOD) + encode_line(protocol) + rest[1:])
    return await attacker.send_body(rest)

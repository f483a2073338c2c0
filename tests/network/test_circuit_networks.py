"""Circuits between real networks: who listens nowhere is reached through a relay, and nobody gains more by it."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, Status
from libp2p.utils.varint import encode_varint_prefixed, read_varint_prefixed_bytes_limited

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.config import TESTNET
from p2pnode.errors import PeerRefusedError, PeerUnavailableError
from p2pnode.membership.circuit_addresses import is_circuit
from p2pnode.network import limits
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_relay import HOP, STOP
from p2pnode.network.libp2p_streams import ForeignStream
from p2pnode.network.resources import Claim, Resource, Scope
from p2pnode.network.yamux_stream import YamuxStream
from p2pnode.seams import Stream
from p2pnode.system import SystemClock, SystemRng
from tests.network.lab import ECHO, LOOPBACK, NAMES, assert_echoes, echo, full_address, running, start, until
from wire.ids import PeerId
from wire.network_secret import NetworkSecret

PIECE = 64 * 1024
RESERVE = encode_varint_prefixed(HopMessage(type=HopMessage.RESERVE).SerializeToString())
MIRROR = "/test/mirror"


def make(
    rng: random.Random,
    *,
    listen: Sequence[str] = (LOOPBACK,),
    secret: NetworkSecret | None = None,
    relays_for_others: bool = True,
    dial_timeout_s: float = 5.0,
) -> Libp2pNetwork:
    """Build a network that echoes; with `listen=()` nobody can dial it."""
    network = Libp2pNetwork(
        key=SigningKey(rng.randbytes(SEED_BYTES)),
        names=NAMES,
        profile=dataclasses.replace(TESTNET, dial_timeout_s=dial_timeout_s),
        clock=SystemClock(),
        rng=SystemRng(),
        listen=listen,
        secret=secret,
        relays_for_others=relays_for_others,
    )
    network.handle(ECHO, echo)
    network.handle(MIRROR, mirror)
    return network


async def mirror(stream: Stream) -> None:
    """Send back what comes, a piece at a time."""
    while True:
        await stream.send(await stream.receive_exactly(PIECE))


async def reserve(target: Libp2pNetwork, relay: Libp2pNetwork) -> tuple[str, ...]:
    """Connect to a relay and have it relay for us."""
    await target.bootstrap(full_address(relay))
    return await target.reserve_relay(relay.peer_id)


def circuit_over(relay: Libp2pNetwork) -> str:
    """Return the address of whoever is behind this relay."""
    return f"{full_address(relay)}/p2p-circuit"


def relayed_connections(network: Libp2pNetwork, peer: Libp2pNetwork) -> int:
    return sum(each.is_relayed for each in network.connections.of(peer.peer_id))


def test_a_node_that_listens_nowhere_is_reached_through_a_relay_with_megabytes_both_ways(rng: random.Random) -> None:
    relay, source, target = make(rng), make(rng, listen=()), make(rng, listen=())
    data = rng.randbytes(3 * limits.MIB)

    async def main() -> None:
        async with running(relay, source, target):
            assert target.addresses() == ()
            addresses = await reserve(target, relay)
            assert addresses == target.addresses()
            assert all(is_circuit(each) for each in addresses)
            source.learn_addresses(target.peer_id, addresses)
            await source.connect(target.peer_id)
            assert relayed_connections(source, target) == 1
            stream = await source.open_stream(target.peer_id, MIRROR)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send, data)
                assert await stream.receive_exactly(len(data)) == data
            await stream.close()
            await assert_echoes(target, source)
            (seen,) = [each for each in target.connected() if each.peer_id == source.peer_id]
            assert seen.source == "/ip4/127.0.0.1", "its failure domain is that of its relay"
            assert target.seen_at(source.peer_id) == (), "where it really is, nobody behind a relay can tell"

    trio.run(main)


def test_a_circuit_takes_no_part_of_the_way_when_the_direct_one_is_open(rng: random.Random) -> None:
    relay, source, target = make(rng), make(rng, listen=()), make(rng)

    async def main() -> None:
        async with running(relay, source, target):
            await reserve(target, relay)
            (direct,) = [each for each in target.addresses() if not is_circuit(each)]
            source.learn_addresses(target.peer_id, (*target.circuits.addresses(), direct))
            await source.connect(target.peer_id)
            (connection,) = source.connections.of(target.peer_id)
            assert connection.address == direct

    trio.run(main)


def test_a_relay_that_is_lost_ends_its_circuits_with_typed_errors_and_leaves_nothing(rng: random.Random) -> None:
    relay, source, target = make(rng), make(rng, listen=()), make(rng, listen=())

    async def main() -> None:
        async with running(source, target), trio.open_nursery() as nursery:
            scope = await start(nursery, relay)
            source.learn_addresses(target.peer_id, await reserve(target, relay))
            stream = await source.open_stream(target.peer_id, MIRROR)
            await stream.send(bytes(PIECE))
            assert await stream.receive_exactly(PIECE) == bytes(PIECE)
            await stream.send(bytes(100))
            scope.cancel()
            with pytest.raises(PeerUnavailableError):
                await stream.receive_exactly(PIECE)
            await until(lambda: not target.connections.count and not source.connections.count)
            assert target.addresses() == (), "where nobody is reached any more is not announced"
            await until(lambda: source.connections.resources.is_idle and target.connections.resources.is_idle)

    trio.run(main)


def test_a_circuit_that_ends_leaves_no_slot_at_the_relay(rng: random.Random) -> None:
    relay, source, target = make(rng), make(rng, listen=()), make(rng, listen=())

    async def main() -> None:
        async with running(relay, source, target):
            source.learn_addresses(target.peer_id, await reserve(target, relay))
            for _ in range(3):
                await assert_echoes(source, target)
                assert relay.circuits.relay.desk.circuit_count == 1
                await source.disconnect(target.peer_id)
                await until(lambda: not relay.circuits.relay.desk.circuit_count)
                await until(lambda: not target.connections.of(source.peer_id))
            for peer in (source, target):
                await peer.disconnect(relay.peer_id)
            await until(lambda: relay.connections.resources.is_idle)
            assert not relay.circuits.relay.desk.reservation_count, "a place ends with its connection"

    trio.run(main)


def test_nobody_is_reached_through_a_relay_that_was_not_asked(rng: random.Random) -> None:
    relay, source, target = make(rng), make(rng, listen=()), make(rng, listen=())

    async def main() -> None:
        async with running(relay, source, target):
            await target.bootstrap(full_address(relay))
            source.learn_addresses(target.peer_id, [circuit_over(relay)])
            with pytest.raises(PeerUnavailableError, match="refused: no reservation"):
                await source.connect(target.peer_id)
            # A relay that lets a circuit through nevertheless is turned away at the target.
            relay.circuits.relay.desk.reserve(target.peer_id, prefix="", now=SystemClock().monotonic())
            with pytest.raises(PeerUnavailableError, match="refused: connection failed"):
                await source.connect(target.peer_id)
            await target.reserve_relay(relay.peer_id)
            await source.connect(target.peer_id)
            await source.disconnect(target.peer_id)
            target.release_relay(relay.peer_id)
            assert target.addresses() == ()
            with pytest.raises(PeerUnavailableError, match="refused: connection failed"):
                await source.connect(target.peer_id)

    trio.run(main)


def test_another_node_at_the_end_of_a_circuit_is_noticed(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    relay, source, target, other = make(rng), make(rng, listen=()), make(rng, listen=()), make(rng, listen=())

    async def main() -> None:
        async with running(relay, source, target, other):
            source.learn_addresses(target.peer_id, await reserve(target, relay))
            await reserve(other, relay)
            reach = relay.circuits.relay._reach

            async def reach_another(source: PeerId, target: PeerId) -> YamuxStream | None:
                del target
                return await reach(source, other.peer_id)

            monkeypatch.setattr(relay.circuits.relay, "_reach", reach_another)
            with pytest.raises(PeerUnavailableError, match="another node than the expected one"):
                await source.connect(target.peer_id)
            assert not source.connections.of(target.peer_id)
            assert not source.connections.of(other.peer_id)

    trio.run(main)


async def _answer_garbage(stream: object) -> None:
    assert isinstance(stream, ForeignStream)
    await stream.write(b"\x20" + bytes(range(0xE0, 0x100)))
    await trio.sleep_forever()


async def _answer_too_much(stream: object) -> None:
    assert isinstance(stream, ForeignStream)
    await stream.write(b"\xff\xff\x7f" + bytes(100_000))
    await trio.sleep_forever()


async def _answer_never(stream: object) -> None:
    del stream
    await trio.sleep_forever()


async def _end_at_once(stream: object) -> None:
    assert isinstance(stream, ForeignStream)
    await stream.close()


@pytest.mark.parametrize("hop", [_answer_garbage, _answer_too_much, _answer_never, _end_at_once])
def test_a_hostile_relay_costs_a_typed_error_and_no_slot(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch, hop: Callable[[object], Awaitable[None]]
) -> None:
    monkeypatch.setattr(limits, "NEGOTIATION_S", 0.3)
    relay, source = make(rng), make(rng, listen=(), dial_timeout_s=2.0)
    target = PeerId(peer_id_of(SigningKey(rng.randbytes(SEED_BYTES)).public))
    relay._host.handlers[HOP] = hop

    async def main() -> None:
        async with running(relay, source):
            await source.bootstrap(full_address(relay))
            source.learn_addresses(target, [circuit_over(relay)])
            with pytest.raises(PeerUnavailableError):
                await source.connect(target)
            for _ in range(6):
                with pytest.raises(PeerUnavailableError):
                    await source.reserve_relay(relay.peer_id)
            assert source.addresses() == ()
            held = Claim(Scope.SYSTEM, Resource.STREAMS_OUTBOUND)
            await until(lambda: source.connections.resources.used(held) < 6)
            await source.disconnect(relay.peer_id)
            await until(lambda: source.connections.resources.is_idle)

    trio.run(main)


@pytest.mark.parametrize("stop", [_answer_garbage, _answer_too_much, _answer_never, _end_at_once])
def test_a_hostile_target_holds_no_circuit_of_its_relay(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch, stop: Callable[[object], Awaitable[None]]
) -> None:
    monkeypatch.setattr(limits, "NEGOTIATION_S", 0.5)
    relay, source, target = make(rng), make(rng, listen=()), make(rng, listen=())
    target._host.handlers[STOP] = stop

    async def main() -> None:
        async with running(relay, source, target):
            source.learn_addresses(target.peer_id, await reserve(target, relay))
            with pytest.raises(PeerUnavailableError):
                await source.connect(target.peer_id)
            await until(lambda: not relay.circuits.relay.desk.circuit_count)

    trio.run(main)


def test_no_circuit_leads_over_two_relays(rng: random.Random) -> None:
    """Else a few places would carry a chain that nobody pays for."""
    relay, source, target = make(rng), make(rng, listen=()), make(rng, listen=())

    async def main() -> None:
        async with running(relay, source, target):
            source.learn_addresses(target.peer_id, await reserve(target, relay))
            await source.connect(target.peer_id)
            with pytest.raises(PeerUnavailableError, match="no direct connection"):
                await source.reserve_relay(target.peer_id)
            (circuit,) = source.connections.of(target.peer_id)
            stream, _ = await circuit.open_stream([HOP], timeout_s=5.0)
            asked = ForeignStream(circuit, stream, HOP)
            await asked.write(RESERVE)
            answer = HopMessage.FromString(await read_varint_prefixed_bytes_limited(asked, 4096))
            assert answer.status == Status.PERMISSION_DENIED
            assert not target.circuits.relay.desk.reservation_count

    trio.run(main)


def test_a_node_that_does_not_want_to_relay_is_no_relay(rng: random.Random) -> None:
    relay, target = make(rng, relays_for_others=False), make(rng, listen=())

    async def main() -> None:
        async with running(relay, target):
            with pytest.raises(PeerUnavailableError):
                await reserve(target, relay)
            assert target.addresses() == ()

    trio.run(main)


def test_a_full_relay_refuses_and_says_why(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RELAY_RESERVATIONS_MAX", 1)
    monkeypatch.setattr(limits, "RELAY_CIRCUITS_TO_PEER_MAX", 1)
    relay, target, late, one, two = make(rng), *(make(rng, listen=()) for _ in range(4))

    async def main() -> None:
        async with running(relay, target, late, one, two):
            addresses = await reserve(target, relay)
            with pytest.raises(PeerRefusedError, match="resource limit exceeded"):
                await reserve(late, relay)
            for source in (one, two):
                source.learn_addresses(target.peer_id, addresses)
            await assert_echoes(one, target)
            with pytest.raises(PeerUnavailableError, match="resource limit exceeded"):
                await two.connect(target.peer_id)
            await assert_echoes(one, target)

    trio.run(main)


async def _send_for_ever(stream: Stream) -> None:
    while True:
        await stream.send(bytes(PIECE))
        await stream.receive_exactly(PIECE)


def test_a_circuit_carries_its_bytes_and_no_more(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RELAY_CIRCUIT_BYTES_MAX", 256 * 1024)
    relay, source, target = make(rng), make(rng, listen=()), make(rng, listen=())

    async def main() -> None:
        async with running(relay, source, target):
            source.learn_addresses(target.peer_id, await reserve(target, relay))
            stream = await source.open_stream(target.peer_id, MIRROR)
            with pytest.raises(PeerUnavailableError):
                await _send_for_ever(stream)
            await until(lambda: not relay.circuits.relay.desk.circuit_count)
            await assert_echoes(source, target)  # Whoever still wants the other dials again.

    trio.run(main)


def test_two_relays_that_are_each_behind_the_other_end_in_a_typed_error(rng: random.Random) -> None:
    """Each dial would wait for the other one for ever."""
    source = make(rng, listen=(), dial_timeout_s=1.0)
    one, two = (PeerId(peer_id_of(SigningKey(rng.randbytes(SEED_BYTES)).public)) for _ in range(2))

    async def main() -> None:
        async with running(source), trio.open_nursery() as nursery:
            for peer_id, relay_id in ((one, two), (two, one)):
                source.learn_addresses(peer_id, [f"/ip4/127.0.0.1/tcp/9/p2p/{peer_id_to_text(relay_id)}/p2p-circuit"])
                nursery.start_soon(_fail_to_connect, source, peer_id)

    trio.run(main)


async def _fail_to_connect(source: Libp2pNetwork, peer_id: PeerId) -> None:
    with pytest.raises(PeerUnavailableError):
        await source.connect(peer_id)

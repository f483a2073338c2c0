"""`Libp2pNetwork` on loopback: what the contract suite does not claim because the simulator has no sockets."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from crypto.peer_id import peer_id_to_text
from p2pnode.config import PUBLIC
from p2pnode.errors import CallerError, PeerSilentError, PeerUnavailableError, PortInUseError
from p2pnode.network import limits
from p2pnode.network.addresses import parse_endpoint
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.resources import Claim, Resource, Scope
from p2pnode.network.tcp_transport import TcpTransport
from p2pnode.seams import Stream, Verdict
from tests.network.lab import (
    DEADLINE_S,
    ECHO,
    LOOPBACK,
    assert_echoes,
    full_address,
    impatient,
    living_tasks,
    make_network,
    running,
    start,
    until,
)
from wire import limits as wire_limits
from wire.ids import PeerId


async def test_a_port_in_use_is_a_one_line_error_that_names_it(rng: random.Random) -> None:
    first = make_network(rng)
    async with running(first):
        second = make_network(rng, listen=[LOOPBACK, first.addresses()[0]])
        with pytest.raises(PortInUseError) as caught:
            await second.run(task_status=trio.TASK_STATUS_IGNORED)
        assert first.addresses()[0] in str(caught.value)
        assert "choose another port" in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_an_address_that_is_not_ours_is_a_one_line_error(rng: random.Random) -> None:
    network = make_network(rng, listen=["/ip4/192.0.2.7/tcp/0"])
    with pytest.raises(CallerError, match=r"^cannot listen on /ip4/192\.0\.2\.7/tcp/0: .+$"):
        await network.run(task_status=trio.TASK_STATUS_IGNORED)


@pytest.mark.parametrize("listen", ["127.0.0.1:4710", "/ip4/127.0.0.1/udp/1", ""])
def test_a_listening_address_that_is_none_is_refused_at_once(rng: random.Random, listen: str) -> None:
    with pytest.raises(CallerError, match="not an address to listen on"):
        make_network(rng, listen=[listen])


async def test_announced_addresses_replace_those_that_are_listened_on(rng: random.Random) -> None:
    announced = ("/dns4/node.example/tcp/4710", "/ip4/192.0.2.7/tcp/4710")
    network = make_network(rng, announce=announced)
    async with running(network):
        assert network.addresses() == announced


async def test_no_threads_are_started_for_a_network(rng: random.Random) -> None:
    before = threading.active_count()
    async with running(make_network(rng), make_network(rng)):
        assert threading.active_count() == before


async def test_stopping_is_quick_and_leaves_no_task_behind(rng: random.Random) -> None:
    first, second = make_network(rng), make_network(rng)
    tasks_before = living_tasks()
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            await start(nursery, first)
            scope = await start(nursery, second)
            await second.bootstrap(full_address(first))
            stream = await second.open_stream(first.peer_id, ECHO)
            started = time.monotonic()
            scope.cancel()
            with pytest.raises(PeerUnavailableError):
                await stream.receive_exactly(1)
            await until(lambda: first.connected() == ())
            assert time.monotonic() - started < 2.0
            nursery.cancel_scope.cancel()
        await wait_all_tasks_blocked()
    assert living_tasks() == tasks_before


async def test_another_peer_at_a_known_address_is_unavailable(rng: random.Random) -> None:
    server, client, absent = (make_network(rng) for _ in range(3))
    async with running(server, client):
        client.learn_addresses(absent.peer_id, server.addresses())
        with pytest.raises(PeerUnavailableError, match="cannot be reached"):
            await client.connect(absent.peer_id)
        with pytest.raises(PeerUnavailableError):
            await client.bootstrap(f"{server.addresses()[0]}/p2p/{peer_id_to_text(absent.peer_id)}")
        assert client.connected() == ()
        await until(lambda: server.connected() == ())


async def test_an_address_where_nobody_answers_is_a_silent_peer(rng: random.Random) -> None:
    client, absent = make_network(rng, profile=impatient(8.0)), make_network(rng)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")  # It accepts nothing: a black hole.
    async with running(client):
        client.learn_addresses(absent.peer_id, [f"/ip4/127.0.0.1/tcp/{listeners[0].socket.getsockname()[1]}"])
        with pytest.raises(PeerSilentError, match="did not answer in time"):
            await client.connect(absent.peer_id)
    await listeners[0].aclose()


async def test_private_addresses_of_strangers_are_not_dialled_on_a_public_network(rng: random.Random) -> None:
    server, client = make_network(rng), make_network(rng, profile=PUBLIC)
    async with running(server, client):
        client.learn_addresses(server.peer_id, server.addresses())
        with pytest.raises(PeerUnavailableError, match="no address"):
            await client.connect(server.peer_id)
        await client.bootstrap(full_address(server))  # The user named it, so it is dialled.
        await assert_echoes(client, server)


async def test_a_peer_without_known_addresses_is_unavailable_at_once(rng: random.Random) -> None:
    client, absent = make_network(rng), make_network(rng)
    async with running(client):
        with pytest.raises(PeerUnavailableError, match="no address"):
            await client.open_stream(absent.peer_id, ECHO)
        with pytest.raises(PeerUnavailableError, match="itself"):
            await client.connect(client.peer_id)


async def test_waiting_for_the_same_dial_costs_one_connection(rng: random.Random) -> None:
    server, client = make_network(rng), make_network(rng)
    async with running(server, client):
        client.learn_addresses(server.peer_id, server.addresses())
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(assert_echoes, client, server)
        assert client.connections.count == 1


async def test_a_stream_above_the_limit_of_its_peer_is_reset(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INBOUND_STREAMS_PER_PEER_MAX", 6)
    server, client, other = (make_network(rng) for _ in range(3))
    async with running(server, client, other):
        await client.bootstrap(full_address(server))
        await other.bootstrap(full_address(server))
        opened: list[Stream] = []

        async def open_too_many() -> None:
            for _ in range(limits.INBOUND_STREAMS_PER_PEER_MAX + 1):
                opened.append(await client.open_stream(server.peer_id, ECHO))  # noqa: PERF401 - it raises on the way

        with pytest.raises(PeerUnavailableError, match="reset"):
            await open_too_many()
        assert opened
        await assert_echoes(other, server)
        for stream in opened:
            await stream.close()
        held = Claim(Scope.PEER, Resource.STREAMS_INBOUND, client.peer_id)
        await until(lambda: server.connections.resources.used(held) < limits.INBOUND_STREAMS_PER_PEER_MAX)
        await assert_echoes(client, server)


async def test_a_stream_above_the_limit_of_all_is_reset(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = make_network(rng), make_network(rng)
    async with running(server, client):
        await client.bootstrap(full_address(server))
        await assert_echoes(client, server)
        monkeypatch.setattr(limits, "INBOUND_STREAMS_MAX", 0)
        with pytest.raises(PeerUnavailableError, match="reset"):
            await client.open_stream(server.peer_id, ECHO)


async def test_a_stream_that_never_names_a_protocol_leaves_its_slot(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "NEGOTIATION_S", 0.2)
    server, client = make_network(rng), make_network(rng)
    async with running(server, client):
        await client.bootstrap(full_address(server))
        connection = client.connections.best(server.peer_id)
        assert connection is not None
        stream = connection.session.open()
        await stream.write(b"\x13")
        with pytest.raises(ConnectionLostError):
            await stream.read_exactly(1_000)


async def test_gossip_above_the_limit_is_refused_here_and_not_taken_from_others(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []

    def hear(_peer: PeerId, data: bytes) -> Verdict:
        heard.append(len(data))
        return Verdict.ACCEPT

    def refuse(_peer: PeerId, _data: bytes) -> Verdict:
        return Verdict.ACCEPT

    sender, receiver = make_network(rng), make_network(rng)
    sender.subscribe("topic", refuse)
    receiver.subscribe("topic", hear)
    async with running(sender, receiver):
        await sender.bootstrap(full_address(receiver))
        with pytest.raises(CallerError, match="may have 262144 bytes, got 262145"):
            await sender.publish("topic", bytes(wire_limits.GOSSIP_BYTES_MAX + 1))
        with pytest.raises(CallerError, match="nobody subscribed"):
            await sender.publish("other", b"")
        with monkeypatch.context() as careless:  # Both in one process, so only until it is in the queue.
            careless.setattr(wire_limits, "GOSSIP_BYTES_MAX", wire_limits.GOSSIP_BYTES_MAX + 1)
            await sender.publish("topic", bytes(wire_limits.GOSSIP_BYTES_MAX))
        await sender.publish("topic", bytes(wire_limits.GOSSIP_BYTES_MAX))
        await until(lambda: wire_limits.GOSSIP_BYTES_MAX in heard)
    assert set(heard) == {wire_limits.GOSSIP_BYTES_MAX}


async def test_expected_ends_are_not_logged_as_errors(rng: random.Random, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server, client = make_network(rng), make_network(rng)
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            await start(nursery, server)
            scope = await start(nursery, client)
            await client.bootstrap(full_address(server))
            await client.open_stream(server.peer_id, ECHO)
            scope.cancel()
            await until(lambda: server.connected() == ())
            nursery.cancel_scope.cancel()
    assert caplog.text == ""


async def test_the_oldest_connection_gives_way_when_a_peer_makes_too_many(rng: random.Random) -> None:
    server, client = make_network(rng), make_network(rng)
    async with running(server, client):
        endpoints = [parse_endpoint(each) for each in server.addresses()]
        for _ in range(limits.CONNECTIONS_PER_PEER_MAX + 2):
            socket = GuardedSocket(await TcpTransport().dial(endpoints[0]))
            channel = await client.connections._handshaker.secure_outbound(socket, server.peer_id)
            connection = client.connections._connection(server.peer_id, socket, channel, dialled="")
            client.connections._add(connection)
            client.connections._spawn(client.connections._serve_added, connection, socket)
        await until(lambda: len(server.connections.of(client.peer_id)) == limits.CONNECTIONS_PER_PEER_MAX)
        await assert_echoes(client, server)
        await assert_echoes(server, client)


def test_the_adapter_keeps_the_addresses_of_a_bounded_number_of_peers(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PEERS_WITH_ADDRESSES_MAX", 3)
    network = make_network(rng)
    peers: Sequence[PeerId] = [make_network(rng).peer_id for _ in range(5)]
    for peer_id in peers:
        network.learn_addresses(peer_id, [LOOPBACK] * 100)
    assert list(network._learnt) == list(peers[2:])
    assert {len(addresses) for addresses in network._learnt.values()} == {limits.ADDRESSES_KEPT_MAX}

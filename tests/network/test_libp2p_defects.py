"""Regressions for the defects of py-libp2p 0.8.1 that can kill or wedge a node; the numbers are those of the research.

Each test fails against the plain `BasicHost` and `Swarm`, or with the mend that it names taken out.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_of
from p2pnode.errors import PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.addresses import endpoint_of
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_connection import Connection
from p2pnode.network.libp2p_connections import ConnectionTable
from p2pnode.network.libp2p_noise import Handshaker
from p2pnode.network.libp2p_patches import KAD_PROTOCOL
from p2pnode.network.libp2p_streams import ForeignStream
from p2pnode.network.negotiation import METHOD, encode_line
from p2pnode.network.yamux_stream import YamuxStream
from p2pnode.seams import Stream
from tests.network.lab import (
    DEADLINE_S,
    ECHO,
    NAMES,
    assert_echoes,
    echo,
    full_address,
    impatient,
    living_tasks,
    make_network,
    running,
    until,
)
from wire.ids import PeerId
from wire.protocol_ids import NetworkNames

CYCLES = 260
"""More than the 250 connections after which the plain swarm accepts no more."""


async def test_defect_1_an_exception_in_a_handler_ends_its_stream_only(
    rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    server, client, other = (make_network(rng) for _ in range(3))

    async def fail(stream: Stream) -> None:
        message = f"a bug, met by {stream.peer_id}"
        raise RuntimeError(message)

    server.handle("/test/bug", fail)
    async with running(server, client, other):
        await client.bootstrap(full_address(server))
        await other.bootstrap(full_address(server))
        stream = await client.open_stream(server.peer_id, "/test/bug")
        with pytest.raises(PeerUnavailableError):
            await stream.receive_exactly(1)
        await assert_echoes(client, server)
        await assert_echoes(other, server)
    assert "a bug, met by" in caplog.text  # It is logged with its traceback: it is our bug.


@pytest.mark.parametrize("garbage", [b"\x03\xff\xfe\n", b"\xff\xff\xff\xff", b"\x00", b"\x05hello"], ids=repr)
async def test_defect_1_a_protocol_name_that_is_garbage_ends_its_stream_only(
    rng: random.Random, garbage: bytes
) -> None:
    server, client = make_network(rng), make_network(rng)
    async with running(server, client):
        await client.bootstrap(full_address(server))
        connection = client.connections.best(server.peer_id)
        assert connection is not None
        stream = connection.session.open()
        await stream.write(encode_line(METHOD) + garbage)
        with pytest.raises(Exception, match="reset"):
            await stream.read_exactly(1_000)
        await assert_echoes(client, server)


@pytest.mark.parametrize("end", ["reset", "close", "disconnect"])
async def test_defect_2_an_end_in_the_middle_leaves_no_zombie_connection(rng: random.Random, end: str) -> None:
    server, client, other = (make_network(rng) for _ in range(3))
    ended = trio.Event()

    async def read_on(stream: Stream) -> None:
        try:
            await stream.receive_exactly(1_000_000)
        finally:
            ended.set()

    server.handle("/test/read", read_on)
    async with running(server, client, other):
        await client.bootstrap(full_address(server))
        await other.bootstrap(full_address(server))
        stream = await client.open_stream(server.peer_id, "/test/read")
        await stream.send(b"some")
        if end == "reset":
            await stream.reset()
        elif end == "close":
            await stream.close()
        else:
            await client.disconnect(server.peer_id)
        await ended.wait()
        if end != "disconnect":
            await assert_echoes(client, server)
        await assert_echoes(other, server)


def _table(rng: random.Random) -> tuple[ConnectionTable, PeerId]:
    """Return connections without gossip and DHT, whose work for each connection would make hundreds of them slow."""
    key = SigningKey(rng.randbytes(SEED_BYTES))
    peer_id = PeerId(peer_id_of(key.public))

    async def serve(_connection: Connection, stream: YamuxStream) -> None:
        await stream.write(await stream.read_exactly(4))

    table = ConnectionTable(
        own_id=peer_id,
        handshaker=Handshaker(key),
        dial_timeout_s=5.0,
        ping_every_s=8.0,
        serve_stream=serve,
        on_change=lambda _peer_id, _is_connected: None,
    )
    return table, peer_id


async def test_defect_3_hundreds_of_connections_in_a_row_leave_every_slot_free(rng: random.Random) -> None:
    (server, server_id), (client, _) = _table(rng), _table(rng)
    with trio.fail_after(10 * DEADLINE_S):
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        endpoint = endpoint_of(*listeners[0].socket.getsockname()[:2])
        async with trio.open_nursery() as nursery:
            server.start(nursery)
            client.start(nursery)
            nursery.start_soon(functools.partial(trio.serve_listeners, server.accept, listeners))
            tasks_before = living_tasks()
            for _ in range(CYCLES):
                connection = await client.connect(server_id, [endpoint])
                stream = connection.session.open()
                await stream.write(b"ping")
                assert await stream.read_exactly(4) == b"ping"
                await client.disconnect(server_id)
            await until(lambda: not any((*server.slots_taken, *client.slots_taken)))
            await until(lambda: living_tasks() <= tasks_before + 1)  # The listener's own task.
            nursery.cancel_scope.cancel()


async def test_defect_3_reconnecting_leaves_no_task_behind_in_gossip_either(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DHT_FIRST_REFRESH_S", DEADLINE_S)  # The DHT may dial, and is not what this is about.
    server, client = make_network(rng), make_network(rng)
    async with running(server, client):
        tasks_before = living_tasks()
        for _ in range(12):
            await client.bootstrap(full_address(server))
            await client.disconnect(server.peer_id)
        await until(lambda: not any((*server.connections.slots_taken, *client.connections.slots_taken)))
        await until(lambda: living_tasks() <= tasks_before)


async def test_defect_3_connections_that_never_shake_hands_leave_their_slots(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HANDSHAKES_MAX", 4)
    monkeypatch.setattr(limits, "HANDSHAKE_S", 0.2)
    server, client = make_network(rng), make_network(rng)
    async with running(server, client):
        port = int(server.addresses()[0].rpartition("/")[2])
        silent = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(6)]
        for stream in silent:
            while await stream.receive_some(100):  # The greeting, then the end that the server makes.
                pass
            await stream.aclose()
        assert server.connections.slots_taken == (0, 0, 0)
        await client.bootstrap(full_address(server))


CHILD = """
import random, sys, trio
from tests.network.lab import make_network, full_address
async def main():
    network = make_network(random.Random(int(sys.argv[1])))
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda *, task_status: network.run(task_status=task_status))
        print(full_address(network), flush=True)
        await trio.sleep_forever()
trio.run(main)
"""


@pytest.fixture
def child(seed: int) -> Iterator[subprocess.Popen[str]]:
    """A node in a process of its own, that echoes."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(seed + 1)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


async def _address_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return (await trio.to_thread.run_sync(child.stdout.readline)).strip()


async def test_defect_4_a_stopped_peer_is_noticed_by_readers_and_writers(
    rng: random.Random, child: subprocess.Popen[str]
) -> None:
    client = make_network(rng, profile=impatient(ping_every_s=0.5))
    async with running(client):
        peer_id = await client.bootstrap(await _address_of(child))
        reading, writing = [await client.open_stream(peer_id, ECHO) for _ in range(2)]
        os.kill(child.pid, signal.SIGSTOP)
        started = time.monotonic()

        async def write_on() -> None:
            while True:
                await writing.send(bytes(limits.SOCKET_WRITE_BYTES))

        async def write_until_lost() -> None:
            with pytest.raises(PeerUnavailableError):
                await write_on()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_until_lost)
            with pytest.raises(PeerUnavailableError, match="silent"):
                await reading.receive_exactly(1)
        os.kill(child.pid, signal.SIGCONT)
        assert time.monotonic() - started < 15.0
        assert client.connected() == ()


async def test_defect_4_a_killed_peer_is_noticed_at_once(rng: random.Random, child: subprocess.Popen[str]) -> None:
    client = make_network(rng)
    async with running(client):
        peer_id = await client.bootstrap(await _address_of(child))
        stream = await client.open_stream(peer_id, ECHO)
        await stream.send(b"ping")
        assert await stream.receive_exactly(4) == b"ping"
        child.kill()
        with trio.fail_after(2.0), pytest.raises(PeerUnavailableError):
            await stream.receive_exactly(4)


def test_defect_4_the_default_profile_notices_a_silent_peer_within_thirty_seconds() -> None:
    ping_every_s = make_network(random.Random(0))._profile.ping_every_s
    assert ping_every_s * limits.SILENT_PINGS + ping_every_s / 4 < 30


async def test_defect_7_a_refused_dial_fails_fast_and_is_not_held_against_the_peer(rng: random.Random) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"/ip4/127.0.0.1/tcp/{reserved.getsockname()[1]}"
    server, client = make_network(rng, listen=[address]), make_network(rng)
    async with running(client):
        client.learn_addresses(server.peer_id, [address])
        seconds = []
        for _ in range(3):
            started = time.monotonic()
            with pytest.raises(PeerUnavailableError, match="cannot be reached"):
                await client.connect(server.peer_id)
            seconds.append(time.monotonic() - started)
        assert min(seconds) < 0.5
        async with running(server):
            await client.connect(server.peer_id)
            await assert_echoes(client, server)


async def test_defect_7_every_known_address_is_dialled(rng: random.Random) -> None:
    server, client = make_network(rng), make_network(rng)
    async with running(server, client):
        dead = [f"/ip4/127.0.0.{number}/tcp/9" for number in range(2, 6)]
        client.learn_addresses(server.peer_id, [*dead, *server.addresses()])
        await client.connect(server.peer_id)
        assert [each.address for each in client.connected()] == list(server.addresses())


async def test_defect_8_a_dial_costs_no_quarter_of_a_second(rng: random.Random) -> None:
    server, client = make_network(rng), make_network(rng)
    async with running(server, client):
        client.learn_addresses(server.peer_id, server.addresses())
        seconds = []
        for _ in range(5):
            started = time.monotonic()
            await client.connect(server.peer_id)
            seconds.append(time.monotonic() - started)
            await client.disconnect(server.peer_id)
        assert min(seconds) < 0.2


async def test_defect_9_two_networks_in_one_process_have_two_dhts(rng: random.Random) -> None:
    first, second = make_network(rng), make_network(rng, names=NetworkNames("other", NAMES.parameters))
    async with running(first, second):
        await second.bootstrap(full_address(first))
        for name in (KAD_PROTOCOL, NAMES.protocol("kad").replace("/test/", "/other/")):
            with pytest.raises(PeerUnavailableError, match="speaks none"):
                await second.open_stream(first.peer_id, name)
        await (await second.open_stream(first.peer_id, NAMES.protocol("kad"))).close()


async def test_defect_9_a_new_node_finds_a_peer_through_a_third_one(rng: random.Random) -> None:
    middle, first, second = (make_network(rng) for _ in range(3))
    async with running(middle, first, second):
        await first.bootstrap(full_address(middle))
        await second.bootstrap(full_address(middle))
        while await first.find_addresses(second.peer_id) != second.addresses():
            await trio.lowlevel.checkpoint()


async def test_defect_10_a_burst_of_gossip_arrives_whole(rng: random.Random) -> None:
    heard: list[bytes] = []

    def hear(_peer: object, data: bytes) -> bool:
        heard.append(data)
        return True

    sender, receiver = make_network(rng), make_network(rng)
    sender.subscribe("topic", lambda _peer, _data: True)
    receiver.subscribe("topic", hear)
    async with running(sender, receiver):
        await sender.bootstrap(full_address(receiver))
        while b"first" not in heard:  # The mesh forms within a heartbeat.
            await sender.publish("topic", b"first")
            await trio.sleep(0.01)
        messages = [b"message %d" % number for number in range(400)]
        for message in messages:
            await sender.publish("topic", message)
        await until(lambda: set(messages) <= set(heard))


async def test_defect_10_a_handler_that_fails_counts_as_no(
    rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[bytes] = []

    def hear(_peer: object, data: bytes) -> bool:
        heard.append(data)
        return True

    sender, middle, end = (make_network(rng) for _ in range(3))

    def fail(_peer: object, data: bytes) -> bool:
        if data == b"bad":
            message = "a bug in the handler"
            raise RuntimeError(message)
        return True

    sender.subscribe("topic", lambda _peer, _data: True)
    middle.subscribe("topic", fail)
    end.subscribe("topic", hear)
    async with running(sender, middle, end):
        await sender.bootstrap(full_address(middle))
        await end.bootstrap(full_address(middle))
        while b"good" not in heard:
            await sender.publish("topic", b"bad")
            await sender.publish("topic", b"good")
            await trio.sleep(0.01)
    assert b"bad" not in heard
    assert "a bug in the handler" in caplog.text


@pytest.mark.parametrize("protocol", ["/plaintext/2.0.0", "/secio/1.0.0", "/tls/1.0.0"])
async def test_defect_11_nothing_but_noise_is_accepted(rng: random.Random, protocol: str) -> None:
    server = make_network(rng)
    async with running(server):
        port = int(server.addresses()[0].rpartition("/")[2])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(encode_line(METHOD) + encode_line(protocol))
        expected = encode_line(METHOD) + encode_line("na")
        received = b""
        while len(received) < len(expected):
            received += await stream.receive_some(100)
        assert received == expected
        await stream.aclose()


async def test_defect_12_a_death_in_the_middle_is_no_clean_end(
    rng: random.Random, child: subprocess.Popen[str]
) -> None:
    client = make_network(rng)
    async with running(client):
        peer_id = await client.bootstrap(await _address_of(child))
        stream = await client.open_stream(peer_id, ECHO)
        child.kill()
        with pytest.raises(PeerUnavailableError):  # Not StreamEndedError.
            await stream.receive_exactly(4)


@pytest.mark.parametrize("listen", ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"])
async def test_defect_13_listening_everywhere_announces_concrete_addresses(rng: random.Random, listen: str) -> None:
    server, client = make_network(rng, listen=[listen]), make_network(rng)
    async with running(server, client):
        assert server.addresses()
        for address in (*server.addresses(), *map(str, server._host.get_addrs())):
            assert not address.startswith(("/ip4/0.0.0.0/", "/ip6/::/"))
            assert "/tcp/0" not in address
        client.learn_addresses(server.peer_id, server.addresses())
        await assert_echoes(client, server)


async def test_defect_13_unspecified_and_own_addresses_of_a_peer_are_not_dialled(rng: random.Random) -> None:
    network, peer = make_network(rng), make_network(rng)
    async with running(network):
        own_port = network.addresses()[0].rpartition("/")[2]
        network.learn_addresses(
            peer.peer_id, [f"/ip4/0.0.0.0/tcp/{own_port}", f"/ip6/::/tcp/{own_port}", *network.addresses()]
        )
        with pytest.raises(PeerUnavailableError, match="no address"):
            await network.connect(peer.peer_id)


async def test_a_cancelled_sender_does_not_harm_the_other_streams(rng: random.Random) -> None:
    """A write that is cut in the middle of a sealed message would end the connection for all streams."""
    server, client = make_network(rng), make_network(rng)
    released = trio.Event()

    async def read_late(stream: Stream) -> None:
        await released.wait()
        await echo(stream)

    server.handle("/test/late", read_late)
    async with running(server, client):
        await client.bootstrap(full_address(server))
        for _ in range(20):
            stream = await client.open_stream(server.peer_id, "/test/late")
            with trio.move_on_after(rng.uniform(0, 0.01)):
                await stream.send(rng.randbytes(600_000))
            await stream.reset()
            await assert_echoes(client, server)
        released.set()
        assert len(client.connections.of(server.peer_id)) == 1


async def test_both_sides_dialling_at_once_breaks_no_stream(rng: random.Random) -> None:
    first, second = make_network(rng), make_network(rng)

    async def talk(one: Libp2pNetwork, other: Libp2pNetwork) -> None:
        await one.connect(other.peer_id)
        for _ in range(20):
            await assert_echoes(one, other)

    async with running(first, second):
        first.learn_addresses(second.peer_id, second.addresses())
        second.learn_addresses(first.peer_id, first.addresses())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, first, second)
            nursery.start_soon(talk, second, first)
        await assert_echoes(first, second)
        await assert_echoes(second, first)


async def test_long_gossip_is_not_cut_by_other_gossip_to_the_same_peer(rng: random.Random) -> None:
    """Several tasks of GossipSub write to one stream; plain py-libp2p lets their frames mix."""
    server, client = make_network(rng), make_network(rng)
    received: list[bytes] = []
    long, short = b"L" * 900_000, b"s" * 9

    async def collect(stream: Stream) -> None:
        received.append(await stream.receive_exactly(len(long) + 20 * len(short)))

    server.handle("/test/collect", collect)
    async with running(server, client):
        await client.bootstrap(full_address(server))
        connection = client.connections.best(server.peer_id)
        assert connection is not None
        stream, protocol = await connection.open_stream(["/test/collect"], timeout_s=5.0)
        foreign = ForeignStream(connection, stream, protocol)
        async with trio.open_nursery() as nursery:
            for data in (long, *[short] * 20):
                nursery.start_soon(foreign.write, data)
        await until(lambda: bool(received))
    assert long in received[0]

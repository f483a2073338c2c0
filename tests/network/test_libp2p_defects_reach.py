"""Regressions for the other defects of py-libp2p 0.8.1: dialling, the DHT, gossip, security and addresses.

As in `test_libp2p_defects.py`, the numbers are those of the research.
"""

from __future__ import annotations

import random
import socket
import time

import pytest
import trio

from p2pnode.errors import PeerUnavailableError
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_patches import KAD_PROTOCOL
from p2pnode.network.libp2p_streams import ForeignStream
from p2pnode.network.negotiation import METHOD, encode_line
from p2pnode.seams import Stream, Verdict
from tests.network.lab import (
    NAMES,
    assert_echoes,
    echo,
    full_address,
    make_network,
    running,
    until,
)
from wire.protocol_ids import NetworkNames


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

    def hear(_peer: object, data: bytes) -> Verdict:
        heard.append(data)
        return Verdict.ACCEPT

    sender, receiver = make_network(rng), make_network(rng)
    sender.subscribe("topic", lambda _peer, _data: Verdict.ACCEPT)
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

    def hear(_peer: object, data: bytes) -> Verdict:
        heard.append(data)
        return Verdict.ACCEPT

    sender, middle, end = (make_network(rng) for _ in range(3))

    def fail(_peer: object, data: bytes) -> Verdict:
        if data == b"bad":
            message = "a bug in the handler"
            raise RuntimeError(message)
        return Verdict.ACCEPT

    sender.subscribe("topic", lambda _peer, _data: Verdict.ACCEPT)
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

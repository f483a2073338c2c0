"""Regressions for the defects of py-libp2p 0.8.1 that can kill or wedge a node; the numbers are those of the research.

Most are mended by not using the parts that have them (its host, swarm, sockets and yamux); these tests hold what took
their place to the same claims. Every defect n has tests named `test_defect_<n>_..`: 1 to 4 and 12 here,
5, 6, 14 and 15 in `test_libp2p_defects_streams.py`, the others in `test_libp2p_defects_reach.py`.

 1  an exception in a handler, or a name that is no UTF-8, ends the host `ConnectionTable._run_stream`, `negotiation`
 2  a stream's end in its handler makes the connection a zombie      the same guard; `YamuxSession`
 3  each accepted connection keeps its slot                          `resources.Reservation`, released in any case
 4  a silent peer is never noticed, a stuck write holds a lock       `GuardedSocket`, `YamuxSession._watch_loop`
 5  a reader that stalls for five seconds loses its stream           `YamuxStream`: no time limit on a full window
 6  the receive window is not enforced                               `YamuxStream.receive`
 7  one address is dialled, and a failure is remembered for a minute `ConnectionTable._dial`: all, and no memory
 8  each dial costs 250 ms                                           `ConnectionTable._dial` ends with the first
 9  the DHT's prefix has no effect, its table stays empty            `ForeignHost` aliases, `Dht.add`
10  gossip: heartbeat, silent drops, scores of zero                  `libp2p_gossip` and what it is made of
11  plaintext and secio are accepted                                 `Handshaker` knows Noise only
12  an abrupt death looks like a clean end                           `StreamEndError` after FIN only; all has a length
13  unspecified addresses are announced and dialled                  `addresses.announceable`, `dialable`
14  limits follow the wall clock                                     trio's clock, and the `Clock` seam's monotonic one
15  QUIC, mplex, mDNS and websockets are slow or do not work         `parse_endpoint` and `TcpTransport`: TCP only
"""

from __future__ import annotations

import os
import random
import signal
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
from p2pnode.network.addresses import parse_endpoint
from p2pnode.network.libp2p_connection import Connection
from p2pnode.network.libp2p_connections import ConnectionTable
from p2pnode.network.libp2p_noise import Handshaker
from p2pnode.network.negotiation import METHOD, encode_line
from p2pnode.network.resources import Reservation
from p2pnode.network.tcp_transport import TcpTransport
from p2pnode.network.yamux_stream import YamuxStream
from p2pnode.seams import Stream
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
    until,
)
from wire.ids import PeerId

CYCLES = 300
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

    async def serve(_connection: Connection, stream: YamuxStream, _slot: Reservation) -> None:
        await stream.write(await stream.read_exactly(4))

    table = ConnectionTable(
        own_id=peer_id,
        transport=TcpTransport(),
        handshaker=Handshaker(key),
        dial_timeout_s=5.0,
        ping_every_s=8.0,
        serve_stream=serve,
        on_change=lambda _peer_id, _is_connected: None,
    )
    return table, peer_id


async def test_defect_3_hundreds_of_connections_in_a_row_leave_every_slot_free(rng: random.Random) -> None:
    (server, server_id), (client, _) = _table(rng), _table(rng)
    with trio.fail_after(3 * DEADLINE_S):
        listener = await TcpTransport().listen([parse_endpoint(LOOPBACK)])
        endpoint = listener.endpoints[0]
        async with trio.open_nursery() as nursery:
            server.start(nursery)
            client.start(nursery)
            await nursery.start(listener.serve, server.accept, nursery)
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

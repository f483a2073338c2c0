"""Regressions for the defects of py-libp2p 0.8.1 in streams, in time, and in what else it could be made to speak.

As in `test_libp2p_defects.py`, which has the table of all of them, the numbers are those of the research.
"""

# ruff: noqa: ARG001 - the clock works by being asked for.

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import p2pnode
from p2pnode.errors import CallerError, PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.addresses import BadAddressError, parse_endpoint
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.libp2p_noise import YAMUX
from p2pnode.network.negotiation import propose
from p2pnode.network.requests import Requester
from p2pnode.network.yamux_frames import Flag, Header, Kind
from p2pnode.seams import Stream, Verdict
from p2pnode.system import SystemClock
from tests.network.cable import Cable
from tests.network.lab import (
    ECHO,
    assert_echoes,
    full_address,
    impatient,
    make_network,
    running,
    until,
)
from tests.network.test_requests import QUESTION
from tests.network.test_yamux import Pair
from tests.network.test_yamux import running as running_pair
from wire.messages import SliverData


async def test_defect_4_a_pulled_cable_fails_requests_under_way_and_costs_others_nothing(rng: random.Random) -> None:
    server, client, other = (make_network(rng, profile=impatient(ping_every_s=1.0)) for _ in range(3))

    asked = 0

    async def never(_stream: Stream) -> None:
        nonlocal asked
        asked += 1
        await trio.sleep_forever()

    server.handle("/test/never", never)
    async with running(server, client, other), trio.open_nursery() as nursery:
        cable = Cable(int(server.addresses()[0].rpartition("/")[2]))
        await nursery.start(cable.run)
        address, marker, peer_text = full_address(server).partition("/p2p/")
        await client.bootstrap(f"{address.rpartition('/')[0]}/{cable.port}{marker}{peer_text}")
        await other.bootstrap(full_address(server))
        requester = Requester(client, SystemClock(), impatient(ping_every_s=1.0))
        failed: list[float] = []
        started = trio.current_time()

        async def ask() -> None:
            with pytest.raises(PeerUnavailableError):
                await requester.request(server.peer_id, "/test/never", QUESTION, expect=(SliverData,), timeout_s=30.0)
            failed.append(trio.current_time() - started)

        async with trio.open_nursery() as asking:
            for _ in range(4):
                asking.start_soon(ask)
            await until(lambda: asked >= 4)  # More when this process stood still, and a connection was made anew.
            cut = server.connections.of(client.peer_id)
            cable.pull()
            await until(lambda: bool(failed))
        assert len(failed) == 4
        assert max(failed) < 1.0 * (limits.SILENT_PINGS + 1) + 10.0  # Far from the request's own deadline.
        await until(lambda: all(each.session.is_over for each in cut))  # The other end noticed by itself.
        await assert_echoes(other, server)
        assert len(other.connections.of(server.peer_id)) == 1
        nursery.cancel_scope.cancel()


async def test_defect_4_a_black_hole_is_noticed_by_a_writer_whose_socket_is_full(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRITE_STALL_S", 1.0)
    server, client = make_network(rng), make_network(rng)
    async with running(server, client):
        await client.bootstrap(full_address(server))
        (connection,) = server.connections.of(client.peer_id)

        async def never(_count: int) -> bytes:
            await trio.sleep_forever()
            raise AssertionError

        connection.session._channel.read_exactly = never  # type: ignore[assignment, method-assign] # It reads no more.
        stream = client.connections.of(server.peer_id)[0].session.open()

        async def write_on() -> None:
            while True:
                stream.add_send_window(limits.STREAM_WINDOW_BYTES)
                await stream.write(bytes(limits.STREAM_WINDOW_BYTES))

        with pytest.raises(ConnectionLostError, match="took no bytes"):
            await write_on()
        assert not client.connections.of(server.peer_id)


@pytest.mark.parametrize("stalled_s", [6.0, 120.0])
async def test_defect_5_a_reader_that_stalls_for_longer_than_five_seconds_loses_nothing(
    rng: random.Random, autojump_clock: MockClock, stalled_s: float
) -> None:
    pair = Pair()
    data = rng.randbytes(3 * limits.STREAM_WINDOW_BYTES)
    async with running_pair(pair):
        near, far = await pair.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.write, data)
            await trio.sleep(stalled_s)  # The window is full for all that time.
            assert await far.read_exactly(len(data)) == data
        await near.write(b"more")
        assert await far.read_exactly(4) == b"more"


@pytest.mark.parametrize("frames", [1, 7])
async def test_defect_6_a_writer_that_ignores_its_window_is_cut_before_it_costs_memory(
    autojump_clock: MockClock, frames: int
) -> None:
    pair = Pair()
    async with running_pair(pair):
        near, far = await pair.open()
        size = limits.STREAM_WINDOW_INITIAL_BYTES // frames
        body = bytes(size)
        head = Header(Kind.DATA, Flag.NONE, near.stream_id, size).encode()
        with contextlib.suppress(ConnectionLostError):
            for _ in range(240 * frames):  # 60 MB, which cost 64 MB of memory.
                await pair.pipes[0].write_frames([head + body])
        assert "beyond the window" in await pair.server.wait_over()
        assert len(far._incoming) <= limits.STREAM_WINDOW_BYTES


JUMPS_S = (10 * 3600.0, -20 * 3600.0, 400 * 86_400.0, -400 * 86_400.0)


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the wall clock of this process forward or back, for everybody who asks it."""
    wall = time.time
    offset_s = 0.0

    def set_by(seconds: float) -> None:
        nonlocal offset_s
        offset_s += seconds

    monkeypatch.setattr(time, "time", lambda: wall() + offset_s)
    return set_by


async def test_defect_14_a_jump_of_the_wall_clock_drops_no_connection_gossip_or_request(
    rng: random.Random, jump: Callable[[float], None]
) -> None:
    heard: list[bytes] = []

    def hear(_peer: object, data: bytes) -> Verdict:
        heard.append(data)
        return Verdict.ACCEPT

    profile = impatient(ping_every_s=0.3)
    server, client = make_network(rng, profile=profile), make_network(rng, profile=profile)
    server.subscribe("topic", hear)
    client.subscribe("topic", lambda _peer, _data: Verdict.ACCEPT)
    async with running(server, client):
        await client.bootstrap(full_address(server))
        connection = client.connections.best(server.peer_id)
        stream = await client.open_stream(server.peer_id, ECHO)
        while b"first" not in heard:  # The mesh forms within a heartbeat.
            await client.publish("topic", b"first")
            await trio.sleep(0.01)
        for number, seconds in enumerate(JUMPS_S):
            jump(seconds)
            burst = [b"message %d of %d" % (each, number) for each in range(50)]
            for message in burst:
                await client.publish("topic", message)
            await stream.send(b"ping")  # A request under way.
            assert await stream.receive_exactly(4) == b"ping"
            await assert_echoes(client, server)
            await until(lambda burst=burst: set(burst) <= set(heard))  # type: ignore[misc] # Bound on purpose.
        assert client.connections.best(server.peer_id) is connection
        assert len(server.connections.of(client.peer_id)) == 1


OTHER_TRANSPORTS = (
    "/ip4/127.0.0.1/udp/4001/quic-v1",
    "/ip4/127.0.0.1/udp/4001/quic",
    "/ip4/127.0.0.1/tcp/4001/ws",
    "/ip4/127.0.0.1/tcp/4001/wss",
    "/ip4/127.0.0.1/udp/4001/webrtc-direct",
)


@pytest.mark.parametrize("address", OTHER_TRANSPORTS)
async def test_defect_15_no_transport_but_tcp_is_listened_on_or_dialled(rng: random.Random, address: str) -> None:
    with pytest.raises(BadAddressError):
        parse_endpoint(address)
    with pytest.raises(CallerError):
        make_network(rng, listen=[address])
    network, peer = make_network(rng), make_network(rng)
    async with running(network):
        network.learn_addresses(peer.peer_id, [address])
        with pytest.raises(PeerUnavailableError, match="no address"):
            await network.connect(peer.peer_id)


@pytest.mark.parametrize("muxer", ["/mplex/6.7.0", "/yamux/2.0.0"])
async def test_defect_15_no_muxer_but_yamux_is_accepted(
    rng: random.Random, muxer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = make_network(rng), make_network(rng)
    async with running(server, client):
        monkeypatch.setattr("p2pnode.network.libp2p_noise.propose", lambda channel, names: _mux(channel, names, muxer))
        with pytest.raises(PeerUnavailableError, match="speaks none"):
            await client.bootstrap(full_address(server))


async def _mux(channel: object, names: list[str], muxer: str) -> str:
    return await propose(channel, [muxer] if names == [YAMUX] else names)  # type: ignore[arg-type] # As it came.


def test_defect_15_nothing_of_libp2ps_mdns_quic_websocket_or_mplex_is_imported_by_us() -> None:
    """They may be imported by the library itself."""
    package = Path(p2pnode.__file__).parent
    lines = [line for path in package.rglob("*.py") for line in path.read_text().splitlines() if "import" in line]
    unwanted = ("libp2p.discovery.mdns", "libp2p.transport", "mplex", "quic", "websocket", "libp2p.host.basic_host")
    assert [line for line in lines if "libp2p." in line and any(name in line for name in unwanted)] == []

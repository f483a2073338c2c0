"""What every `Network` promises of its streams: py-libp2p over loopback TCP and in memory, and the simulated one."""

import pytest
import trio

from p2pnode.errors import PeerUnavailableError
from p2pnode.seams import Network, Stream, StreamEndedError
from tests.contract.network_lab import (
    PROTOCOL,
    SOON_S,
    Lab,
    Run,
    ask_echo,
    echo,
    introduce,
    is_connected,
    two,
    wait_until,
)

LARGE_BYTES = 3_000_000


def test_a_stream_carries_more_than_every_window_both_ways(run_network: Run, seed: int) -> None:
    data = (seed.to_bytes(8, "big") + bytes(range(256))) * (LARGE_BYTES // 264)

    async def claim(lab: Lab) -> None:
        one, other = await two(lab)
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        assert stream.peer_id == other.peer_id
        assert await ask_echo(stream, data) == data
        assert await ask_echo(stream, b"") == b""
        await stream.close()

    run_network(claim)


def test_open_stream_dials_when_there_is_no_connection(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = (await lab.start()).network, (await lab.start({PROTOCOL: echo})).network
        one.learn_addresses(other.peer_id, other.addresses())
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        assert await ask_echo(stream, b"hello") == b"hello"
        await stream.close()

    run_network(claim)


def test_the_dialled_side_opens_streams_over_the_same_connection(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await two(lab)
        stream = await other.open_stream(one.peer_id, PROTOCOL)
        assert stream.peer_id == one.peer_id
        assert await ask_echo(stream, b"back") == b"back"
        await stream.close()

    run_network(claim)


def test_a_message_is_read_in_any_parts(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await two(lab)
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        await stream.send(memoryview((5).to_bytes(4, "big") + b"abcde"))
        assert await stream.receive_exactly(0) == b""
        assert await stream.receive_exactly(5) == b"\0\0\0\5a"
        assert await stream.receive_exactly(1) == b"b"
        assert await stream.receive_exactly(3) == b"cde"
        await stream.close()

    run_network(claim)


def test_a_protocol_that_the_peer_does_not_serve_is_unavailable(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await two(lab)
        with trio.fail_after(SOON_S), pytest.raises(PeerUnavailableError):
            await one.open_stream(other.peer_id, PROTOCOL + "/unknown")
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        assert await ask_echo(stream, b"still here") == b"still here"
        await stream.close()

    run_network(claim)


def test_a_clean_end_before_a_message_raises_stream_ended(run_network: Run) -> None:
    async def answer_once(stream: Stream) -> None:
        await stream.send(await stream.receive_exactly(3))
        await stream.close()

    async def claim(lab: Lab) -> None:
        one, other = await lab.start(), await lab.start({PROTOCOL: answer_once})
        await introduce(one.network, other.network)
        stream = await one.network.open_stream(other.network.peer_id, PROTOCOL)
        await stream.send(b"abc")
        assert await stream.receive_exactly(3) == b"abc"
        for _ in range(2):
            with pytest.raises(StreamEndedError):
                await stream.receive_exactly(1)
        await stream.close()

    run_network(claim)


def test_a_clean_end_in_the_middle_of_a_message_is_a_lost_peer(run_network: Run) -> None:
    async def answer_half(stream: Stream) -> None:
        await stream.send(b"half")

    async def claim(lab: Lab) -> None:
        one, other = await lab.start(), await lab.start({PROTOCOL: answer_half})
        await introduce(one.network, other.network)
        stream = await one.network.open_stream(other.network.peer_id, PROTOCOL)
        with pytest.raises(PeerUnavailableError):
            await stream.receive_exactly(8)

    run_network(claim)


def test_what_was_sent_before_a_clean_end_still_arrives(run_network: Run) -> None:
    arrived: list[bytes] = []

    async def listen(stream: Stream) -> None:
        arrived.append(await stream.receive_exactly(200_000))
        with pytest.raises(StreamEndedError):
            await stream.receive_exactly(1)
        arrived.append(b"end")

    async def claim(lab: Lab) -> None:
        one, other = await lab.start(), await lab.start({PROTOCOL: listen})
        await introduce(one.network, other.network)
        stream = await one.network.open_stream(other.network.peer_id, PROTOCOL)
        await stream.send(bytes(200_000))
        await stream.close()
        await stream.close()
        await wait_until(lambda: len(arrived) == 2)
        assert arrived == [bytes(200_000), b"end"]

    run_network(claim)


def test_a_reset_reaches_the_reader_at_the_other_side(run_network: Run) -> None:
    outcomes: list[str] = []

    async def listen(stream: Stream) -> None:
        await stream.receive_exactly(1)
        outcomes.append("read")
        try:
            await stream.receive_exactly(1)
        except PeerUnavailableError:
            outcomes.append("lost")

    async def claim(lab: Lab) -> None:
        one, other = await lab.start(), await lab.start({PROTOCOL: listen})
        await introduce(one.network, other.network)
        stream = await one.network.open_stream(other.network.peer_id, PROTOCOL)
        await stream.send(b"x")
        await wait_until(lambda: bool(outcomes))
        await stream.reset()
        await stream.reset()
        await wait_until(lambda: outcomes == ["read", "lost"])
        assert is_connected(one.network, other.network)

    run_network(claim)


def test_a_peer_that_dies_while_we_read_is_unavailable(run_network: Run) -> None:
    async def answer_half_and_stay(stream: Stream) -> None:
        await stream.send(b"half")
        await trio.sleep_forever()

    async def claim(lab: Lab) -> None:
        one, other = await lab.start(), await lab.start({PROTOCOL: answer_half_and_stay})
        await introduce(one.network, other.network)
        stream = await one.network.open_stream(other.network.peer_id, PROTOCOL)
        assert await stream.receive_exactly(1) == b"h"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.die)
            with pytest.raises(PeerUnavailableError):
                await stream.receive_exactly(8)
        await wait_until(lambda: not is_connected(one.network, other.network))
        with pytest.raises(PeerUnavailableError):
            await stream.send(bytes(LARGE_BYTES))
        await stream.reset()
        await stream.close()

    run_network(claim)


def test_an_exception_in_a_handler_ends_its_stream_only(run_network: Run) -> None:
    async def fail(stream: Stream) -> None:
        await stream.receive_exactly(1)
        raise LookupError

    async def claim(lab: Lab) -> None:
        one, other = await lab.start(), await lab.start({PROTOCOL: echo, PROTOCOL + "/fail": fail})
        await introduce(one.network, other.network)
        good = await one.network.open_stream(other.network.peer_id, PROTOCOL)
        bad = await one.network.open_stream(other.network.peer_id, PROTOCOL + "/fail")
        await bad.send(b"x")
        with pytest.raises(PeerUnavailableError):
            await bad.receive_exactly(1)
        assert await ask_echo(good, b"still here") == b"still here"
        await good.close()

    run_network(claim)


def test_many_streams_both_ways_at_once_do_not_mix(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await two(lab)

        async def ask(asker: Network, asked: Network, number: int) -> None:
            stream = await asker.open_stream(asked.peer_id, PROTOCOL)
            for turn in range(3):
                data = bytes([number, turn]) * 40_000
                assert await ask_echo(stream, data) == data
            await stream.close()

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(ask, one, other, number)
                nursery.start_soon(ask, other, one, 100 + number)

    run_network(claim)


def test_a_reader_that_does_not_read_stops_the_writer(run_network: Run) -> None:
    go_on = trio.Event()
    read: list[int] = []

    async def listen(stream: Stream) -> None:
        await go_on.wait()
        read.append(len(await stream.receive_exactly(2 * LARGE_BYTES)))

    async def claim(lab: Lab) -> None:
        one, other = await lab.start(), await lab.start({PROTOCOL: listen})
        await introduce(one.network, other.network)
        stream = await one.network.open_stream(other.network.peer_id, PROTOCOL)
        sent: list[int] = []

        async def write() -> None:
            for _ in range(2 * LARGE_BYTES // 10_000):
                await stream.send(bytes(10_000))
                sent.append(10_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            before = -1
            while len(sent) != before:
                before = len(sent)
                await trio.sleep(0.25)
            assert 0 < sum(sent) < LARGE_BYTES
            go_on.set()
        await wait_until(lambda: read == [2 * LARGE_BYTES])
        await stream.close()

    run_network(claim)

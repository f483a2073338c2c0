"""What every `Network` promises: py-libp2p over loopback TCP and the simulated one."""

import itertools
from collections.abc import Callable

import pytest
import trio

from crypto.keys import SigningKey
from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.errors import CallerError, PeerUnavailableError
from p2pnode.seams import Network, Stream, StreamEndedError
from tests.contract.network_lab import (
    PROTOCOL,
    TOPIC,
    Claim,
    Lab,
    introduce,
    is_connected,
    run_over_tcp,
    run_simulated,
    wait_until,
)
from wire.ids import PeerId

NOBODY = PeerId(peer_id_of(SigningKey(bytes(32)).public))
LARGE_BYTES = 3_000_000
SOON_S = 8.0
"""How long a refused dial may take; a silent one may take the profile's dial time."""

Run = Callable[[Claim], None]


@pytest.fixture(params=["tcp", "simulated"])
def run(request: pytest.FixtureRequest, seed: int) -> Run:
    """Run a claim in one of the two laboratories."""
    laboratory = run_over_tcp if request.param == "tcp" else run_simulated
    return lambda claim: laboratory(claim, seed)


async def echo(stream: Stream) -> None:
    """Answer each length-prefixed message with itself until the peer ends the stream."""
    while True:
        try:
            prefix = await stream.receive_exactly(4)
        except StreamEndedError:
            await stream.close()
            return
        await stream.send(prefix + await stream.receive_exactly(int.from_bytes(prefix, "big")))


async def ask_echo(stream: Stream, data: bytes) -> bytes:
    """Send a message and return its echo, reading while writing: the message may be larger than every window."""
    answer = bytearray()

    async def read() -> None:
        count = int.from_bytes(await stream.receive_exactly(4), "big")
        answer.extend(await stream.receive_exactly(count))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await stream.send(len(data).to_bytes(4, "big") + data)
    return bytes(answer)


async def two(lab: Lab) -> tuple[Network, Network]:
    """Return two connected networks that both serve `echo`; the first has dialled the second."""
    one, other = await lab.start({PROTOCOL: echo}), await lab.start({PROTOCOL: echo})
    await introduce(one.network, other.network)
    return one.network, other.network


def test_a_peer_is_dialled_by_the_address_that_was_learnt(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = (await lab.start()).network, (await lab.start()).network
        assert not one.connected()
        await introduce(one, other)
        assert [each.peer_id for each in one.connected()] == [other.peer_id]
        assert one.connected()[0].address in other.addresses()
        assert [(each.peer_id, each.address) for each in other.connected()] == [(one.peer_id, "")]
        await one.connect(other.peer_id)
        assert len(one.connected()) == 1

    run(claim)


def test_a_network_listens_on_concrete_addresses_without_its_peer_id(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        network = (await lab.start()).network
        (address,) = network.addresses()
        assert "/p2p/" not in address
        assert not address.endswith("/tcp/0")

    run(claim)


def test_bootstrap_connects_to_an_address_with_a_peer_id(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = (await lab.start()).network, (await lab.start()).network
        address = f"{other.addresses()[0]}/p2p/{peer_id_to_text(other.peer_id)}"
        assert await one.bootstrap(address) == other.peer_id
        assert is_connected(one, other)

    run(claim)


@pytest.mark.parametrize(
    "address", ["", "nonsense", "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1/p2p/", "/ip4/127.0.0.1/tcp/1/p2p/junk"]
)
def test_bootstrap_refuses_an_address_without_a_peer_id(run: Run, address: str) -> None:
    async def claim(lab: Lab) -> None:
        network = (await lab.start()).network
        with pytest.raises(CallerError):
            await network.bootstrap(address)

    run(claim)


def test_a_peer_without_a_known_address_is_unavailable_at_once(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        network = (await lab.start()).network
        with trio.fail_after(SOON_S):
            with pytest.raises(PeerUnavailableError):
                await network.connect(NOBODY)
            with pytest.raises(PeerUnavailableError):
                await network.open_stream(NOBODY, PROTOCOL)

    run(claim)


def test_an_address_where_nobody_listens_is_refused_soon(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, gone = await lab.start(), await lab.start()
        one.network.learn_addresses(gone.network.peer_id, gone.network.addresses())
        await gone.die()
        with trio.fail_after(SOON_S), pytest.raises(PeerUnavailableError):
            await one.network.connect(gone.network.peer_id)

    run(claim)


def test_a_peer_with_another_id_at_the_address_is_not_taken_for_the_wanted_one(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = (await lab.start()).network, (await lab.start()).network
        one.learn_addresses(NOBODY, other.addresses())
        with trio.fail_after(SOON_S), pytest.raises(PeerUnavailableError):
            await one.connect(NOBODY)
        assert all(each.peer_id != NOBODY for each in one.connected())
        with pytest.raises(PeerUnavailableError):
            await one.bootstrap(f"{other.addresses()[0]}/p2p/{peer_id_to_text(NOBODY)}")

    run(claim)


def test_a_good_address_is_found_among_bad_ones(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other, gone = await lab.start(), await lab.start(), await lab.start()
        dead = gone.network.addresses()
        await gone.die()
        one.network.learn_addresses(other.network.peer_id, [*dead, *other.network.addresses()])
        await one.network.connect(other.network.peer_id)
        assert one.network.connected()[0].address in other.network.addresses()

    run(claim)


def test_a_stream_carries_more_than_every_window_both_ways(run: Run, seed: int) -> None:
    data = (seed.to_bytes(8, "big") + bytes(range(256))) * (LARGE_BYTES // 264)

    async def claim(lab: Lab) -> None:
        one, other = await two(lab)
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        assert stream.peer_id == other.peer_id
        assert await ask_echo(stream, data) == data
        assert await ask_echo(stream, b"") == b""
        await stream.close()

    run(claim)


def test_open_stream_dials_when_there_is_no_connection(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = (await lab.start()).network, (await lab.start({PROTOCOL: echo})).network
        one.learn_addresses(other.peer_id, other.addresses())
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        assert await ask_echo(stream, b"hello") == b"hello"
        await stream.close()

    run(claim)


def test_the_dialled_side_opens_streams_over_the_same_connection(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await two(lab)
        stream = await other.open_stream(one.peer_id, PROTOCOL)
        assert stream.peer_id == one.peer_id
        assert await ask_echo(stream, b"back") == b"back"
        await stream.close()

    run(claim)


def test_a_message_is_read_in_any_parts(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await two(lab)
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        await stream.send(memoryview((5).to_bytes(4, "big") + b"abcde"))
        assert await stream.receive_exactly(0) == b""
        assert await stream.receive_exactly(5) == b"\0\0\0\5a"
        assert await stream.receive_exactly(1) == b"b"
        assert await stream.receive_exactly(3) == b"cde"
        await stream.close()

    run(claim)


def test_a_protocol_that_the_peer_does_not_serve_is_unavailable(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await two(lab)
        with trio.fail_after(SOON_S), pytest.raises(PeerUnavailableError):
            await one.open_stream(other.peer_id, PROTOCOL + "/unknown")
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        assert await ask_echo(stream, b"still here") == b"still here"
        await stream.close()

    run(claim)


def test_a_clean_end_before_a_message_raises_stream_ended(run: Run) -> None:
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

    run(claim)


def test_a_clean_end_in_the_middle_of_a_message_is_a_lost_peer(run: Run) -> None:
    async def answer_half(stream: Stream) -> None:
        await stream.send(b"half")

    async def claim(lab: Lab) -> None:
        one, other = await lab.start(), await lab.start({PROTOCOL: answer_half})
        await introduce(one.network, other.network)
        stream = await one.network.open_stream(other.network.peer_id, PROTOCOL)
        with pytest.raises(PeerUnavailableError):
            await stream.receive_exactly(8)

    run(claim)


def test_what_was_sent_before_a_clean_end_still_arrives(run: Run) -> None:
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

    run(claim)


def test_a_reset_reaches_the_reader_at_the_other_side(run: Run) -> None:
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

    run(claim)


def test_a_peer_that_dies_while_we_read_is_unavailable(run: Run) -> None:
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

    run(claim)


def test_an_exception_in_a_handler_ends_its_stream_only(run: Run) -> None:
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

    run(claim)


def test_many_streams_both_ways_at_once_do_not_mix(run: Run) -> None:
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

    run(claim)


def test_a_reader_that_does_not_read_stops_the_writer(run: Run) -> None:
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

    run(claim)


def test_disconnect_is_seen_by_both_sides_and_connecting_again_works(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await two(lab)
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        await one.disconnect(other.peer_id)
        assert not is_connected(one, other)
        with pytest.raises(PeerUnavailableError):
            await ask_echo_flat(stream)
        await wait_until(lambda: not is_connected(other, one))
        await one.disconnect(other.peer_id)
        await one.connect(other.peer_id)
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        assert await ask_echo(stream, b"again") == b"again"
        await stream.close()

    run(claim)


async def ask_echo_flat(stream: Stream) -> None:
    """Ask without a nursery, so that the error comes out bare."""
    await stream.send((1).to_bytes(4, "big") + b"x")
    await stream.receive_exactly(5)


def test_connected_is_in_the_order_of_peer_ids(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        centre = (await lab.start()).network
        for _ in range(4):
            await introduce((await lab.start()).network, centre)
        peers = [each.peer_id for each in centre.connected()]
        assert peers == sorted(peers)
        assert len(peers) == 4

    run(claim)


def test_gossip_reaches_everyone_through_a_chain_once(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        heard: dict[int, list[bytes]] = {number: [] for number in range(4)}

        def listen(number: int) -> Callable[[PeerId, bytes], bool]:
            def handler(via: PeerId, data: bytes) -> bool:
                del via
                heard[number].append(data)
                return True

            return handler

        chain = [(await lab.start(topics={TOPIC: listen(number)})).network for number in range(4)]
        for one, other in itertools.pairwise(chain):
            await introduce(one, other)

        async def publish_until_heard() -> None:
            # A mesh of subscriptions needs a moment to form; a message sent before it is rightly lost.
            number = 0
            while not heard[3]:
                await chain[0].publish(TOPIC, b"early %d" % number)
                number += 1
                await trio.sleep(0.25)

        await publish_until_heard()
        await chain[0].publish(TOPIC, b"last")
        await wait_until(lambda: all(b"last" in heard[number] for number in (1, 2, 3)))
        assert heard[0] == []
        assert all(len(set(heard[number])) == len(heard[number]) for number in (1, 2, 3))

    run(claim)


def test_gossip_that_a_node_does_not_want_is_not_forwarded(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        heard: dict[str, list[bytes]] = {"middle": [], "end": []}

        def choosy(_via: PeerId, data: bytes) -> bool:
            heard["middle"].append(data)
            if data == b"raise":
                raise LookupError
            return data != b"bad"

        def listen(_via: PeerId, data: bytes) -> bool:
            heard["end"].append(data)
            return True

        first = (await lab.start(topics={TOPIC: listen})).network
        middle = (await lab.start(topics={TOPIC: choosy})).network
        last = (await lab.start(topics={TOPIC: listen})).network
        await introduce(first, middle)
        await introduce(middle, last)
        number = 0
        while not heard["end"]:
            await first.publish(TOPIC, b"early %d" % number)
            number += 1
            await trio.sleep(0.25)
        for data in (b"bad", b"raise", b"good"):
            await first.publish(TOPIC, data)
        await wait_until(lambda: b"good" in heard["end"])
        assert {b"bad", b"raise", b"good"} <= set(heard["middle"])
        assert not {b"bad", b"raise"} & set(heard["end"])

    run(claim)


def test_a_third_node_finds_addresses_by_asking_the_others(run: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, hub, other = [(await lab.start()).network for _ in range(3)]
        await introduce(one, hub)
        await introduce(other, hub)
        found: tuple[str, ...] = ()
        while not found:  # A routing table fills in its own time.
            found = await one.find_addresses(other.peer_id)
        assert set(found) & set(other.addresses())
        assert await one.find_addresses(NOBODY) == ()

    run(claim)

"""Faults of simulated wires: one-way cuts, resets, loss, slow links, gossip that is late or comes twice."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import trio

from p2pnode.errors import PeerSilentError, PeerUnavailableError
from p2pnode.network.gossip_limits import SEEN_S
from p2pnode.seams import Stream
from testnet.sim.fabric import SILENCE_S, Link
from testnet.sim.faults import FaultKind
from testnet.sim.links import LOSS_MAX
from testnet.sim.streams import PACKET_BYTES
from tests.simulation.two_networks import LINK, PROTOCOL, TOPIC, Scene, ask, play

BOTH_WAYS = (("a", "b"), ("b", "a"))


def change(scene: Scene, change: Callable[[Link], Link]) -> None:
    """Give a and b another link."""
    scene.fabric.links.change(BOTH_WAYS, change)


async def echo_long(stream: Stream, data: bytes) -> bytes:
    """Send a long message and return what the echo sent back, byte for byte."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send, data)
        return await stream.receive_exactly(len(data))


def test_a_one_way_cut_fires_only_when_something_meets_it(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        stream = await scene.a.open_stream(scene.b.peer_id, PROTOCOL)
        scene.fabric.cut_one_way("b", "a")
        await stream.send(b"x")
        assert scene.fired(FaultKind.ONE_WAY_CUT) == 0
        await trio.sleep(1)
        assert scene.fired(FaultKind.ONE_WAY_CUT) == 1
        assert scene.fired(FaultKind.CUT) == 0

    play(claim, seed)


@pytest.mark.parametrize("cut", [("a", "b"), ("b", "a")])
def test_a_way_that_is_cut_for_long_ends_the_connection_and_no_dial_gets_through(
    seed: int, cut: tuple[str, str]
) -> None:
    async def claim(scene: Scene) -> None:
        scene.fabric.cut_one_way(*cut)
        await trio.sleep(SILENCE_S + 1)
        assert scene.a.connected() == scene.b.connected() == ()
        assert scene.fired(FaultKind.ONE_WAY_CUT) == 0
        with pytest.raises(PeerSilentError):
            await scene.a.connect(scene.b.peer_id)
        assert scene.fired(FaultKind.ONE_WAY_CUT) > 0
        scene.fabric.heal()
        await scene.a.connect(scene.b.peer_id)

    play(claim, seed)


def test_a_cut_that_comes_after_a_healed_one_has_a_patience_of_its_own(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        for _ in range(3):
            scene.fabric.partition(["a"], ["b"])
            await trio.sleep(SILENCE_S - 1)
            scene.fabric.heal()
        scene.fabric.partition(["a"], ["b"])
        scene.fabric.partition(["b"], ["a"])  # Nothing new: it gives no new patience.
        await trio.sleep(SILENCE_S - 1)
        assert scene.a.connected()
        await trio.sleep(2)
        assert not scene.a.connected()

    play(claim, seed)


def test_healing_a_core_ends_the_cuts_within_it_only(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        stream = await scene.a.open_stream(scene.b.peer_id, PROTOCOL)
        c = scene.new("c", 3)
        await scene.start(c)
        scene.fabric.partition(["a"], ["b"], ["c"])
        await stream.send(b"x")
        await trio.sleep(1)
        scene.fabric.heal(["a", "c"])
        with trio.move_on_after(2) as waited:
            await stream.receive_exactly(1)
        assert waited.cancelled_caught
        c.learn_addresses(scene.a.peer_id, scene.a.addresses())
        await c.connect(scene.a.peer_id)
        scene.fabric.heal(["a", "b"])
        assert await stream.receive_exactly(1) == b"x"
        c.learn_addresses(scene.b.peer_id, scene.b.addresses())
        with pytest.raises(PeerSilentError):
            await c.connect(scene.b.peer_id)

    play(claim, seed)


def test_a_reset_breaks_streams_in_the_middle_of_a_message_on_both_sides_and_both_live_on(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        stream = await scene.a.open_stream(scene.b.peer_id, "/bulk")
        await stream.send(bytes(2 * PACKET_BYTES))
        await trio.sleep(LINK.latency_s / 2)
        started = trio.current_time()
        assert scene.fabric.reset("b", "a") == 1
        with pytest.raises(PeerUnavailableError):
            await stream.receive_exactly(1)
        with pytest.raises(PeerUnavailableError):
            await stream.send(b"x")
        assert scene.a.connected() == scene.b.connected() == ()
        assert trio.current_time() == started
        assert await ask(await scene.a.open_stream(scene.b.peer_id, PROTOCOL)) == b"x"
        assert scene.fabric.failures == []

    play(claim, seed)


def test_nothing_is_reset_where_no_two_live_nodes_are_connected(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        assert scene.fabric.connected_pairs() == [("a", "b")]
        assert scene.fabric.reset("a", "c") == 0
        scene.b.die(is_silent=True)
        assert scene.fabric.connected_pairs() == []
        assert scene.fabric.reset("a", "b") == 0
        assert scene.a.connected()

    play(claim, seed)


def test_a_paused_machine_answers_nothing_and_has_all_that_came_meanwhile_when_it_goes_on(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        stream = await scene.a.open_stream(scene.b.peer_id, PROTOCOL)
        scene.fabric.pause("b")
        for byte in b"123":
            await stream.send(bytes([byte]))
        await scene.a.publish(TOPIC, b"news")
        await scene.a.publish(TOPIC, b"more")
        with trio.move_on_after(SILENCE_S - 1) as waited:
            await stream.receive_exactly(1)
        assert waited.cancelled_caught
        assert scene.heard == []
        resumed = trio.current_time()
        scene.fabric.resume("b")
        assert await stream.receive_exactly(3) == b"123"
        assert scene.heard == [(resumed, b"news"), (resumed, b"more")]
        assert scene.fired(FaultKind.PAUSE) == 5

    play(claim, seed)


def test_a_machine_that_was_paused_for_long_learns_when_it_goes_on_that_its_peers_have_left(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        scene.fabric.pause("b")
        await trio.sleep(SILENCE_S + 1)
        assert scene.a.connected() == ()
        assert scene.b.connected() != ()
        with pytest.raises(PeerSilentError):
            await scene.a.connect(scene.b.peer_id)
        scene.fabric.resume("b")
        await trio.sleep(0.001)
        assert scene.b.connected() == ()

    play(claim, seed)


def test_a_pause_that_comes_after_another_one_has_a_patience_of_its_own(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        for _ in range(3):
            scene.fabric.pause("b")
            await trio.sleep(0.75 * SILENCE_S)
            scene.fabric.resume("b")
        assert scene.a.connected() != ()
        assert scene.b.connected() != ()

    play(claim, seed)


def test_lost_packets_cost_time_and_never_order(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        data = bytes(range(200)) * 3
        stream = await scene.a.open_stream(scene.b.peer_id, PROTOCOL)
        started = trio.current_time()
        assert await echo_long(stream, data) == data
        without = trio.current_time() - started
        assert scene.fired(FaultKind.LOSS) == 0
        change(scene, lambda link: replace(link, loss=LOSS_MAX))
        started = trio.current_time()
        assert await echo_long(stream, data) == data
        assert scene.fired(FaultKind.LOSS) > 450  # About one a packet, and so more than one of many packets.
        assert trio.current_time() - started > without + 0.2
        scene.fabric.links.heal(["a"])
        assert scene.fabric.links.of(("a", "b")).loss == LOSS_MAX
        scene.fabric.links.heal(["a", "b"])
        started = trio.current_time()
        assert await echo_long(stream, data) == data
        assert trio.current_time() - started == pytest.approx(without)

    play(claim, seed)


def test_a_slow_link_slows_its_pair_and_nobody_else(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        c = scene.new("c", 3)
        await scene.start(c)
        c.learn_addresses(scene.b.peer_id, scene.b.addresses())
        await c.connect(scene.b.peer_id)
        quick = await c.open_stream(scene.b.peer_id, "/bulk")
        slow = await scene.a.open_stream(scene.b.peer_id, "/bulk")
        change(scene, lambda link: replace(link, latency_s=1.0, bytes_per_s=10_000.0))
        started = trio.current_time()
        await slow.send(bytes(PACKET_BYTES))
        await quick.send(bytes(4 * PACKET_BYTES))
        await quick.receive_exactly(1)
        assert trio.current_time() - started < 1
        await slow.send(bytes(3 * PACKET_BYTES))
        await slow.receive_exactly(1)
        assert trio.current_time() - started == pytest.approx(2.0 + 4 * PACKET_BYTES / 10_000, abs=0.5)
        assert scene.fired(FaultKind.SLOW_LINK) >= 4

    play(claim, seed)


def test_a_dial_over_a_link_that_is_too_slow_fails_in_time(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        await scene.a.disconnect(scene.b.peer_id)
        await trio.sleep(1)
        change(scene, lambda link: replace(link, latency_s=3.0))
        started = trio.current_time()
        with pytest.raises(PeerSilentError):
            await scene.a.connect(scene.b.peer_id)
        assert trio.current_time() - started == pytest.approx(5.0)

    play(claim, seed)


MESSAGES = [bytes([number]) for number in range(60)]


async def gossip(scene: Scene) -> list[bytes]:
    """Let a publish all messages and return what b has heard when nothing more comes."""
    for message in MESSAGES:
        await scene.a.publish(TOPIC, message)
        await trio.sleep(0.5)
    await trio.sleep(400)
    return [data for _, data in scene.heard]


def test_gossip_comes_once_and_in_order_when_nothing_is_wrong(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        assert await gossip(scene) == MESSAGES

    play(claim, seed)


def test_late_gossip_is_passed_by_other_messages_and_all_of_it_comes_once(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        change(scene, lambda link: replace(link, reorders=0.3))
        heard = await gossip(scene)
        assert heard != MESSAGES
        assert sorted(heard) == MESSAGES
        assert scene.fired(FaultKind.REORDER) > 3

    play(claim, seed)


def test_gossip_that_comes_again_is_handed_on_again_because_the_network_has_forgotten_it(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        change(scene, lambda link: replace(link, duplicates=0.3))
        heard = await gossip(scene)
        again = [data for data in MESSAGES if heard.count(data) > 1]
        assert set(heard) == set(MESSAGES)
        assert len(again) == scene.fired(FaultKind.DUPLICATE) > 3
        for data in again:
            first, second = (moment for moment, each in scene.heard if each == data)
            assert second - first > SEEN_S

    play(claim, seed)

"""The simulated network's own promises: time, cuts, and what the death of a machine looks like to its peers."""

import pytest
import trio

from p2pnode.errors import PeerSilentError, PeerUnavailableError, PortInUseError
from p2pnode.seams import Stream
from testnet.sim.fabric import SILENCE_S
from testnet.sim.network import DIAL_TIMEOUT_S
from testnet.sim.streams import WINDOW_BYTES
from tests.simulation.two_networks import LINK, PROTOCOL, Scene, ask, play


def test_bytes_take_the_links_latency_and_bandwidth(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        stream = await scene.a.open_stream(scene.b.peer_id, PROTOCOL)
        started = trio.current_time()
        await ask(stream)
        assert trio.current_time() - started == pytest.approx(0.2, abs=0.01)
        started = trio.current_time()
        stream = await scene.a.open_stream(scene.b.peer_id, "/bulk")
        await stream.send(bytes(WINDOW_BYTES))
        await stream.receive_exactly(1)
        assert trio.current_time() - started == pytest.approx(0.4 + WINDOW_BYTES / LINK.bytes_per_s, abs=0.01)

    play(claim, seed)


def test_what_meets_a_short_cut_is_held_and_arrives_after_it_in_order(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        stream = await scene.a.open_stream(scene.b.peer_id, PROTOCOL)
        scene.fabric.partition(["a"], ["b"])
        with trio.move_on_after(SILENCE_S / 2) as waited:
            await stream.send(b"1")
            await stream.send(b"2")
            await stream.receive_exactly(1)
        assert waited.cancelled_caught
        scene.fabric.heal()
        await stream.send(b"3")
        assert await stream.receive_exactly(3) == b"123"

    play(claim, seed)


def test_a_connection_that_is_cut_for_long_breaks_on_both_sides_and_can_be_made_again(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        stream = await scene.a.open_stream(scene.b.peer_id, PROTOCOL)
        scene.fabric.partition(["a"], ["b"])
        with pytest.raises(PeerUnavailableError):
            await ask(stream)
        assert trio.current_time() == pytest.approx(SILENCE_S, abs=2)
        assert scene.a.connected() == scene.b.connected() == ()
        with pytest.raises(PeerSilentError):
            await scene.a.connect(scene.b.peer_id)
        scene.fabric.heal()
        assert await ask(await scene.a.open_stream(scene.b.peer_id, PROTOCOL)) == b"x"

    play(claim, seed)


def test_a_one_way_cut_lets_bytes_through_the_other_way_only(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        stream = await scene.a.open_stream(scene.b.peer_id, PROTOCOL)
        scene.fabric.cut_one_way("b", "a")
        before = scene.fabric.trace.count
        with trio.move_on_after(1) as waited:
            await ask(stream)
        assert waited.cancelled_caught
        arrived = [line for line in list(scene.fabric.trace.lines)[before:] if "arrive" in line]
        assert len(arrived) == 1
        assert "a b" in arrived[0]

    play(claim, seed)


def test_a_killed_process_is_noticed_soon_and_its_address_refuses(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        stream = await scene.a.open_stream(scene.b.peer_id, PROTOCOL)
        started = trio.current_time()
        scene.b.die(is_silent=False)
        with pytest.raises(PeerUnavailableError):
            await stream.receive_exactly(1)
        with pytest.raises(PeerUnavailableError):
            await scene.a.connect(scene.b.peer_id)
        assert trio.current_time() - started < 1

    play(claim, seed)


def test_a_machine_without_power_is_noticed_only_by_its_silence(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        stream = await scene.a.open_stream(scene.b.peer_id, PROTOCOL)
        started = trio.current_time()
        scene.b.die(is_silent=True)
        with pytest.raises(PeerUnavailableError):
            await stream.receive_exactly(1)
        assert trio.current_time() - started == pytest.approx(SILENCE_S)
        with pytest.raises(PeerSilentError):
            await scene.a.connect(scene.b.peer_id)
        assert trio.current_time() - started >= SILENCE_S + DIAL_TIMEOUT_S

    play(claim, seed)


def test_a_machine_that_starts_again_knows_nothing_of_old_connections(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        stream = await scene.a.open_stream(scene.b.peer_id, PROTOCOL)
        scene.b.die(is_silent=True)
        await scene.start(scene.new("b", 2))
        started = trio.current_time()
        with pytest.raises(PeerUnavailableError):
            await stream.receive_exactly(1)
        assert trio.current_time() - started < 1
        assert await ask(await scene.a.open_stream(scene.b.peer_id, PROTOCOL)) == b"x"

    play(claim, seed)


def test_an_address_is_taken_by_one_host_only(seed: int) -> None:
    async def claim(scene: Scene) -> None:
        with pytest.raises(PortInUseError):
            await scene.new("c", 2).run(task_status=trio.TASK_STATUS_IGNORED)

    play(claim, seed)


def test_an_exception_in_a_handler_is_noted_and_a_lost_peer_is_not(seed: int) -> None:
    async def fail(stream: Stream) -> None:
        await stream.receive_exactly(1)
        raise LookupError

    async def claim(scene: Scene) -> None:
        scene.b.handle("/fail", fail)
        stream = await scene.a.open_stream(scene.b.peer_id, "/fail")
        await stream.reset()
        await trio.sleep(1)
        assert scene.fabric.failures == []
        stream = await scene.a.open_stream(scene.b.peer_id, "/fail")
        await stream.send(b"x")
        with pytest.raises(PeerUnavailableError):
            await stream.receive_exactly(1)
        (failure,) = scene.fabric.failures
        assert (failure.node, failure.where, type(failure.error)) == ("b", "/fail", LookupError)

    play(claim, seed)

"""The transport in memory behaves as TCP does: order, windows, cuts, resets, machines without power."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from p2pnode.errors import CallerError, PortInUseError
from p2pnode.network.addresses import parse_endpoint
from p2pnode.network.transport import RawStream
from testnet.sim.clock import SimClock, run_in_virtual_time
from testnet.sim.fabric import Fabric, Link
from testnet.sim.memory_stream import PACKET_BYTES, WINDOW_BYTES, MemoryStream
from testnet.sim.memory_transport import BACKLOG, REPEAT_S, Internet, MemoryTransport
from testnet.sim.rng import generator
from testnet.sim.trace import Trace
from wire.ids import PeerId

HOST = "10.0.0.2"
WHERE = parse_endpoint(f"/ip4/{HOST}/tcp/4710")
SOME_BYTES = bytes(range(256)) * 4_000
"""More than the window."""


class World:
    """Two machines, `one` and `other`; `other` listens and keeps what it accepted."""

    def __init__(self, internet: Internet, nursery: trio.Nursery) -> None:
        """Switch both on."""
        self.internet = internet
        self.fabric = internet.fabric
        self.nursery = nursery
        self.one = self.machine("one", "10.0.0.1")
        self.other = self.machine("other", HOST)
        self.accepted: list[RawStream] = []

    def machine(self, name: str, *hosts: str) -> MemoryTransport:
        """Switch a machine on."""
        return self.internet.machine(name=name, peer_id=PeerId(bytes(6) + name.encode().rjust(32, b"\0")), hosts=hosts)

    async def listen(self, machine: MemoryTransport) -> None:
        """Accept streams there from now on."""

        async def accept(stream: RawStream) -> None:
            self.accepted.append(stream)
            await trio.lowlevel.checkpoint()

        listener = await machine.listen([WHERE])
        await self.nursery.start(listener.serve, accept, self.nursery)

    async def two_ends(self) -> tuple[MemoryStream, MemoryStream]:
        """Return the ends of a new stream, the dialler's first."""
        dialled = await self.one.dial(WHERE)
        while not self.accepted:  # noqa: ASYNC110 - the listener's task sets no event
            await trio.sleep(0.01)
        accepted = self.accepted.pop()
        assert isinstance(dialled, MemoryStream)
        assert isinstance(accepted, MemoryStream)
        return dialled, accepted


Story = Callable[[World], Awaitable[None]]


def run(story: Story, seed: int, link: Link | None = None) -> float:
    """Run a story in a new world and return the virtual second at its end."""

    async def main(clock: SimClock) -> float:
        fabric = Fabric(clock=clock, rng=generator(seed, "fabric"), trace=Trace(clock), link=link)
        async with trio.open_nursery() as nursery:
            world = World(Internet(fabric), nursery)
            await world.listen(world.other)
            await story(world)
            nursery.cancel_scope.cancel()
        return clock.current_time()

    return run_in_virtual_time(main, seed=seed)


async def receive_exactly(stream: RawStream, count: int, bytes_max: int = 10_000) -> bytes:
    """Read so many bytes."""
    data = bytearray()
    while len(data) < count:
        part = await stream.receive_some(bytes_max)
        assert 0 < len(part) <= bytes_max
        data += part
    return bytes(data)


@asynccontextmanager
async def sending(stream: RawStream, data: bytes) -> AsyncIterator[None]:
    """Send in the background of a block."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, data)
        yield


def test_bytes_arrive_in_order_through_jitter_loss_and_cuts(seed: int, rng: random.Random) -> None:
    async def story(world: World) -> None:
        dialled, accepted = await world.two_ends()

        async def cut_and_heal() -> None:
            for _ in range(20):
                await trio.sleep(rng.uniform(0, 0.05))
                world.fabric.partition(["one"], ["other"])
                await trio.sleep(rng.uniform(0, 0.2))
                world.fabric.heal()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut_and_heal)
            for source, target in ((dialled, accepted), (accepted, dialled)):
                nursery.start_soon(source.send_all, SOME_BYTES)
                assert await receive_exactly(target, len(SOME_BYTES)) == SOME_BYTES

    run(story, seed, Link(jitter_s=0.1, loss=0.2))


def test_a_reader_that_does_not_read_stops_the_writer_at_the_window(seed: int) -> None:
    async def story(world: World) -> None:
        dialled, accepted = await world.two_ends()
        async with sending(dialled, SOME_BYTES):
            await trio.sleep(10)
            assert WINDOW_BYTES - PACKET_BYTES < accepted.bytes_unread <= WINDOW_BYTES
            assert await receive_exactly(accepted, len(SOME_BYTES)) == SOME_BYTES
        assert accepted.bytes_unread == 0

    run(story, seed)


def test_a_writer_whose_acknowledgements_are_cut_off_stops_too(seed: int) -> None:
    async def story(world: World) -> None:
        dialled, accepted = await world.two_ends()
        world.fabric.cut_one_way("other", "one")
        async with sending(dialled, SOME_BYTES):
            assert await receive_exactly(accepted, WINDOW_BYTES // PACKET_BYTES * PACKET_BYTES)
            with trio.move_on_after(60) as deadline:
                await accepted.receive_some(1)
            assert deadline.cancelled_caught
            world.fabric.heal()
            rest = len(SOME_BYTES) - WINDOW_BYTES // PACKET_BYTES * PACKET_BYTES
            assert await receive_exactly(accepted, rest) == SOME_BYTES[-rest:]

    run(story, seed)


def test_a_cut_holds_bytes_and_the_end_until_it_is_healed(seed: int) -> None:
    async def story(world: World) -> None:
        dialled, accepted = await world.two_ends()
        world.fabric.partition(["one"], ["other"])
        await dialled.send_all(b"held")
        dialled.abort()
        with trio.move_on_after(3600) as deadline:
            await accepted.receive_some(10)
        assert deadline.cancelled_caught
        world.fabric.heal()
        assert await accepted.receive_some(10) == b"held"
        assert await accepted.receive_some(10) == b""
        assert await accepted.receive_some(10) == b""

    run(story, seed)


def test_a_reset_breaks_both_ends_and_what_waits_on_them(seed: int) -> None:
    broken: list[str] = []

    async def story(world: World) -> None:
        dialled, accepted = await world.two_ends()

        async def expect_broken(what: str, function: Callable[[], Awaitable[object]]) -> None:
            with pytest.raises(trio.BrokenResourceError):
                await function()
            broken.append(what)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_broken, "reader", lambda: dialled.receive_some(1))
            nursery.start_soon(expect_broken, "writer", lambda: dialled.send_all(SOME_BYTES))
            await trio.sleep(1)
            assert broken == []
            assert world.internet.reset("other", "one") == 1
        await expect_broken("other side", lambda: accepted.receive_some(1))
        assert sorted(broken) == ["other side", "reader", "writer"]
        assert world.internet.streams() == []
        assert world.internet.reset("one", "other") == 0

    run(story, seed)


def test_closing_with_unread_bytes_or_writing_to_a_closed_end_resets(seed: int) -> None:
    async def story(world: World) -> None:
        dialled, accepted = await world.two_ends()
        await dialled.send_all(b"never read")
        await trio.sleep(1)
        accepted.abort()
        with pytest.raises(trio.BrokenResourceError):
            await dialled.receive_some(1)

        dialled, accepted = await world.two_ends()
        accepted.abort()
        assert await dialled.receive_some(1) == b""
        await dialled.send_all(b"nobody is there")
        await trio.sleep(1)
        with pytest.raises(trio.BrokenResourceError):
            await dialled.send_all(b"more")

    run(story, seed)


def test_an_end_that_was_closed_here_raises_also_for_who_waits_on_it(seed: int) -> None:
    async def story(world: World) -> None:
        dialled, _ = await world.two_ends()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect_closed, lambda: dialled.receive_some(1))
            nursery.start_soon(_expect_closed, lambda: dialled.send_all(SOME_BYTES))
            await trio.sleep(1)
            dialled.abort()
            dialled.abort()
        await _expect_closed(lambda: dialled.send_all(b""))

    run(story, seed)


async def _expect_closed(function: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(trio.ClosedResourceError):
        await function()


def test_two_tasks_never_send_or_receive_at_once_on_one_end(seed: int) -> None:
    async def story(world: World) -> None:
        dialled, accepted = await world.two_ends()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dialled.send_all, SOME_BYTES)
            nursery.start_soon(dialled.receive_some, 1)
            await trio.sleep(1)
            with pytest.raises(trio.BusyResourceError):
                await dialled.send_all(b"x")
            with pytest.raises(trio.BusyResourceError):
                await dialled.receive_some(1)
            await accepted.send_all(b"x")
            await receive_exactly(accepted, len(SOME_BYTES))

    run(story, seed)


def test_a_dial_is_refused_where_nobody_listens_and_waits_where_no_machine_is(seed: int) -> None:
    async def story(world: World) -> None:
        with pytest.raises(ConnectionRefusedError):
            await world.other.dial(parse_endpoint("/ip4/10.0.0.1/tcp/4710"))
        with pytest.raises(ConnectionRefusedError):
            await world.one.dial(parse_endpoint(f"/ip4/{HOST}/tcp/4711"))
        with pytest.raises(OSError, match="not resolved"):
            await world.one.dial(parse_endpoint("/dns/example.org/tcp/4710"))
        with trio.move_on_after(3600) as deadline:
            await world.one.dial(parse_endpoint("/ip4/10.9.9.9/tcp/4710"))
        assert deadline.cancelled_caught

    run(story, seed)


def test_a_dial_that_was_given_up_leaves_no_stream_behind(seed: int) -> None:
    async def story(world: World) -> None:
        for give_up_after_s in (0.01, 0.03, 0.05, 0.07):
            with trio.move_on_after(give_up_after_s):
                (await world.one.dial(WHERE)).abort()
            await trio.sleep(5)
        for accepted in world.accepted:
            assert await accepted.receive_some(1) == b""
            accepted.abort()
        assert world.internet.streams() == []

    run(story, seed)


def test_a_dial_over_a_cut_succeeds_once_after_the_heal(seed: int) -> None:
    async def story(world: World) -> None:
        world.fabric.partition(["one"], ["other"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.one.dial, WHERE)
            await trio.sleep(10 * REPEAT_S)
            assert world.accepted == []
            world.fabric.heal()
        await trio.sleep(10 * REPEAT_S)
        assert len(world.accepted) == 1

    run(story, seed)


def test_a_machine_without_power_says_nothing_and_its_successor_resets_the_old_streams(seed: int) -> None:
    async def story(world: World) -> None:
        dialled, accepted = await world.two_ends()
        world.other.power_off()
        accepted.abort()
        await dialled.send_all(b"anybody?")
        for wait in (lambda: dialled.receive_some(1), lambda: world.one.dial(WHERE)):
            with trio.move_on_after(3600) as deadline:
                await wait()
            assert deadline.cancelled_caught
        again = world.machine("other", HOST)
        with trio.move_on_after(60) as deadline:
            await dialled.receive_some(1)
        assert deadline.cancelled_caught, "a machine that has just started does not know whom to tell"
        await dialled.send_all(b"anybody?")
        with pytest.raises(trio.BrokenResourceError):
            await dialled.receive_some(1)
        with pytest.raises(ConnectionRefusedError):
            await world.one.dial(WHERE)
        await world.listen(again)
        await world.one.dial(WHERE)

    run(story, seed)


def test_what_a_machine_sent_before_it_lost_power_is_lost_when_a_cut_held_it(seed: int) -> None:
    async def story(world: World) -> None:
        dialled, accepted = await world.two_ends()
        world.fabric.partition(["one"], ["other"])
        await accepted.send_all(b"from the grave")
        world.other.power_off()
        world.fabric.heal()
        with trio.move_on_after(60) as deadline:
            await dialled.receive_some(100)
        assert deadline.cancelled_caught

    run(story, seed)


def test_listening_twice_or_elsewhere_is_refused_and_closing_frees_the_port(seed: int) -> None:
    async def story(world: World) -> None:
        machine = world.machine("wide", "10.0.0.3", "fd00::3")
        anywhere = [parse_endpoint("/ip4/0.0.0.0/tcp/0"), parse_endpoint("/ip6/::/tcp/0")]
        listener = await machine.listen(anywhere)
        assert [each.text() for each in listener.endpoints] == ["/ip4/0.0.0.0/tcp/4710", "/ip6/::/tcp/4710"]
        assert machine.interface_addresses() == ["10.0.0.3", "fd00::3"]
        with pytest.raises(PortInUseError):
            await machine.listen([parse_endpoint("/ip4/10.0.0.3/tcp/4711"), parse_endpoint("/ip4/10.0.0.3/tcp/4710")])
        await machine.listen([parse_endpoint("/ip4/10.0.0.3/tcp/4711")])
        for text in (f"/ip4/{HOST}/tcp/4710", "/dns/example.org/tcp/1"):
            with pytest.raises(CallerError):
                await machine.listen([parse_endpoint(text)])
        waiting = await world.one.dial(parse_endpoint("/ip6/fd00::3/tcp/4710"))
        assert waiting.remote == ("fd00::3", 4710)
        listener.close()
        assert await waiting.receive_some(1) == b""
        await machine.listen(anywhere)

    run(story, seed)


def test_a_full_backlog_holds_dials_back_and_loses_none(seed: int) -> None:
    dials = BACKLOG + 20

    async def story(world: World) -> None:
        machine = world.machine("busy", "10.0.0.3")
        busy = parse_endpoint("/ip4/10.0.0.3/tcp/4710")
        listener = await machine.listen([busy])
        dialled: list[RawStream] = []

        async def dial() -> None:
            dialled.append(await world.one.dial(busy))

        async with trio.open_nursery() as nursery:
            for _ in range(dials):
                nursery.start_soon(dial)
            await trio.sleep(10)
            assert len(dialled) == BACKLOG
            taken: list[RawStream] = []

            async def accept(stream: RawStream) -> None:
                taken.append(stream)
                await trio.lowlevel.checkpoint()

            await world.nursery.start(listener.serve, accept, world.nursery)
        assert len(dialled) == dials
        await trio.sleep(10)
        assert len(taken) == dials

    run(story, seed)


def test_the_uplink_and_the_latency_of_the_fabric_take_their_time(seed: int) -> None:
    async def story(world: World) -> None:
        dialled, accepted = await world.two_ends()
        started = trio.current_time()
        async with sending(dialled, SOME_BYTES):
            await receive_exactly(accepted, len(SOME_BYTES))
        took = trio.current_time() - started
        assert took >= len(SOME_BYTES) / 1e5 + 0.5
        assert took < len(SOME_BYTES) / 1e5 + 5

    run(story, seed, Link(latency_s=0.5, jitter_s=0, loss=0, bytes_per_s=1e5))

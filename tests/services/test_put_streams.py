"""Claims about streams on their way into the network, simulated: their length, their pauses, and their end."""

from __future__ import annotations

import inspect
import random
from dataclasses import replace

import pytest
import trio

from p2pnode.protocols import manifest
from p2pnode.services import put as put_service
from testnet.sim.injection import Injector
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests.services.simulated import QUICK, get, pair_files, put, simulate, stream
from wire.references import Reference


def test_the_length_decides_n_whether_it_is_told_in_advance_or_not(rng: random.Random) -> None:
    """17 members allow 13 shards, a kilobyte allows ten and 30 of them 14."""

    async def body(world: World, machines: list[Machine]) -> None:
        del world
        for size, n in ((1_000, 10), (30_000, 13)):
            data = rng.randbytes(size)
            assert (await put(machines[0], data)).n == n
            assert (await machines[1].node.put(stream(data), shards=None, size=None)).n == n

    simulate(rng, 17, body)


def test_numbers_of_shards_and_bytes_cannot_change_places() -> None:
    """Both are whole numbers or None: whoever gave them by position could ask for as many shards as there are bytes."""
    parameters = inspect.signature(put_service.Putter.put).parameters.values()
    assert [each.name for each in parameters if each.kind is each.KEYWORD_ONLY] == ["shards", "size", "options"]


def test_manifests_nest_when_a_file_has_more_segments_than_one_can_list(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two entries a manifest instead of thousands: five segments need three levels."""
    monkeypatch.setattr(manifest, "entries_max", lambda n: 2 if n else 0)
    data = rng.randbytes(393_204 * 4 + 7)

    async def body(world: World, machines: list[Machine]) -> None:
        del world
        result = await put(machines[0], data)
        assert (result.segments, result.healthy) == (5, 4)
        assert await get(machines[1], result.id) == data
        assert (await machines[2].node.stat(Reference.parse(result.id))).segments == 5

    simulate(rng, 4, body)


def test_a_source_that_fails_stores_nothing_for_good_and_raises_its_own_error(rng: random.Random) -> None:
    async def failing() -> object:
        yield rng.randbytes(800_000)
        message = "the client went away"
        raise ConnectionError(message)

    async def body(world: World, machines: list[Machine]) -> None:
        del world
        with pytest.raises(ConnectionError, match="went away"):
            await machines[0].node.put(failing(), shards=None, size=None)  # type: ignore[arg-type] # it yields bytes
        await trio.sleep(2 * QUICK.provisional_lease_s)
        assert all(pair_files(machine) == [] for machine in machines)

    simulate(rng, 4, body)


def test_a_slow_upload_does_not_lose_its_beginning(rng: random.Random) -> None:
    """The source pauses for three provisional leases in the middle."""
    data = rng.randbytes(900_000)

    async def slow() -> object:
        yield data[:600_000]
        await trio.sleep(3 * QUICK.provisional_lease_s)
        yield data[600_000:]

    async def body(world: World, machines: list[Machine]) -> None:
        del world
        # With a chosen n: else a source of unknown length is read on before anything is uploaded.
        result = await machines[0].node.put(slow(), shards=4, size=None)  # type: ignore[arg-type] # it yields bytes
        assert result.healthy == 4
        assert await get(machines[2], result.id) == data

    simulate(rng, 4, body)


def test_an_upload_that_begins_slowly_is_extended_once_there_is_something_to_extend(rng: random.Random) -> None:
    """Half of the provisional lease is over before the first disk has finished a write."""
    data = rng.randbytes(500_000)
    short = replace(QUICK, provisional_lease_s=20)

    async def body(world: World, machines: list[Machine]) -> None:
        names = [machine.name for machine in machines]
        inject = Injector(world)
        inject.stall(*names, low_s=14, high_s=14)
        async with trio.open_nursery() as nursery:

            async def write() -> None:
                result = await put(machines[0], data)
                assert await get(machines[2], result.id) == data

            nursery.start_soon(write)
            await trio.sleep(30)  # The number of the lease takes 14 seconds, then the first pairs do.
            await inject.heal(names)

    simulate(rng, 4, body, profile=short)


def test_an_unfinished_file_goes_with_its_provisional_lease(rng: random.Random) -> None:
    """A writer that dies in the middle leaves nothing behind."""

    async def endless() -> object:
        yield rng.randbytes(900_000)
        await trio.sleep_forever()

    async def body(world: World, machines: list[Machine]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(machines[0].call, lambda node: node.put(endless(), shards=4, size=None))
            await world.wait_until(lambda: len(pair_files(machines[1])) == 2)
            nursery.cancel_scope.cancel()
        world.kill(machines[0].name, power=False)
        await trio.sleep(2 * QUICK.provisional_lease_s)
        assert all(pair_files(machine) == [] for machine in machines[1:])

    simulate(rng, 4, body)


def test_segments_in_flight_are_bounded(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source is read no further than the segments that are on their way."""
    taken = 0

    async def counting() -> object:
        nonlocal taken
        for _ in range(10):
            taken += 1
            yield rng.randbytes(393_204)

    async def body(world: World, machines: list[Machine]) -> None:
        for machine in machines[1:]:
            world.kill(machine.name)  # Silent: every upload hangs.
        with trio.move_on_after(2):
            await machines[0].node.put(counting(), shards=4, size=None)  # type: ignore[arg-type] # it yields bytes
        assert taken <= put_service.SEGMENTS_IN_FLIGHT + 3

    del monkeypatch
    simulate(rng, 4, body)

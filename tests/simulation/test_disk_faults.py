"""What a bad disk does to a node: each fault happens as it was asked for, is told to the log, and ends when healed."""

from __future__ import annotations

import errno
import random
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
import trio

from testnet.sim.clock import SimClock, run_in_virtual_time
from testnet.sim.disk_events import DiskEvent, DiskOperation
from testnet.sim.disk_faults import COMMITS, READS, WRITES, DiskFaults
from testnet.sim.faults import FaultKind
from testnet.sim.files import SimFiles
from testnet.sim.injection import Injector
from testnet.sim.offload import POISON, SimOffload
from testnet.sim.rng import generator
from testnet.sim.run import SMALL_BYTES, Run
from testnet.sim.world import World, run_world

MINUTE_S = 60.0


class Disk:
    """A disk whose faults are counted."""

    def __init__(self, rng: random.Random) -> None:
        """Begin with two files and a database."""
        self.fired: Counter[FaultKind] = Counter()
        self.files = SimFiles(faults=DiskFaults(rng, self.fire))
        self.files.make_directory("pairs")
        self.files.write_new("pairs/a", [b"content of a"])
        self.files.sync_directory("pairs")
        self.database = self.files.database("index.db")
        self.database.execute("CREATE TABLE t (x)")

    def fire(self, kind: FaultKind) -> None:
        """Count."""
        self.fired[kind] += 1


@pytest.fixture
def disk(rng: random.Random) -> Disk:
    return Disk(rng)


def calls_of(disk: Disk) -> dict[str, Callable[[], object]]:
    """Return a call of each kind."""
    return {
        "read": lambda: disk.files.read("pairs/a"),
        "write": lambda: disk.files.sync_directory("pairs"),
        "commit": lambda: disk.database.execute("INSERT INTO t VALUES (1)"),
    }


@pytest.mark.parametrize(("kind", "operations"), [("read", READS), ("write", WRITES), ("commit", COMMITS)])
def test_reads_writes_and_commits_fail_apart_and_as_often_as_asked(
    disk: Disk, kind: str, operations: frozenset[DiskOperation]
) -> None:
    disk.files.faults.fail(operations, calls=2)
    calls = calls_of(disk)
    for other in calls.keys() - {kind}:
        calls[other]()
    for _ in range(2):
        with pytest.raises((OSError, sqlite3.OperationalError), match=r"fails|disk I/O error"):
            calls[kind]()
    calls[kind]()
    assert disk.fired == {FaultKind.READ_ERROR if kind == "read" else FaultKind.WRITE_ERROR: 2}
    assert disk.files.heal() is (kind != "read")


def test_with_a_probability_some_calls_fail_until_the_disk_is_healed(disk: Disk) -> None:
    disk.files.faults.fail(READS, probability=0.5)
    failed = 0
    for _ in range(200):
        try:
            disk.files.read("pairs/a")
        except OSError:
            failed += 1
    assert 50 < failed < 150
    disk.files.heal()
    for _ in range(50):
        disk.files.read("pairs/a")


def test_a_full_disk_is_told_to_who_asks_and_fails_who_writes_until_it_is_healed(disk: Disk) -> None:
    disk.files.fill(room_bytes=3)
    assert disk.files.free_bytes() == 3
    with pytest.raises(OSError, match="no space") as caught:
        disk.files.write_new("pairs/b", [b"long"])
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(sqlite3.OperationalError, match="full"):
        disk.database.execute("INSERT INTO t VALUES (?)", (bytes(50_000),))
    assert disk.fired[FaultKind.DISK_FULL] == 3
    after = disk.files.stop()
    assert after.free_bytes() == 0
    after.heal()
    after.write_new("pairs/c", [bytes(1_000)])


def test_a_rotten_file_stays_injured_until_it_is_replaced_and_fires_when_its_byte_is_read(
    disk: Disk, rng: random.Random
) -> None:
    assert disk.files.rot(rng, under=["pairs/"]) == "pairs/a"
    assert disk.files.rot(rng, under=["records/"]) == ""
    assert disk.files.injured == {"pairs/a"}
    assert disk.fired == {}
    data = disk.files.read("pairs/a")
    assert sum((one ^ other).bit_count() for one, other in zip(data, b"content of a", strict=True)) == 1
    assert disk.fired == {FaultKind.BIT_ROT: 1}
    disk.files.write_new("pairs/new", [b"content of a"])
    disk.files.rename("pairs/new", "pairs/a")
    disk.files.sync_directory("pairs")
    assert disk.files.injured == set()
    assert disk.files.crash(rng).injured == set()


def test_a_read_beside_the_rotten_byte_does_not_meet_it(disk: Disk) -> None:
    disk.files.injure("pairs/a", 5, bit=0)
    disk.files.read("pairs/a", count=5)
    disk.files.read("pairs/a", offset=6)
    assert disk.fired == {}
    disk.files.read("pairs/a", offset=5, count=1)
    assert disk.fired == {FaultKind.BIT_ROT: 1}


def test_damage_outlives_a_power_loss(disk: Disk, rng: random.Random) -> None:
    disk.files.rot(rng, under=["pairs/"])
    assert disk.files.crash(rng).injured == {"pairs/a"}


def test_an_open_database_reads_the_rotten_page(disk: Disk) -> None:
    disk.database.execute("INSERT INTO t VALUES (?)", (b"A" * 20,))
    position = disk.files.read("index.db").rindex(b"A" * 20)
    disk.files.injure("index.db", position, bit=1)
    assert disk.database.execute("SELECT x FROM t").fetchall() == [(b"C" + b"A" * 19,)]
    assert disk.fired == {FaultKind.BIT_ROT: 1}
    assert disk.files.injured == {"index.db"}


def test_an_image_is_a_disk_of_its_own(disk: Disk, rng: random.Random) -> None:
    """What the node goes on to do is not on an image that was taken before, nor the other way round."""
    image = disk.files.image(rng)
    disk.database.execute("INSERT INTO t VALUES (1)")
    other = image.database("index.db")
    assert other.execute("SELECT count(*) FROM t").fetchone() == (0,)
    other.execute("INSERT INTO t VALUES (2)")
    disk.database.close()
    assert disk.files.database("index.db").execute("SELECT x FROM t").fetchall() == [(1,)]


@pytest.mark.parametrize("kind", [FaultKind.LOST_WRITE, FaultKind.TORN_WRITE])
def test_a_power_loss_tells_what_it_took(disk: Disk, rng: random.Random, kind: FaultKind) -> None:
    def cut(event: DiskEvent) -> None:
        if event.operation is DiskOperation.FSYNC:
            raise OSError(errno.EIO, "injected")

    seen: list[bool] = []
    while kind not in disk.fired:
        assert len(seen) < 100
        disk.files.hook = cut
        disk.files.make_directory("d")
        with pytest.raises(OSError, match="injected"):
            disk.files.write_new(f"d/{len(seen)}", [b"0123456789"])
        disk.files = disk.files.crash(rng)
        seen.append(True)


def test_what_was_synced_is_no_loss(disk: Disk, rng: random.Random) -> None:
    disk.database.close()
    disk.files.crash(rng)
    assert disk.fired == {}


# ------------------------------------------------------------------------------------------------- offload


def in_virtual_time(claim: Callable[[SimClock, random.Random], Awaitable[None]], seed: int) -> None:
    run_in_virtual_time(lambda clock: claim(clock, generator(seed, "offload")), seed=seed)


def test_a_stalled_disk_holds_up_its_calls_and_no_others(seed: int) -> None:
    async def claim(clock: SimClock, rng: random.Random) -> None:
        fired: list[FaultKind] = []
        files = SimFiles(faults=DiskFaults(rng, fired.append))
        offload = SimOffload(clock, rng, disk=files.faults)
        files.faults.stall(low_s=MINUTE_S, high_s=2 * MINUTE_S)
        await offload.run(len, b"")
        assert trio.current_time() < 1
        await offload.run(files.write_new, "a", [b"x"])
        assert MINUTE_S <= trio.current_time() < 2 * MINUTE_S + 1
        assert fired == [FaultKind.STALL]
        files.heal()
        healed_at = trio.current_time()
        await offload.run(files.read, "a")
        assert trio.current_time() - healed_at < 1

    in_virtual_time(claim, seed)


def test_a_stalled_write_is_on_the_disk_late_and_told_later_still(seed: int) -> None:
    async def claim(clock: SimClock, rng: random.Random) -> None:
        files = SimFiles()
        offload = SimOffload(clock, rng, disk=files.faults)
        files.faults.stall(low_s=MINUTE_S, high_s=MINUTE_S)
        seen: list[float] = []
        files.hook = lambda _: seen.append(trio.current_time())
        late, later = [], []
        for number in range(40):
            start, count = trio.current_time(), len(seen)
            await offload.run(files.write_new, str(number), [b"x"])
            late.append(seen[count] - start)
            later.append(trio.current_time() - seen[count])
        assert max(late) > MINUTE_S / 2
        assert max(later) > MINUTE_S / 2

    in_virtual_time(claim, seed)


def test_a_buffer_that_a_cancelled_caller_has_back_is_poisoned_before_a_late_call_reads_it(seed: int) -> None:
    async def claim(clock: SimClock, rng: random.Random) -> None:
        offload, read = SimOffload(clock, rng), list[bytes]()

        def work(buffers: list[memoryview]) -> None:
            read.append(bytes(buffers[0]))

        for _ in range(40):
            with trio.move_on_after(0.00005):
                await offload.run(work, [memoryview(bytearray(b"mine"))])
        await trio.sleep(1)
        assert set(read) == {b"mine", bytes([POISON]) * 4}

    in_virtual_time(claim, seed)


def test_the_result_of_a_call_that_nobody_waits_for_is_poisoned(seed: int) -> None:
    async def claim(clock: SimClock, rng: random.Random) -> None:
        offload = SimOffload(clock, rng)
        shared = [bytearray(b"cached") for _ in range(40)]
        for number in range(len(shared)):
            with trio.move_on_after(0.00005):
                await offload.run(shared.__getitem__, number)
        await trio.sleep(1)
        assert {bytes(result) for result in shared} == {b"cached", bytes([POISON]) * 6}

    in_virtual_time(claim, seed)


# ----------------------------------------------------------------------------------------------- in a world


def inject_and_put(seed: int, inject: Callable[[Injector], object]) -> Counter[FaultKind]:
    """Put something on four nodes with a fault on one of them, heal, and demand progress; return what fired."""
    runs: list[Run] = []

    async def main(world: World) -> None:
        run = Run(world, nodes=4)
        runs.append(run)
        await run.start()
        await run.put("n0")
        inject(run.inject)
        for _ in range(3):
            await run.try_put("n1", SMALL_BYTES)
            for name in ("n2", "n3"):  # Whoever holds a pair reads that one first.
                for stored in run.shelf if run.machine(name).is_running else ():
                    await run.try_get(name, stored)
        await run.heal()
        await run.demand_progress()

    run_world(seed, main)
    return runs[0].log.fired


INJECTIONS: dict[FaultKind, Callable[[Injector], object]] = {
    FaultKind.STALL: lambda inject: inject.stall("n3"),
    FaultKind.READ_ERROR: lambda inject: inject.read_errors("n3", calls=2),
    FaultKind.WRITE_ERROR: lambda inject: inject.write_errors("n3", calls=1),
    FaultKind.DISK_FULL: lambda inject: inject.disk_full("n3"),
    FaultKind.BIT_ROT: lambda inject: [inject.bit_rot("n3", under=["pairs/"]) for _ in range(8)],
    FaultKind.POWER_LOSS: lambda inject: inject.power_loss_within("n3", moments=9),
}


@pytest.mark.parametrize("kind", INJECTIONS)
def test_a_disk_fault_of_one_node_is_met_and_survived(seed: int, kind: FaultKind) -> None:
    assert inject_and_put(seed, INJECTIONS[kind])[kind] > 0


def test_a_failing_commit_is_met_and_survived(seed: int) -> None:
    assert inject_and_put(seed, lambda inject: inject.commit_errors("n3", calls=1))[FaultKind.WRITE_ERROR] > 0


def test_past_the_bound_no_disk_fault_is_injected(seed: int) -> None:
    async def main(world: World) -> None:
        await world.start_node("n0")
        inject = Injector(world)
        for each in INJECTIONS.values():
            each(inject)
        inject.commit_errors("n0")
        assert world.log.injected == 0
        assert world.machines["n0"].files.hook is None
        assert world.machines["n0"].files.injured == set()

    run_world(seed, main, injections_max=0)

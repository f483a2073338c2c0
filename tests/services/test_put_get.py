"""Claims about put and get on whole nodes, simulated: what is stored comes back, whatever f holders do."""

from __future__ import annotations

import errno
import random

import pytest
import trio

from p2pnode.errors import CallerError, HoldersSilentError, NotFoundError, TooFewHoldersError, TooFewPairsError
from p2pnode.node import Node
from p2pnode.protocols.certificates import make_certificate
from p2pnode.protocols.leases import LeaseTerms, blob_page, make_blob_lease
from p2pnode.protocols.receipts import make_batch, shard_set
from testnet.sim.disk_events import DiskEvent, DiskOperation
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests.factories import key, owner_key
from tests.services.simulated import QUICK, get, pair_files, put, simulate, stream
from wire import limits
from wire.ids import BlobId, ShardIndex
from wire.records import HolderReceipts, LeaseKind
from wire.references import Reference, ReferenceKind


def flip_a_bit(machine: Machine, rng: random.Random) -> None:
    """Damage one bit in the header of every pair file on a machine's disk, so that both slivers are lost."""
    for name in pair_files(machine):
        data = bytearray(machine.files.read(name))
        data[rng.randrange(200)] ^= 1 << rng.randrange(8)
        machine.files.damage(name, bytes(data))


@pytest.mark.parametrize("size", [0, 1, 1000, 393_204, 393_205, 900_000])
def test_what_is_put_is_got_whether_it_is_a_blob_or_a_file(rng: random.Random, size: int) -> None:
    data = rng.randbytes(size)

    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[1], data)
        assert (result.size, result.n, result.healthy) == (size, 4, 4)
        assert result.kind == ("blob" if size <= 393_204 else "file")
        assert result.segments == max(1, -(-size // 393_204))
        assert await get(machines[2], result.id) == data
        status = await machines[3].node.stat(Reference.parse(result.id))
        assert (status.certified, status.healthy, status.size) == (True, 4, size)
        assert (status.segments, status.nodes_that_may_fail) == (result.segments, 2)
        del world

    simulate(rng, 4, body)


def test_a_source_of_unknown_length_is_stored_like_any_other(rng: random.Random) -> None:
    data = rng.randbytes(500_000)

    async def body(world: World, machines: list[Machine]) -> None:
        del world
        result = await machines[0].node.put(stream(data), shards=None, size=None)
        assert await get(machines[3], result.id) == data

    simulate(rng, 4, body)


def test_what_was_put_is_announced_to_everybody(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        for size in (1_000, 500_000):
            result = await put(machines[1], rng.randbytes(size))
            blob_id = Reference.parse(result.id).blob_id

            def have_heard(blob_id: BlobId = blob_id) -> bool:
                nodes = [machine.node for machine in (machines[0], *machines[2:])]
                heard = [node._announcer.heard_from(blob_id) for node in nodes if isinstance(node, Node)]
                return heard == [machines[1].peer_id] * 3

            await world.wait_until(have_heard, timeout_s=30)

    simulate(rng, 4, body)


def test_equal_segments_are_one_blob_under_the_lease_and_read_as_often_as_they_stand(rng: random.Random) -> None:
    data = bytes(393_204 * 3 + 7)

    async def body(world: World, machines: list[Machine]) -> None:
        del world
        result = await put(machines[0], data)
        assert result.segments == 4
        assert await get(machines[1], result.id) == data

    simulate(rng, 4, body)


def test_a_blob_is_read_while_f_disks_are_damaged_and_f_more_nodes_are_gone(rng: random.Random) -> None:
    data = rng.randbytes(20_000)

    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], data)
        for machine in machines[1:4]:
            flip_a_bit(machine, rng)
        for machine in machines[4:7]:
            world.kill(machine.name, power=False)
        assert await get(machines[8], result.id) == data

    simulate(rng, 10, body)


def test_damage_is_never_served_and_too_much_of_it_is_an_error(rng: random.Random) -> None:
    data = rng.randbytes(20_000)

    async def body(world: World, machines: list[Machine]) -> None:
        del world
        result = await put(machines[0], data)
        for machine in machines[1:]:
            flip_a_bit(machine, rng)
        with pytest.raises(TooFewPairsError):
            await get(machines[2], result.id)

    simulate(rng, 4, body)


def test_nodes_that_fall_silent_are_overtaken(rng: random.Random) -> None:
    """Power loss: nobody is told, connections just hang."""
    data = rng.randbytes(20_000)

    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], data)
        for machine in machines[:3]:
            world.kill(machine.name)
        started = trio.current_time()
        assert await get(machines[9], result.id) == data
        assert trio.current_time() - started < 20

    simulate(rng, 10, body)


def test_a_reader_cut_off_from_the_holders_is_told_that_they_are_silent(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5000))
        names = [machine.name for machine in machines]
        world.fabric.partition(names[:3], names[3:])
        with pytest.raises((HoldersSilentError, TooFewPairsError)):
            await get(machines[0], result.id)
        world.fabric.heal()
        await world.wait_until(lambda: all(each.node.info().connected == 9 for each in machines), timeout_s=60)
        assert len(await get(machines[0], result.id)) == 5000

    simulate(rng, 10, body)


def test_seven_of_ten_gone_is_too_few_pairs_at_once(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5000))
        for machine in machines[:7]:
            world.kill(machine.name, power=False)
        started = trio.current_time()
        with pytest.raises(TooFewPairsError, match="3 pairs are left and 4 are needed"):
            await get(machines[8], result.id)
        assert trio.current_time() - started < 5

    simulate(rng, 10, body)


def test_n_minus_f_holders_are_enough_and_the_result_says_how_many(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        for machine in machines[7:]:
            world.kill(machine.name, power=False)
        result = await put(machines[0], b"enough", shards=10)
        assert (result.n, result.healthy) == (10, 7)
        assert await get(machines[1], result.id) == b"enough"

    simulate(rng, 10, body)


def test_one_holder_fewer_is_a_shortage_that_leaves_nothing_for_good(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        for machine in machines[6:]:
            world.kill(machine.name, power=False)
        with pytest.raises(TooFewHoldersError, match="7 shards needed"):
            await put(machines[0], rng.randbytes(1000), shards=10)
        await trio.sleep(2 * QUICK.provisional_lease_s)
        assert all(pair_files(machine) == [] for machine in machines[:6])
        assert all(machine.node.info().used_bytes == machine.files.peek_space_bytes() for machine in machines[:6])

    simulate(rng, 10, body)


def test_a_full_disk_costs_one_shard_and_nothing_else(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        full = machines[2]
        full.files.capacity_bytes -= full.files.free_bytes()
        result = await put(machines[0], rng.randbytes(30_000))
        assert (result.n, result.healthy) == (4, 3)
        assert len(await get(machines[2], result.id)) == 30_000

    simulate(rng, 4, body)


def test_a_spare_takes_the_shard_of_a_holder_that_is_gone(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        world.kill(machines[4].name, power=False)
        for _ in range(5):
            result = await put(machines[0], rng.randbytes(1000), shards=4)
            assert result.healthy == 4

    simulate(rng, 6, body)


def test_more_shards_than_nodes_are_spread_and_the_nodes_that_may_fail_are_counted(rng: random.Random) -> None:
    data = rng.randbytes(3000)

    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], data, shards=10)
        assert (result.n, result.healthy) == (10, 10)
        assert result.nodes_that_may_fail == 3  # Two each: any three nodes leave the 4 that are needed.
        for machine in machines[:2]:
            world.kill(machine.name, power=False)
        assert await get(machines[3], result.id) == data

    simulate(rng, 5, body)


def test_three_members_are_too_few_and_the_message_says_what_to_do(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        with pytest.raises(TooFewHoldersError, match=r"at least 4 are needed .* give --bootstrap an address"):
            await put(machines[0], b"x")

    simulate(rng, 3, body)


@pytest.mark.parametrize("shards", [3, 1001, -1])
def test_a_number_of_shards_that_the_code_does_not_have_is_the_callers_error(rng: random.Random, shards: int) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        with pytest.raises(CallerError, match="4 to 1000"):
            await put(machines[0], b"x", shards=shards)

    simulate(rng, 4, body)


def test_an_unknown_id_is_known_to_nobody(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        unknown = Reference(ReferenceKind.BLOB, BlobId(rng.randbytes(32)))
        with pytest.raises(NotFoundError, match="3 peers do not know it"):
            await get(machines[0], unknown.text())
        with pytest.raises(NotFoundError):
            await machines[0].node.stat(unknown)

    simulate(rng, 4, body)


def test_a_node_whose_disk_fills_up_or_fails_goes_on_and_recovers(rng: random.Random) -> None:
    """Renewing the record, saving the members and announcing all write: none of them may end the node."""

    async def body(world: World, machines: list[Machine]) -> None:
        files = machines[0].files
        result = await put(machines[0], b"before")
        capacity = files.capacity_bytes
        files.capacity_bytes -= files.free_bytes()
        for _ in range(3):
            await put(machines[1], rng.randbytes(100), shards=4)
            await trio.sleep(QUICK.member_record_every_s)
        assert machines[0].is_running
        files.capacity_bytes = capacity
        assert await get(machines[0], result.id) == b"before"
        await world.wait_until(lambda: machines[3].node.info().members == 4)
        after = await put(machines[0], b"after", shards=5)
        assert after.healthy == 5

    simulate(rng, 5, body)


def test_a_reader_whose_own_disk_fails_reads_from_the_others(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        result = await put(machines[0], b"still there", shards=7)

        def fail_reads(event: DiskEvent) -> None:
            if event.operation is DiskOperation.READ and not event.is_done:
                raise OSError(errno.EIO, "injected")

        machines[2].files.hook = fail_reads
        assert await get(machines[2], result.id) == b"still there"
        assert (await machines[2].node.stat(Reference.parse(result.id))).certified

    simulate(rng, 7, body)


def test_a_certificate_that_names_only_strangers_does_not_hide_the_real_holders(rng: random.Random) -> None:
    """Anyone may lease a blob and let keys of its own sign for it, for longer than the honest owner."""
    data = rng.randbytes(5000)

    async def body(world: World, machines: list[Machine]) -> None:
        del world
        result = await put(machines[1], data)
        blob_id = Reference.parse(result.id).blob_id
        node = machines[0].node
        assert isinstance(node, Node)
        context = node._context
        start = context.wall_seconds()
        terms = LeaseTerms(n=4, sequence=1, start=start, end=start + limits.LEASE_SECONDS_MAX)
        network, page = context.network_name, blob_page(blob_id)
        lease = make_blob_lease(owner_key(), blob_id, terms, network=network, kind=LeaseKind.FINAL)
        holders = []
        for shard in map(ShardIndex, range(4)):
            batch = make_batch(key(shard), lease, [(blob_id, shard)], network=network, time=start, sequence=1)
            sets = (shard_set(shard, [0], blob_count=1),)
            holders.append(HolderReceipts(batch=batch.envelope, shard_sets=sets))
        certificate = make_certificate(owner_key(), lease, page, holders, network=network)
        await context.store.certify(certificate, lease)
        assert await get(machines[0], result.id) == data

    simulate(rng, 4, body)

"""Claims about what an owner has in the network: it is listed, renewed, and found again with the key alone."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import trio

from crypto.keys import SigningKey
from p2pnode.config import DAY_S, HOUR_S, TESTNET
from p2pnode.errors import NotFoundError, TooFewHoldersError
from p2pnode.node import Node
from p2pnode.services import catalogue_sync
from p2pnode.services.owner_face import OwnedThing, PutOptions
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests.services.simulated import get, put, simulate
from wire.ids import PublicKey
from wire.references import Reference

BRIEF = replace(TESTNET, provisional_lease_s=120, lease_s=1200)
"""Leases of twenty minutes."""


def node_of(machine: Machine) -> Node:
    node = machine.node
    assert isinstance(node, Node)
    return node


async def things(machine: Machine) -> list[OwnedThing]:
    return await node_of(machine).owned()


async def published(world: World, machine: Machine) -> None:
    """Wait until the network has the list."""
    await world.wait_until(lambda: node_of(machine).ownership.state().is_published, timeout_s=600)


def test_what_was_stored_is_listed_by_name_with_size_lease_and_health(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        one = await put(machines[0], rng.randbytes(1000), options=PutOptions(name="letter.txt"))
        await trio.sleep(2)
        two = await put(machines[0], rng.randbytes(500_000), options=PutOptions(name="film", keep_for_s=90 * DAY_S))
        listed = await things(machines[0])
        assert [(each.name, each.id, each.size, each.healthy, each.n) for each in listed] == [
            ("letter.txt", one.id, 1000, 4, 4),
            ("film", two.id, 500_000, 4, 4),
        ]
        assert [each.state for each in listed] == ["kept", "kept"]
        assert listed[0].wanted_until is None
        assert listed[1].wanted_until == pytest.approx(machines[0].clock.wall() + 90 * DAY_S, abs=60)
        assert [each.lease_end for each in listed] == [one.lease_end, two.lease_end]
        assert await things(machines[1]) == []
        del world

    simulate(rng, 4, body)


def test_the_list_survives_a_restart_of_its_node(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], b"data", options=PutOptions(name="a"))
        before = await things(machines[0])
        world.kill(machines[0].name)
        await world.start_node(machines[0].name)
        assert [each.id for each in await things(machines[0])] == [each.id for each in before]

    simulate(rng, 4, body)


def test_a_new_machine_with_the_owner_key_alone_lists_and_reads_everything(rng: random.Random) -> None:
    data = {"small": rng.randbytes(1000), "large": rng.randbytes(500_000)}

    async def body(world: World, machines: list[Machine]) -> None:
        for name, content in data.items():
            await put(machines[0], content, options=PutOptions(name=name))
        await published(world, machines[0])
        world.kill(machines[0].name)
        new = await start_with_key(world, "new", machines[0].owner)
        await world.wait_until(lambda: node_of(new).ownership.state().things == 2, timeout_s=600)
        listed = await things(new)
        assert {each.name for each in listed} == set(data)
        for each in listed:
            assert await get(new, each.id) == data[each.name]

    simulate(rng, 6, body, minds_own_things=True)


async def start_with_key(world: World, name: str, owner: SigningKey) -> Machine:
    """Start a node with a disk of its own and somebody's owner key."""
    return await world.start_node(name, bootstrap=["n1"], owner=owner)


def test_two_machines_with_one_key_come_to_one_list(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_sync, "ROUND_EVERY_S", 60.0)

    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], b"first", options=PutOptions(name="first"))
        await published(world, machines[0])
        other = await start_with_key(world, "other", machines[0].owner)
        await world.wait_until(lambda: node_of(other).ownership.state().things == 1, timeout_s=600)
        async with trio.open_nursery() as nursery:  # Both publish at a time.
            nursery.start_soon(lambda: put(machines[0], b"second", options=PutOptions(name="second")))
            nursery.start_soon(lambda: put(other, b"third", options=PutOptions(name="third")))

        def have_all() -> bool:
            states = [node_of(each).ownership.state() for each in (machines[0], other)]
            return all(each.things == 3 and each.is_published for each in states)

        await world.wait_until(have_all, timeout_s=HOUR_S)

    simulate(rng, 6, body, minds_own_things=True)


def test_a_daemon_renews_what_its_owner_stored_long_before_the_end(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(500_000))
        for _ in range(3):
            [before] = await things(machines[0])

            def has_renewed(before: OwnedThing = before) -> bool:
                record = node_of(machines[0]).ownership.catalogue.get(Reference.parse(result.id))
                return record is not None and record.lease_end > before.lease_end

            await world.wait_until(has_renewed, timeout_s=BRIEF.lease_s)
            assert machines[0].clock.wall() < before.lease_end - BRIEF.lease_s / 4
        assert len(await get(machines[1], result.id)) == 500_000
        status = await node_of(machines[2]).stat(Reference.parse(result.id))
        assert status.lease_end is not None
        assert status.lease_end > result.lease_end

    simulate(rng, 4, body, profile=BRIEF, minds_own_things=True)


def test_a_thing_that_was_stored_for_a_time_is_not_renewed_beyond_it(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        result = await put(machines[0], b"for 25 minutes", options=PutOptions(keep_for_s=1500))
        wanted_until = machines[0].clock.wall() + 1500
        await trio.sleep(1400)
        record = node_of(machines[0]).ownership.catalogue.get(Reference.parse(result.id))
        assert record is not None
        assert record.lease_end == pytest.approx(wanted_until, abs=60)
        await trio.sleep(200)
        [thing] = await things(machines[0])
        assert thing.state == "ended"

    simulate(rng, 4, body, profile=BRIEF, minds_own_things=True)


def test_anyone_may_add_a_lease_of_their_own_and_then_lists_it(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(500_000))
        renewed = await node_of(machines[2]).renew(Reference.parse(result.id))
        assert (renewed.healthy, renewed.n) == (4, 4)
        [thing] = await things(machines[2])
        assert (thing.id, thing.size, thing.healthy) == (result.id, 500_000, 4)
        del world

    simulate(rng, 4, body)


def test_renewers_stand_in_the_lease_and_in_every_renewal(rng: random.Random) -> None:
    friend = PublicKey(bytes([7]) * 32)

    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], b"ours", options=PutOptions(renewers=(friend,)))
        reference = Reference.parse(result.id)
        await trio.sleep(100)
        await node_of(machines[0]).renew(reference, keep_for_s=40 * DAY_S)
        [thing] = await things(machines[0])
        assert thing.renewers == (friend.hex(),)
        assert thing.wanted_until is not None
        found = await node_of(machines[1])._getter.lookup().find(reference.blob_id)
        assert found.certificate is not None
        assert found.certificate.lease.record.renewers == (friend,)
        assert found.certificate.lease.record.end > result.lease_end - 60
        assert set(found.certificate.lease.record.holders) == {each.peer_id for each in machines}
        del world

    simulate(rng, 4, body)


def test_a_renewal_with_too_few_holders_fails_and_the_earlier_lease_goes_on(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], b"ours")
        for each in machines[2:]:
            world.kill(each.name)
        with pytest.raises(TooFewHoldersError):
            await node_of(machines[0]).renew(Reference.parse(result.id))
        [thing] = await things(machines[0])
        assert thing.lease_end == result.lease_end
        assert await get(machines[0], result.id) == b"ours"

    simulate(rng, 4, body)


def test_what_is_removed_goes_to_the_trash_of_its_holders_and_a_renewal_brings_it_back(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        for size in (1_000, 500_000):
            data = rng.randbytes(size)
            result = await put(machines[0], data)
            reference = Reference.parse(result.id)
            done = await node_of(machines[0]).remove(reference)
            assert (done.holders, done.told) == (4, 4)
            assert await things(machines[0]) == []
            await trio.sleep(150)  # Until its provisional leases have ended, and what nothing keeps was collected.
            assert 0 not in [(await node_of(each).status()).space.trash for each in machines]
            assert reference.blob_id.text() in {each.blob_id for each in await node_of(machines[1]).trash.listed()}
            assert await node_of(machines[1]).trash.restore(reference.blob_id) == 1
            renewed = await node_of(machines[0]).renew(reference)
            assert renewed.healthy == 4
            assert [each.id for each in await things(machines[0])] == [result.id]
            assert [(await node_of(each).status()).space.trash for each in machines] == [0] * 4
            assert await get(machines[1], result.id) == data
            await node_of(machines[0]).remove(reference)
            await trio.sleep(150)
            assert (await node_of(machines[1]).trash.empty()).pairs > 0
            assert await node_of(machines[1]).trash.listed() == []
            await trio.sleep(TESTNET.trash_s)
            assert [await node_of(each)._context.store.held(reference.blob_id) for each in machines] == [None] * 4
            assert [(await node_of(each).status()).space.trash for each in machines] == [0] * 4

    simulate(rng, 4, body)


def test_a_removal_ends_nobody_elses_lease(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        result = await put(machines[0], b"shared")
        reference = Reference.parse(result.id)
        await node_of(machines[1]).renew(reference)
        await node_of(machines[0]).remove(reference)
        await trio.sleep(TESTNET.trash_s + 300)
        assert await get(machines[2], result.id) == b"shared"
        with pytest.raises(NotFoundError):
            await node_of(machines[2]).remove(reference)

    simulate(rng, 4, body)


def test_a_holder_that_was_away_hears_of_a_removal_when_it_is_back(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], b"gone soon")
        world.kill(machines[3].name)
        done = await node_of(machines[0]).remove(Reference.parse(result.id))
        assert (done.holders, done.told) == (4, 3)
        assert (await node_of(machines[0]).status()).stored.untold_removals == 1
        await world.start_node(machines[3].name)
        await world.wait_until(lambda: node_of(machines[0]).ownership.burier.waiting == 0, timeout_s=600)
        await trio.sleep(TESTNET.trash_s + 300)
        blob_id = Reference.parse(result.id).blob_id
        assert await node_of(machines[3])._context.store.held(blob_id) is None

    simulate(rng, 4, body, minds_own_things=True)


def test_a_machine_that_renewed_without_knowing_of_the_removal_ends_its_lease_too(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_sync, "ROUND_EVERY_S", 60.0)

    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], b"ours")
        reference = Reference.parse(result.id)
        await published(world, machines[0])
        other = await start_with_key(world, "other", machines[0].owner)
        await world.wait_until(lambda: node_of(other).ownership.state().things == 1, timeout_s=600)
        await node_of(other).ownership.renewer.renew(reference)
        await node_of(machines[0]).remove(reference)
        await world.wait_until(lambda: node_of(other).ownership.state().things == 0, timeout_s=1800)
        assert await things(other) == []

    simulate(rng, 6, body, minds_own_things=True)

"""Claims about a new owner key: everything moves to it, a crash loses nothing, and the old key does no harm."""

from __future__ import annotations

import random

import pytest
import trio

from crypto.keys import SEED_BYTES, SigningKey
from p2pnode.config import HOUR_S
from p2pnode.errors import PeerRefusedError
from p2pnode.protocols.renewal import make_tombstone
from p2pnode.protocols.successions import make_succession
from p2pnode.services import catalogue_sync, herald
from p2pnode.services.herald import OwnerReplacedError
from p2pnode.services.owner_face import PutOptions
from testnet.sim.machine import Machine
from testnet.sim.world import NETWORK_NAME, World
from tests.services.simulated import get, put, simulate
from tests.services.test_ownership import BRIEF, node_of, published, things
from wire.messages import RefusalCode
from wire.ownership import Buried, Bury, GetSuccession, KeepSuccession, SuccessionKept
from wire.references import Reference


def key(rng: random.Random) -> SigningKey:
    return SigningKey(rng.randbytes(SEED_BYTES))


async def rotated(world: World, machine: Machine, successor: SigningKey) -> None:
    """Stop a node, rotate its owner key, and start it again."""
    world.kill(machine.name)
    machine.rotate_owner(successor, network=NETWORK_NAME)
    await world.start_node(machine.name)


async def is_let_go(machine: Machine, reference: Reference) -> bool:
    """Tell whether nothing of a blob is held by a machine; what is in its trash is not."""
    held = await node_of(machine)._context.store.held(reference.blob_id)
    return held is None or not held.shards


def are_moved(machine: Machine) -> bool:
    """Tell whether every lease is the new key's."""
    records = node_of(machine).ownership.catalogue.records.values()
    return all(each.record.removed_at or each.record.lease_sequence for each in records)


async def moved(world: World, machine: Machine) -> None:
    await world.wait_until(lambda: are_moved(machine), timeout_s=600)
    await published(world, machine)


async def new_machine(world: World, name: str, like: Machine) -> Machine:
    """Start a node with a disk of its own and what a backup has of another one's owner."""
    return await world.start_node(name, bootstrap=["n1"], owner=like.owner, predecessors=like.predecessors)


def test_after_a_rotation_a_new_machine_lists_reads_and_removes_everything_with_the_new_key_alone(
    rng: random.Random,
) -> None:
    data = {"small": rng.randbytes(1000), "large": rng.randbytes(500_000)}
    successor = key(rng)

    async def body(world: World, machines: list[Machine]) -> None:
        stored = {}
        for name, content in data.items():
            stored[name] = await put(machines[0], content, options=PutOptions(name=name))
        await published(world, machines[0])
        await rotated(world, machines[0], successor)
        assert {each.name for each in await things(machines[0])} == set(data)
        await moved(world, machines[0])
        world.kill(machines[0].name)
        new = await world.start_node("new", bootstrap=["n1"], owner=successor)  # Not even its predecessors.
        await world.wait_until(lambda: node_of(new).ownership.state().things == 2, timeout_s=600)
        for each in await things(new):
            assert await get(new, each.id) == data[each.name]
        small = Reference.parse(stored["small"].id)
        await node_of(new).remove(small)
        await trio.sleep(200)
        for machine in machines[1:]:
            assert await is_let_go(machine, small), "the old key's lease ended too"
        assert await get(new, stored["large"].id) == data["large"]

    simulate(rng, 6, body, minds_own_things=True)


def test_leases_of_the_old_key_are_renewed_under_the_new_one_before_they_end(rng: random.Random) -> None:
    successor = key(rng)

    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], b"ours")
        await rotated(world, machines[0], successor)
        await moved(world, machines[0])
        found = await node_of(machines[1])._getter.lookup().find(Reference.parse(result.id).blob_id)
        assert found.certificate is not None
        assert found.certificate.lease.signer == successor.public
        await trio.sleep(1.2 * BRIEF.lease_s)
        assert await get(machines[1], result.id) == b"ours"

    simulate(rng, 4, body, profile=BRIEF, minds_own_things=True)


@pytest.mark.parametrize("after_s", [2.0, 12.0])
def test_a_crash_in_the_middle_of_a_rotation_loses_nothing(rng: random.Random, after_s: float) -> None:
    successor = key(rng)

    async def body(world: World, machines: list[Machine]) -> None:
        stored = {(await put(machines[0], rng.randbytes(size))).id for size in (10, 1000, 300_000)}
        gone = await put(machines[0], b"removed")
        world.kill(machines[3].name)
        await node_of(machines[0]).remove(Reference.parse(gone.id))
        await rotated(world, machines[0], successor)
        await trio.sleep(after_s)
        world.kill(machines[0].name)
        await world.start_node(machines[0].name)
        await world.start_node(machines[3].name)
        await moved(world, machines[0])
        assert {each.id for each in await things(machines[0])} == stored
        await world.wait_until(lambda: node_of(machines[0]).ownership.burier.waiting == 0, timeout_s=600)
        await trio.sleep(200)
        assert await is_let_go(machines[3], Reference.parse(gone.id)), "it was told under the new key"

    simulate(rng, 4, body, minds_own_things=True)


def test_a_backup_made_right_after_the_rotation_finds_what_the_old_key_published(rng: random.Random) -> None:
    """The machine is gone before its node has started once with the new key."""
    successor = key(rng)

    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], b"ours", options=PutOptions(name="letter"))
        await published(world, machines[0])
        world.kill(machines[0].name)
        machines[0].rotate_owner(successor, network=NETWORK_NAME)
        new = await new_machine(world, "new", machines[0])
        await world.wait_until(lambda: node_of(new).ownership.state().things == 1, timeout_s=600)
        assert [(each.id, each.name) for each in await things(new)] == [(result.id, "letter")]
        await moved(world, new)
        assert await get(new, result.id) == b"ours"

    simulate(rng, 6, body, minds_own_things=True)


def test_an_old_backup_still_lists_and_reads_and_says_that_its_key_was_replaced(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_sync, "ROUND_EVERY_S", 60.0)
    successor = key(rng)

    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], b"ours", options=PutOptions(name="letter"))
        await published(world, machines[0])
        old = machines[0].owner
        await rotated(world, machines[0], successor)
        await moved(world, machines[0])
        other = await world.start_node("other", bootstrap=["n1"], owner=old)
        await world.wait_until(lambda: node_of(other).ownership.state().things == 1, timeout_s=600)
        [thing] = await things(other)
        assert (thing.id, thing.name, await get(other, thing.id)) == (result.id, "letter", b"ours")
        await world.wait_until(lambda: node_of(other).ownership.state().is_replaced, timeout_s=HOUR_S)
        assert "owner-key-replaced" in {each.kind for each in (await node_of(other).status()).warnings}
        assert "owner-key-replaced" in {each.kind for each in node_of(other).events.after(0)}
        for call in (
            lambda: put(other, b"more"),
            lambda: node_of(other).renew(Reference.parse(result.id)),
            lambda: node_of(other).remove(Reference.parse(result.id)),
        ):
            with pytest.raises(OwnerReplacedError, match="rotate-owner --from"):
                await call()

    simulate(rng, 6, body, minds_own_things=True)


def test_a_second_machine_takes_the_new_key_over_with_what_it_stored_meanwhile(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_sync, "ROUND_EVERY_S", 60.0)
    successor = key(rng)

    async def body(world: World, machines: list[Machine]) -> None:
        one = await put(machines[0], b"one")
        await published(world, machines[0])
        other = await new_machine(world, "other", machines[0])
        await world.wait_until(lambda: node_of(other).ownership.state().things == 1, timeout_s=600)
        await rotated(world, machines[0], successor)
        two = await put(other, b"two")
        await moved(world, machines[0])
        world.kill("other")
        other.owner, other.predecessors = machines[0].owner, machines[0].predecessors
        await world.start_node("other")

        def have_both() -> bool:
            both = (machines[0], other)
            return all(node_of(each).ownership.state().things == 2 and are_moved(each) for each in both)

        await world.wait_until(have_both, timeout_s=HOUR_S)
        for machine in (machines[0], other):
            assert {each.id for each in await things(machine)} == {one.id, two.id}

    simulate(rng, 6, body, minds_own_things=True)


def test_the_old_key_ends_and_renews_nothing_at_those_who_were_told(rng: random.Random) -> None:
    successor, thief = key(rng), key(rng)

    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], b"ours")
        old = machines[0].owner
        await rotated(world, machines[0], successor)
        await moved(world, machines[0])
        wall = int(machines[1].clock.wall())
        record = node_of(machines[0]).ownership.catalogue.get(Reference.parse(result.id))
        assert record is not None
        tombstone = make_tombstone(old, record.target, sequence=10**9, time=wall, network=NETWORK_NAME)
        rival = make_succession(old, thief, time=0, network=NETWORK_NAME)
        peers = node_of(machines[1])._context.peers
        for machine in machines:
            with pytest.raises(PeerRefusedError) as refused:
                await peers.ask(machine.peer_id, "owner", Bury(tombstone=tombstone.envelope), expect=(Buried,))
            assert refused.value.code == RefusalCode.LEASE
            request = KeepSuccession(succession=rival.envelope)
            reply = await peers.ask(machine.peer_id, "owner", request, expect=(SuccessionKept,))
            assert isinstance(reply.message, SuccessionKept)
            assert reply.message.succession == machines[0].predecessors[0].succession.envelope
        await trio.sleep(200)
        assert not await is_let_go(machines[2], Reference.parse(result.id))

    simulate(rng, 4, body, minds_own_things=True)


def test_an_owner_hears_that_somebody_else_was_first_with_its_old_key(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(herald, "TOLD_EVERY_S", 20.0)
    successor, thief = key(rng), key(rng)

    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], b"ours")
        rival = make_succession(machines[0].owner, thief, time=0, network=NETWORK_NAME)
        peers = node_of(machines[1])._context.peers
        request = KeepSuccession(succession=rival.envelope)
        await peers.ask(machines[2].peer_id, "owner", request, expect=(SuccessionKept,))
        await rotated(world, machines[0], successor)
        await trio.sleep(100)
        contested = [each for each in node_of(machines[0]).events.after(0) if each.kind == "owner-key-contested"]
        assert len(contested) == 1
        assert thief.public.hex() in contested[0].message

    simulate(rng, 4, body, minds_own_things=True)


def test_nobody_is_asked_to_keep_what_is_about_nothing_there(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        made = make_succession(key(rng), key(rng), time=0, network=NETWORK_NAME)
        peers = node_of(machines[1])._context.peers
        request = KeepSuccession(succession=made.envelope)
        for message in (request, GetSuccession(owner=made.signer)):
            reply = await peers.ask(machines[2].peer_id, "owner", message, expect=(SuccessionKept,))
            assert reply.message == SuccessionKept(succession=None)

    simulate(rng, 4, body)

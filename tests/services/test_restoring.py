"""Claims about a node whose disk was put back from an old copy of itself, and about asking before the first record."""

from __future__ import annotations

import dataclasses
import random
from types import SimpleNamespace

import pytest
import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.config import PUBLIC, TESTNET
from p2pnode.errors import DiskFullError
from p2pnode.network.requests import Reply
from p2pnode.node import Node
from p2pnode.services.restoring import ASK_TIMEOUT_S, ASKED_MAX, Restoration
from p2pnode.storage.sequences import SEQUENCES_LEFT_BEHIND
from testnet.sim.injection import Injector
from testnet.sim.machine import Machine
from testnet.sim.world import World, run_world
from tests.factories import NETWORK, key, member_record, peer_id, signed, signed_member
from tests.services.simulated import get, pair_files, put, simulate
from wire.ids import PeerId
from wire.messages import OwnRecord

PERIODS_S = 3 * TESTNET.member_record_every_s


def membership_of(machine: Machine) -> object:
    assert isinstance(machine.node, Node)
    return machine.node._membership


def number_of(machine: Machine, other: Machine) -> int:
    """Return the number of the newest record of another node that a node knows."""
    member = membership_of(machine).table.get(other.peer_id)  # type: ignore[attr-defined] # as above
    assert member is not None
    number = member.record.sequence
    assert isinstance(number, int)
    return number


def states(machine: Machine) -> dict[str, str]:
    """Return what a node believes of the others."""
    return {each.peer_id: each.state for each in machine.node.peers()}


def test_a_restored_node_signs_no_number_twice_and_looks_for_what_is_missing(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        inject = Injector(world)
        data = rng.randbytes(4000)
        stored = await put(machines[0], data)
        old = next(machine for machine in machines if pair_files(machine))
        others = [machine for machine in machines if machine is not old]
        image = inject.image(old.name)
        image.damage(pair_files(old)[0], b"not what the index says")
        await trio.sleep(PERIODS_S)
        await put(others[1], rng.randbytes(4000))
        known = max(number_of(other, old) for other in others)
        inject.old_disk(old.name, image)
        await world.restart(old.name)
        await world.all_meet()
        await trio.sleep(PERIODS_S)
        assert all(number_of(other, old) >= known + SEQUENCES_LEFT_BEHIND for other in others)
        assert all(states(other)[peer_id_to_text(old.peer_id)] == "active" for other in others)
        assert [machine for machine in machines if machine.node.info().restored] == [old]
        assert isinstance(old.node, Node)
        assert len(await old.node._store.lost_pairs()) == 1
        assert await get(old, stored.id) == data

    simulate(rng, 5, body)


def test_a_node_that_could_ask_nobody_learns_it_from_the_next_greeting(rng: random.Random) -> None:
    """All others are cut off when it starts: it goes on with old numbers until they tell it."""

    async def body(world: World, machines: list[Machine]) -> None:
        inject = Injector(world)
        old, *others = machines
        image = inject.image(old.name)
        await trio.sleep(100 * TESTNET.member_record_every_s)
        known = max(number_of(other, old) for other in others)
        inject.old_disk(old.name, image)
        inject.partition([old.name], [other.name for other in others])
        await world.restart(old.name)
        assert not old.node.info().restored
        world.fabric.heal()
        await world.all_meet()
        await trio.sleep(PERIODS_S)
        assert old.node.info().restored
        assert all(number_of(other, old) >= known + SEQUENCES_LEFT_BEHIND for other in others)

    simulate(rng, 5, body)


def test_a_node_that_was_only_away_is_not_restored(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        before = number_of(machines[1], machines[0])
        for is_power_lost in (False, True):
            world.kill(machines[0].name, power=is_power_lost)
            await trio.sleep(PERIODS_S)
            await world.restart(machines[0].name)
            await world.all_meet()
            await trio.sleep(PERIODS_S)
            assert not machines[0].node.info().restored
            assert before < number_of(machines[1], machines[0]) < before + SEQUENCES_LEFT_BEHIND

    simulate(rng, 5, body)


async def started_after(world: World, name: str, *bootstrap: str) -> float:
    """Start a node, or start it again; return how long that took."""
    before = world.clock.current_time()
    if name in world.machines:
        await world.restart(name)
    else:
        await world.start_node(name, bootstrap=bootstrap)
    return world.clock.current_time() - before


def test_a_first_node_waits_for_nobody_and_one_whose_peers_are_away_for_a_bounded_time(seed: int) -> None:
    async def scenario(world: World) -> None:
        assert await started_after(world, "n0") < 0.2
        assert await started_after(world, "n1", "n0") < 1.0
        await world.all_meet()
        for name in ("n0", "n1"):
            world.kill(name)
        assert await started_after(world, "n1") <= ASK_TIMEOUT_S + 0.2

    run_world(seed, scenario, profile=TESTNET)


def test_the_nodes_of_a_site_that_start_at_one_moment_do_not_wait_for_each_other(seed: int) -> None:
    async def scenario(world: World) -> None:
        await world.start_nodes(7)
        await trio.sleep(PUBLIC.member_record_every_s)
        for name in list(world.machines):
            world.kill(name, power=False)
        before = world.clock.current_time()
        async with trio.open_nursery() as nursery:
            for name in list(world.machines):
                nursery.start_soon(world.restart, name)
        assert world.clock.current_time() - before < 2.0

    run_world(seed, scenario)


class _Store:
    """The few calls of a store that matter here; it fails once when told to."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.fails = 0

    async def last_sequence(self, _purpose: str) -> int:
        return self.last

    async def leave_sequences_behind(self, seen: int) -> None:
        if self.fails:
            self.fails -= 1
            raise DiskFullError("full")
        self.last = max(self.last, seen) + SEQUENCES_LEFT_BEHIND

    async def next_sequence(self, _purpose: str) -> int:
        self.last += 1
        return self.last


async def restoration(store: _Store) -> Restoration:
    """Return the restoration of node 1 of the test network."""
    context = SimpleNamespace(store=store, own=peer_id(1), network_name=NETWORK, peers=SimpleNamespace())
    made = Restoration(context)  # type: ignore[arg-type] # what it uses here
    await made.prepare()
    return made


async def test_a_record_of_ours_that_we_know_and_those_of_others_restore_nobody() -> None:
    made = await restoration(_Store(7))
    made.saw(signed_member(1, sequence=7))
    made.saw(signed_member(2, sequence=1000))
    assert not made.is_restored
    assert await made.next_number() == 8
    made.saw(signed_member(1, sequence=8))
    assert not made.is_behind


async def test_a_forged_answer_restores_nobody() -> None:
    made = await restoration(_Store(7))
    true = signed_member(1, sequence=50).envelope
    answers = [
        dataclasses.replace(true, signature=signed_member(1, sequence=51).envelope.signature),
        dataclasses.replace(true, body=b""),
        signed(member_record(1), key(1), network="another network").envelope,
        None,
    ]

    async def ask(asked: PeerId, *_: object, **__: object) -> Reply:
        return Reply(OwnRecord(record=answers[asked[-1] % len(answers)] if asked != peer_id(9) else true), b"")

    made._context.peers.ask = ask  # type: ignore[method-assign,assignment] # a fake
    await made.ask([PeerId(bytes(peer_id(1)[:-1]) + bytes([number])) for number in range(4)])
    assert not made.is_restored
    await made.ask([peer_id(9)])
    assert made.is_restored


async def test_the_next_number_is_above_all_that_was_seen_also_when_the_disk_fails_at_first() -> None:
    store = _Store(7)
    made = await restoration(store)
    made.saw(signed_member(1, sequence=50))
    made.saw(signed_member(1, sequence=40))
    store.fails = 1
    with pytest.raises(DiskFullError):
        await made.next_number()
    assert made.is_behind
    assert await made.next_number() == 51 + SEQUENCES_LEFT_BEHIND
    assert made.is_restored
    assert not made.is_behind


def test_no_more_than_five_are_asked(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        asked: list[object] = []
        ask_one = Restoration._ask_one

        async def counting(self: Restoration, target: object, others: trio.CancelScope) -> None:
            asked.append(target)
            await ask_one(self, target, others)  # type: ignore[arg-type] # passed on

        monkeypatch.setattr(Restoration, "_ask_one", counting)
        await trio.sleep(PERIODS_S)  # What it knows is written down by then.
        world.kill(machines[3].name)
        await world.restart(machines[3].name)
        assert len(asked) == ASKED_MAX

    simulate(rng, 9, body)

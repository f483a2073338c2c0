"""Nodes find each other: from one address, without the bootstrap node, after a week, at new addresses. Whole nodes."""

from functools import partial

import pytest
import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.membership.table import MemberTable
from p2pnode.node import Node
from testnet.sim.admission import SIMULATED
from testnet.sim.machine import Machine
from testnet.sim.world import World, run_world

WEEK_S = 7 * 24 * 3600.0
NODES = 8

SETTLED_S = 3 * SIMULATED.member_record_every_s
"""Long enough for every node to have saved whom it knows."""


def connected_peers(machine: Machine) -> set[str]:
    """Return the peer ids that a node is connected with, as its user sees them."""
    return {row.peer_id for row in machine.node.peers() if row.connected}


def addresses_known(machine: Machine, other: Machine) -> tuple[str, ...]:
    """Return the addresses in a peer's newest record, as a node has it."""
    name = peer_id_to_text(other.peer_id)
    return next((row.addresses for row in machine.node.peers() if row.peer_id == name), ())


def move(machine: Machine, address: str) -> None:
    """Give a running machine another address."""
    machine.address = address
    assert machine.life is not None
    machine.life.network.move([address])


async def power_off(world: World, names: list[str]) -> None:
    """Turn machines off and wait until their nodes are gone."""
    for name in names:
        world.kill(name)
    await trio.sleep(60)


def test_a_node_that_knows_one_live_address_finds_everybody(seed: int) -> None:
    async def scenario(world: World) -> None:
        await world.start_node("n0")
        for number in range(1, NODES):  # A chain: nobody knows more than the one before.
            await world.start_node(f"n{number}", bootstrap=[f"n{number - 1}"])
        await world.all_meet()

    run_world(seed, scenario)


def test_newcomers_and_those_that_restart_meet_everybody_when_the_bootstrap_node_is_gone(seed: int) -> None:
    async def scenario(world: World) -> None:
        await world.start_nodes(NODES)
        await trio.sleep(SETTLED_S)
        world.kill("n0")
        await trio.sleep(60)
        await world.start_node("late", bootstrap=["n5"])
        world.kill("n3")
        await world.restart("n3")  # Its settings still name n0 only.
        await world.all_meet()
        assert len(world.running()) == NODES

    run_world(seed, scenario)


@pytest.mark.parametrize("moved", [0, 3], ids=["at-their-places", "three-of-them-moved"])
def test_a_network_that_was_off_for_a_week_meets_again_without_its_bootstrap_node(seed: int, moved: int) -> None:
    async def scenario(world: World) -> None:
        await world.start_nodes(NODES)
        await trio.sleep(SETTLED_S)
        names = sorted(world.machines)
        await power_off(world, names)
        await trio.sleep(WEEK_S)
        for number, name in enumerate(names[1 : 1 + moved]):
            world.machines[name].address = f"/ip4/99.{number}.0.7/tcp/4710"
        async with trio.open_nursery() as nursery:
            for name in names[1:]:
                nursery.start_soon(world.restart, name)
        await world.wait_until(partial(_all_meet, world), timeout_s=60)

    run_world(seed, scenario, seconds_max=2 * WEEK_S)


def _all_meet(world: World) -> bool:
    running = world.running()
    infos = [each.node.info() for each in running]
    return all(min(info.members, info.connected) >= len(running) - 1 for info in infos)


def test_a_node_that_was_away_for_a_week_comes_back_though_its_bootstrap_is_gone_and_half_have_moved(seed: int) -> None:
    async def scenario(world: World) -> None:
        await world.start_nodes(6)
        await trio.sleep(SETTLED_S)
        world.kill("n5")
        world.kill("n0")
        await trio.sleep(3600)
        move(world.machines["n1"], "/ip4/99.1.0.7/tcp/4710")
        move(world.machines["n2"], "/ip4/99.2.0.7/tcp/4710")
        await trio.sleep(3600)
        # A week in which everybody sleeps costs nothing to simulate; the others are back before our node is.
        await power_off(world, ["n1", "n2", "n3", "n4"])
        await trio.sleep(WEEK_S)
        async with trio.open_nursery() as nursery:
            for name in ("n1", "n2", "n4"):  # So that only one is where n5 believes it to be.
                nursery.start_soon(world.restart, name)
        await world.all_meet()
        await world.restart("n5")
        await world.wait_until(partial(_all_meet, world), timeout_s=60)
        assert len(connected_peers(world.machines["n5"])) == 3

    run_world(seed, scenario, seconds_max=2 * WEEK_S)


def test_anchors_and_where_they_were_reached_are_known_again_after_a_restart(seed: int) -> None:
    async def scenario(world: World) -> None:
        await world.start_nodes(5)
        await trio.sleep(SETTLED_S)
        before = _table(world.machines["n4"])
        assert len(before.anchors) == 4
        worked = {peer_id: member.worked for peer_id, member in before.members()}
        assert any(worked.values())
        await power_off(world, sorted(world.machines))
        await world.restart("n4")  # Alone: nobody could tell it anything.
        after = _table(world.machines["n4"])
        assert after.anchors == before.anchors
        assert {peer_id: member.worked for peer_id, member in after.members()} == worked

    run_world(seed, scenario)


def _table(machine: Machine) -> MemberTable:
    assert isinstance(machine.node, Node)
    return machine.node._membership.table


def test_a_node_whose_addresses_change_is_found_at_the_new_one_by_everybody(seed: int) -> None:
    new = "/ip4/99.9.0.7/tcp/4711"

    async def scenario(world: World) -> None:
        machines = await world.start_nodes(NODES)
        moving, others = machines[3], [each for index, each in enumerate(machines) if index != 3]
        move(moving, new)
        await world.wait_until(lambda: all(addresses_known(each, moving) == (new,) for each in others), timeout_s=30)
        await world.wait_until(lambda: len(connected_peers(moving)) == NODES - 1, timeout_s=30)
        # Nobody lives on old connections: once they all are gone, those who lost it dial the new address.
        world.fabric.partition([moving.name], [each.name for each in others])
        await trio.sleep(60)
        assert connected_peers(moving) == set()
        world.fabric.heal()
        await world.wait_until(lambda: len(connected_peers(moving)) == NODES - 1, timeout_s=30)

    run_world(seed, scenario)

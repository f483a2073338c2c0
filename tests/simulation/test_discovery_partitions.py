"""A network that was cut comes together again within 30 s, however and for however long it was cut. Whole nodes."""

from dataclasses import replace

import pytest
import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.config import MINUTE_S
from testnet.sim.admission import SIMULATED
from testnet.sim.machine import Machine
from testnet.sim.world import World, run_world

NODES = 20
RESTORED_WITHIN_S = 30.0

HURRIED = replace(
    SIMULATED,
    name="hurried",
    member_record_every_s=MINUTE_S,
    member_stale_after_s=2 * MINUTE_S,
    suspect_after_s=MINUTE_S,
    offline_after_s=150,
    short_grace_s=4 * MINUTE_S,
    long_grace_s=15 * MINUTE_S,
)
"""The public profile with graces that are 96 times as short, so that two days of it are half an hour."""

TWO_DAYS_S = 2 * HURRIED.long_grace_s


def connected_peers(machine: Machine) -> set[str]:
    """Return the peer ids that a node is connected with, as its user sees them."""
    return {row.peer_id for row in machine.node.peers() if row.connected}


def missing_pairs(machines: list[Machine]) -> list[tuple[str, str]]:
    """Return who should be connected and is not."""
    ids = {machine.name: peer_id_to_text(machine.peer_id) for machine in machines}
    found = {machine.name: connected_peers(machine) for machine in machines}
    return [(one, other) for one in ids for other in ids if one != other and ids[other] not in found[one]]


async def restored(world: World, machines: list[Machine]) -> None:
    """Wait until everybody is connected with everybody. Raises `TooSlowError` after RESTORED_WITHIN_S."""
    await world.wait_until(lambda: not missing_pairs(machines), timeout_s=RESTORED_WITHIN_S)


def halves(world: World) -> tuple[list[str], list[str]]:
    """Return two random groups of all machines, the first with three to ten of them."""
    names = sorted(world.machines)
    one = world.rng.sample(names, world.rng.randint(3, NODES // 2))
    return one, [name for name in names if name not in one]


@pytest.mark.parametrize("repeat", range(2))
def test_every_pair_talks_again_within_30_s_of_a_partition_of_minutes(seed: int, repeat: int) -> None:
    async def scenario(world: World) -> None:
        machines = await world.start_nodes(NODES)
        await trio.sleep(2 * SIMULATED.member_record_every_s)
        for _ in range(3):
            one, other = halves(world)
            world.fabric.partition(one, other)
            await trio.sleep(world.rng.uniform(1, 8) * MINUTE_S)
            assert missing_pairs(machines)
            world.fabric.heal()
            await restored(world, machines)

    run_world(seed + repeat, scenario)


def test_every_pair_talks_again_within_30_s_of_a_partition_of_two_days(seed: int) -> None:
    async def scenario(world: World) -> None:
        machines = await world.start_nodes(NODES)
        await trio.sleep(2 * HURRIED.member_record_every_s)
        one, other = halves(world)
        world.fabric.partition(one, other)
        await trio.sleep(TWO_DAYS_S)
        states = {row.state for machine in machines for row in machine.node.peers() if not row.connected}
        assert states == {"lost"}
        world.fabric.heal()
        await restored(world, machines)

    run_world(seed, scenario, profile=HURRIED)


def test_a_node_that_was_alone_for_two_days_is_back_within_30_s(seed: int) -> None:
    async def scenario(world: World) -> None:
        machines = await world.start_nodes(8)  # Nobody else's number matters here.
        await trio.sleep(2 * HURRIED.member_record_every_s)
        world.fabric.partition(["n7"], [machine.name for machine in machines if machine.name != "n7"])
        await trio.sleep(TWO_DAYS_S)
        assert connected_peers(world.machines["n7"]) == set()
        world.fabric.heal()
        await restored(world, machines)

    run_world(seed, scenario, profile=HURRIED)


def test_two_nodes_that_lost_each_other_for_two_days_are_back_within_30_s(seed: int) -> None:
    async def scenario(world: World) -> None:
        machines = await world.start_nodes(2)
        world.fabric.partition(["n0"], ["n1"])
        await trio.sleep(TWO_DAYS_S)
        assert missing_pairs(machines)
        world.fabric.heal()
        await restored(world, machines)

    run_world(seed, scenario, profile=HURRIED)


@pytest.mark.parametrize("repeat", range(2))
def test_every_pair_talks_again_within_30_s_of_cuts_in_one_direction(seed: int, repeat: int) -> None:
    async def scenario(world: World) -> None:
        machines = await world.start_nodes(NODES)
        for _ in range(3):
            names = sorted(world.machines)
            for _ in range(60):
                source, target = world.rng.sample(names, 2)
                world.fabric.cut_one_way(source, target)
            await trio.sleep(world.rng.uniform(0.5, 5) * MINUTE_S)
            assert missing_pairs(machines)
            world.fabric.heal()
            await restored(world, machines)

    run_world(seed + repeat, scenario)

"""The scenario of a thousand nodes, played with few; the deep run has them all."""

from testnet.sim.faults import FaultKind
from testnet.sim.runner import all_scenarios, play
from testnet.sim.world import NEIGHBOURS_ENOUGH, NODES_PER_SEED, World, run_world

NAME = "a-thousand-nodes"
FEW = 16


def test_survivors_read_everything_after_a_third_is_lost_at_random(seed: int) -> None:
    outcome = play(NAME, seed % 2**32, nodes=FEW)
    assert outcome.error is None, outcome.error
    assert outcome.fired[FaultKind.LEFT_FOR_EVER] == FEW // 3
    assert all_scenarios()[NAME].nodes == 1000
    assert all_scenarios()[NAME].is_large


def test_a_network_forms_that_is_too_large_for_everybody_to_be_connected_with_everybody(seed: int) -> None:
    nodes = 2 * NODES_PER_SEED + 8

    async def scenario(world: World) -> None:
        machines = await world.start_nodes(nodes)
        infos = [machine.node.info() for machine in machines]
        assert [info.members for info in infos] == [nodes - 1] * nodes
        assert min(info.connected for info in infos) >= NEIGHBOURS_ENOUGH

    run_world(seed, scenario)

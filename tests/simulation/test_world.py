"""What a world promises to its scenarios."""

import logging

import pytest
import trio

from p2pnode.errors import CallerError
from testnet.sim.clock import WALL_EPOCH_S
from testnet.sim.escapes import EscapeError
from testnet.sim.machine import NodeDiedError, RunningNode
from testnet.sim.world import NodeCodeError, World, run_world


def test_a_traceback_that_a_living_node_logs_fails_the_run_unless_it_is_expected(seed: int) -> None:
    async def scenario(world: World) -> None:
        machine = await world.start_node("n0")

        async def work(_node: RunningNode) -> None:
            try:
                raise LookupError
            except LookupError:
                logging.getLogger("p2pnode.services.put").exception("planted")

        await machine.call(work)

    with pytest.raises(NodeCodeError) as caught:
        run_world(seed, scenario)
    assert isinstance(caught.value.__cause__, LookupError)
    run_world(seed, scenario, expected=(LookupError,))


def test_code_of_a_node_that_reaches_for_the_real_world_fails_the_run(seed: int) -> None:
    async def scenario(world: World) -> None:
        machine = await world.start_node("n0")
        await machine.call(lambda _node: trio.to_thread.run_sync(print))

    with pytest.RaisesGroup(EscapeError, flatten_subgroups=True):
        run_world(seed, scenario)


def test_a_call_raises_what_the_node_raises(seed: int) -> None:
    async def scenario(world: World) -> None:
        machine = await world.start_node("n0")

        async def work(_node: RunningNode) -> None:
            raise CallerError

        with pytest.raises(CallerError):
            await machine.call(work)

    run_world(seed, scenario)


@pytest.mark.parametrize("power", [False, True])
def test_a_call_on_a_node_that_is_killed_ends_at_once(seed: int, *, power: bool) -> None:
    async def scenario(world: World) -> None:
        machine = await world.start_node("n0")

        async def work(_node: RunningNode) -> None:
            await trio.sleep(5)
            world.kill("n0", power=power)
            with trio.CancelScope(shield=True):
                await trio.sleep(1)

        with pytest.raises(NodeDiedError):
            await machine.call(work)
        assert not machine.is_running

    run_world(seed, scenario)


def test_a_node_starts_again_with_its_keys_its_disk_and_its_wrong_clock(seed: int) -> None:
    async def scenario(world: World) -> None:
        machine = await world.start_node("n0")
        machine.clock.offset_s = -1000
        before = machine.node.info()
        world.kill("n0")
        await trio.sleep(100)
        assert await world.restart("n0") is machine
        after = machine.node.info()
        assert after.peer_id == before.peer_id
        assert after.uptime_s < 1
        assert machine.clock.wall() < WALL_EPOCH_S

    run_world(seed, scenario)

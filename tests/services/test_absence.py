"""Going away for a while: the others wait, give no new data meanwhile, and rebuild nothing."""

from __future__ import annotations

import random

import pytest
import trio

from p2pnode.errors import CallerError
from p2pnode.node import Node
from p2pnode.services.owner_face import AbsenceState
from testnet.sim.disk_faults import WRITES
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests.services.simulated import get, pair_files, put, simulate
from tests.services.test_repair import SIZE, UNHURRIED, report_of, total


def node_of(machine: Machine) -> Node:
    node = machine.node
    assert isinstance(node, Node)
    return node


def states_of(machines: list[Machine], of: Machine) -> set[str]:
    """Return what the others show of a node."""
    own = node_of(of).info().peer_id
    return {peer.state for each in machines if each is not of for peer in node_of(each).peers() if peer.peer_id == own}


def test_an_announced_absence_beyond_the_long_grace_costs_no_repair(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        data = rng.randbytes(SIZE)
        result = await put(machines[0], data)
        state = await node_of(machines[4]).absence.announce(int(3 * UNHURRIED.long_grace_s))
        assert (state.state, states_of(machines, machines[4])) == ("maintenance", {"maintenance"})
        (warning,) = [each for each in (await node_of(machines[4]).status()).warnings if each.kind == "maintenance"]
        assert "--end" in warning.advice
        world.kill("n4")
        await trio.sleep(2.5 * UNHURRIED.long_grace_s)
        assert not any(report_of(each).pairs_missing for each in machines[:4])
        await world.restart("n4")
        await world.all_meet()
        await trio.sleep(UNHURRIED.long_grace_s)
        assert total(machines).pairs == 0
        assert states_of(machines, machines[4]) == {"active"}, "coming back ends it"
        assert await get(machines[4], result.id) == data

    simulate(rng, 5, body, profile=UNHURRIED, repairs=True)


def test_who_is_about_to_go_gets_no_new_data_until_it_takes_it_back_or_the_time_is_over(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        going, absence = machines[4], node_of(machines[4]).absence
        await absence.announce(30)
        await put(machines[0], rng.randbytes(SIZE), shards=4)
        await put(going, rng.randbytes(SIZE), shards=4)
        assert pair_files(going) == []
        assert await absence.end() == AbsenceState(state="active", until=None)
        assert states_of(machines, going) == {"active"}
        assert await absence.end() == absence.state(), "there is nothing left to take back"
        await absence.announce(30)
        await trio.sleep(60)
        assert absence.state() == AbsenceState(state="active", until=None)
        await put(machines[0], rng.randbytes(SIZE), shards=5)
        assert len(pair_files(going)) == 1
        with pytest.raises(CallerError, match="at most 24 h"):
            await absence.announce(100_000)

    simulate(rng, 5, body)


def test_one_that_stops_says_so_and_gets_nothing_from_then_on(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await node_of(machines[4]).absence.leave()
        assert states_of(machines, machines[4]) == {"maintenance"}
        world.kill("n4")
        await put(machines[0], rng.randbytes(SIZE), shards=4)
        assert pair_files(machines[4]) == []
        await world.restart("n4")
        await world.all_meet()
        await trio.sleep(UNHURRIED.member_record_every_s)
        assert states_of(machines, machines[4]) == {"active"}

    simulate(rng, 5, body)


def test_a_stop_with_a_disk_that_fails_is_no_error(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        machines[3].files.faults.fail(WRITES)
        await node_of(machines[3]).absence.leave()

    simulate(rng, 4, body)

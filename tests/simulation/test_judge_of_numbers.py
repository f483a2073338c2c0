"""The judge of numbers: it objects to a number that is given twice and to a record that makes way for an older one."""

from __future__ import annotations

import pytest

from p2pnode.config import TESTNET
from p2pnode.node import Node
from p2pnode.protocols.members import OwnFacts, make_member_record
from testnet.sim.judges import JudgementError
from testnet.sim.judges.numbers import NumberJudge
from testnet.sim.machine import Machine
from testnet.sim.world import World, run_world
from wire.codec import encode
from wire.ids import PublicKey
from wire.records import MemberRecord
from wire.signed import Signed

NODES = 4


def _record(world: World, machine: Machine, *, sequence: int, free_bytes: int = 0) -> Signed[MemberRecord]:
    return make_member_record(
        machine.identity,
        OwnFacts(
            network="simulated",
            owner=PublicKey(machine.owner.public),
            work=b"",
            domain_tag="",
            software=f"seed {world.seed}",
        ),
        sequence=sequence,
        time=int(machine.clock.wall()),
        addresses=[machine.address],
        capacity_bytes=1 << 30,
        free_bytes=free_bytes,
    )


def _gossip(world: World, machine: Machine, data: bytes) -> None:
    assert machine.life is not None
    for tell in world.fabric.on_publish:
        tell(machine.life.network, "a-network/members", data)


def test_nodes_as_they_ship_give_no_number_twice(seed: int) -> None:
    async def scenario(world: World) -> None:
        judge = NumberJudge(world)
        machines = await world.start_nodes(NODES)
        before = judge.check()
        world.kill("n1")
        await world.restart("n1")
        await world.all_meet()
        assert before >= NODES * (NODES - 1)
        assert judge.check() >= NODES * (NODES - 1) + 1
        del machines

    run_world(seed, scenario, profile=TESTNET)


@pytest.mark.parametrize(
    ("sequence", "free_bytes", "objects"), [(7, 0, False), (8, 1, False), (7, 1, True), (6, 0, True)]
)
def test_a_number_is_used_for_one_record_only_and_never_after_a_higher_one(
    seed: int, sequence: int, free_bytes: int, *, objects: bool
) -> None:
    async def scenario(world: World) -> None:
        machine = await world.start_node("n0")
        judge = NumberJudge(world)
        _gossip(world, machine, encode(_record(world, machine, sequence=7).envelope))
        _gossip(world, machine, encode(_record(world, machine, sequence=sequence, free_bytes=free_bytes).envelope))
        if objects:
            with pytest.raises(JudgementError, match="after it had used number 7"):
                judge.check()
        else:
            assert judge.check() == 2

    run_world(seed, scenario)


def test_what_nobody_can_read_is_blamed_on_who_gossips_it(seed: int) -> None:
    async def scenario(world: World) -> None:
        machine = await world.start_node("n0")
        judge = NumberJudge(world)
        _gossip(world, machine, b"\xc1")
        with pytest.raises(JudgementError, match="nobody can read"):
            judge.check()

    run_world(seed, scenario)


def test_a_record_that_makes_way_for_an_older_one_is_found(seed: int) -> None:
    async def scenario(world: World) -> None:
        judge = NumberJudge(world)
        await world.start_nodes(2)
        judge.check()
        node, other = world.machines["n0"].node, world.machines["n1"]
        assert isinstance(node, Node)
        member = node._membership.table.get(other.peer_id)
        assert member is not None
        member.signed = _record(world, other, sequence=member.record.sequence - 1)
        with pytest.raises(JudgementError, match="replaced one with number"):
            judge.check()

    run_world(seed, scenario)

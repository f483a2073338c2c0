"""A peer that keeps half of each sliver: each of its bluffs is met by an honest auditor, and called by its name."""

import pytest

from p2pnode.node import Node
from p2pnode.reputation.score import NEW
from testnet.sim.habits.half_slivers import Bluff, HalfSlivers
from testnet.sim.habits.relayed_questions import RelayedQuestions
from testnet.sim.machine import RunningNode
from testnet.sim.world import World, run_world
from tests.simulation.habit_lab import BAD, NODES, put, start

QUESTIONS = 8
"""Of n = 7 symbols four are asked for: one challenge in thirty-five is about kept ones only."""


@pytest.mark.parametrize(("bluff", "verdict"), [("silent", "timeout"), ("busy", "busy"), ("false", "wrong")])
def test_half_slivers_are_found_whatever_the_bluff(seed: int, bluff: str, verdict: str) -> None:
    async def scenario(world: World) -> None:
        bad = await start(world, HalfSlivers(Bluff(bluff)))
        for name in (f"n{number}" for number in range(NODES)):
            await put(world, name, shards=NODES)

        async def audits(node: RunningNode) -> list[str]:
            assert isinstance(node, Node)
            return [(await node.audit(bad.peer_id)).verdict for _ in range(QUESTIONS)]

        found = await world.machines["n0"].call(audits)
        assert verdict in found
        assert set(found) <= {verdict, "timeout", "ok"}
        node = world.machines["n0"].node
        assert isinstance(node, Node)
        scored = node._context.scores.of(bad.peer_id).value
        assert scored < NEW.value or bluff == Bluff.BUSY  # By hand one may ask too often: then being busy is no fault.
        assert world.machines[BAD].habit is not None

    run_world(seed, scenario)


def test_who_relays_its_questions_answers_all_of_them_and_reads_more_than_it_dropped(seed: int) -> None:
    """What `docs/THREATS.md` does not claim, with its rate: no audit finds it, and at n = 7 it saves nothing."""

    async def scenario(world: World) -> None:
        habit = RelayedQuestions()
        bad = await start(world, habit)
        await put(world, "n0", shards=NODES)

        async def audits(node: RunningNode) -> list[str]:
            assert isinstance(node, Node)
            return [(await node.audit(bad.peer_id)).verdict for _ in range(QUESTIONS)]

        assert await world.machines["n0"].call(audits) == ["ok"] * QUESTIONS
        assert habit.done["answered a challenge with what others keep"] == QUESTIONS
        assert habit.bytes_read > habit.bytes_dropped

    run_world(seed, scenario)

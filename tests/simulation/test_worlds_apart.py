"""A world that has ended leaves nothing behind: nothing that changes a later one, and nothing that takes memory."""

import gc
import weakref

from testnet.sim.run import Run
from testnet.sim.runner import play
from testnet.sim.world import World, run_world

FIRST, SECOND = "nodes-lost-for-ever", "site-loses-power"

WORLDS = 6
WARM_UP = 2
"""The first worlds fill caches of the interpreter and of libraries."""

OBJECTS_MAX = 300
"""By which the objects of a process may differ between two worlds; a node alone has thousands."""


def test_a_world_is_the_same_whatever_was_played_before_it_in_the_process(seed: int) -> None:
    seed %= 2**32
    first = play(FIRST, seed)
    other = play(SECOND, seed)
    again = play(FIRST, seed)
    assert first.error is other.error is None
    assert (first.trace_hash, first.events) == (again.trace_hash, again.events)
    assert first.trace_hash != other.trace_hash


def test_worlds_that_have_ended_take_no_memory(seed: int) -> None:
    worlds: list[weakref.ref[World]] = []

    async def scenario(world: World) -> None:
        worlds.append(weakref.ref(world))
        run = Run(world, nodes=4)
        await run.start()
        await run.put("n0")
        world.kill("n1")
        await world.restart("n1")

    counts = []
    for _ in range(WORLDS):
        run_world(seed, scenario)
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert [ref() for ref in worlds] == [None] * WORLDS
    assert max(counts[WARM_UP:]) - min(counts[WARM_UP:]) < OBJECTS_MAX, counts

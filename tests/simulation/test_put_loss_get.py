"""A file survives the loss of any three of ten nodes, and a put the death of anybody at any of its moments."""

from __future__ import annotations

import itertools

import pytest

from p2pnode.errors import ShortageError
from testnet.sim.disk_events import DiskEvent
from testnet.sim.machine import NodeDiedError
from testnet.sim.run import ONE_SEGMENT_BYTES, SEVERAL_SEGMENTS_BYTES, SMALL_BYTES, Run
from testnet.sim.world import World, run_world
from wire.references import Reference

NODES = 10
LOST = 3


@pytest.mark.parametrize(
    ("lost", "size"),
    [
        pytest.param(("n3", "n5", "n8"), ONE_SEGMENT_BYTES, id="the-writer-is-lost"),
        pytest.param(("n0", "n4", "n7"), ONE_SEGMENT_BYTES, id="the-bootstrap-is-lost"),
        pytest.param(("n0", "n3", "n9"), SEVERAL_SEGMENTS_BYTES, id="both-are-lost-and-the-file-has-segments"),
        pytest.param(("n1", "n2", "n6"), 0, id="an-empty-file"),
        pytest.param(("n1", "n2", "n3"), 1, id="one-byte"),
    ],
)
@pytest.mark.parametrize("power", [False, True], ids=["killed", "without-power"])
def test_what_was_put_is_read_after_three_nodes_are_lost(
    seed: int, lost: tuple[str, ...], size: int, *, power: bool
) -> None:
    async def scenario(world: World) -> None:
        run = Run(world, nodes=NODES)
        await run.start()
        result = await run.put("n3", size)
        assert (result.size, result.n, result.nodes_that_may_fail >= LOST) == (size, NODES, True)
        for name in lost:
            world.kill(name, power=power)
        await run.get(run.rng.choice(run.running()), run.shelf[0])
        run.check()
        assert run.checked["promises-kept"] >= NODES - LOST

    run_world(seed, scenario)


def test_any_three_of_ten_nodes_may_be_cut_off(seed: int) -> None:
    async def scenario(world: World) -> None:
        run = Run(world, nodes=NODES)
        await run.start()
        await run.put("n0")
        for lost in itertools.combinations(run.names(), LOST):
            rest = run.others(lost)
            world.fabric.partition(lost, rest)
            await run.must_get(run.rng.choice(rest), run.shelf[0], f"only {lost} are cut off")
            run.mend_wires()

    run_world(seed, scenario)


def test_all_is_as_before_once_the_whole_site_has_its_power_again(seed: int) -> None:
    async def scenario(world: World) -> None:
        run = Run(world, nodes=NODES)
        await run.start()
        result = await run.put("n2", ONE_SEGMENT_BYTES)
        run.inject.power_loss(*run.names())
        await run.heal()
        for name in run.names():
            await run.get(name, run.shelf[0])
        status = await world.machines["n9"].node.stat(Reference.parse(result.id))
        assert (status.healthy, status.reachable, status.certified) == (NODES, NODES, True)

    run_world(seed, scenario)


class KillAt:
    """Kills a machine's power at its k-th disk event from now on."""

    def __init__(self, run: Run, name: str, moment: int) -> None:
        """Count from 0."""
        self._world = run.world
        self._name = name
        self._left = moment
        self.has_fired = False
        run.machine(name).files.hook = self

    def __call__(self, _event: DiskEvent) -> None:
        """Count one event."""
        self._left -= 1
        if self._left < 0 and not self.has_fired:
            self.has_fired = True
            self._world.kill(self._name)


def _kill_at_every_moment_of_a_put(seed: int, *, victim: str, writer: str) -> None:
    """One put for each moment at which the victim's disk does something; the victim dies then and comes back."""

    async def scenario(world: World) -> None:
        run = Run(world, nodes=NODES)
        await run.start()
        for moment in itertools.count():
            kill = KillAt(run, victim, moment)
            try:
                await run.put(writer, SMALL_BYTES)
            except NodeDiedError:
                assert victim == writer
            except ShortageError:
                assert kill.has_fired
            run.machine(victim).files.hook = None
            if not kill.has_fired:
                break
            await run.restart(victim)
            await world.all_meet()
        assert moment > 10, "the put did next to nothing on the victim's disk"
        assert run.bench.promises.promised(victim)
        run.check()
        assert run.checked["promises-kept"] > 0
        for stored in run.shelf:
            await run.must_get("n9", stored, "nobody is down")

    run_world(seed, scenario)


def test_a_holder_killed_at_any_moment_of_a_put_promised_only_what_it_still_holds(seed: int) -> None:
    _kill_at_every_moment_of_a_put(seed, victim="n4", writer="n1")


def test_a_writer_killed_at_any_moment_of_a_put_leaves_nothing_promised_and_not_held(seed: int) -> None:
    _kill_at_every_moment_of_a_put(seed, victim="n1", writer="n1")

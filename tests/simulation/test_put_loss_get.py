"""A file survives the loss of any three of ten nodes: the production code, whole nodes, in virtual time."""

import inspect
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

import p2pnode
from p2pnode.errors import ShortageError
from p2pnode.node import Node
from p2pnode.services.get import Getter
from p2pnode.services.put import Putter
from p2pnode.storage.store import SliverStore
from testnet.sim.disk_events import DiskEvent
from testnet.sim.machine import Machine, NodeDiedError
from testnet.sim.world import World, WorldReport, run_world
from tests.simulation.judge import ReceiptJudge
from tests.simulation.scenarios import (
    LOST,
    NODES,
    ONE_SEGMENT_BYTES,
    SEVERAL_SEGMENTS_BYTES,
    get,
    put,
    put_loss_get,
)
from wire.references import Reference

SMALL_BYTES = 5_000
REPOSITORY = Path(__file__).parents[2]
PROCESS_TIMEOUT_S = 120
"""It takes three seconds on an idle machine."""


def test_the_simulated_node_is_the_class_that_ships(seed: int) -> None:
    package = Path(p2pnode.__file__).parent

    async def scenario(world: World) -> None:
        node = (await world.start_node("n0")).node
        assert type(node) is Node
        parts = [value for value in vars(node).values() if type(value).__module__.startswith("p2pnode")]
        assert {SliverStore, Putter, Getter} <= {type(part) for part in parts}
        for part in [node, *parts]:
            module = sys.modules[type(part).__module__]
            assert getattr(module, type(part).__qualname__) is type(part)
            assert module.__file__ is not None
            assert package in Path(module.__file__).parents
            for name, function in vars(type(part)).items():
                # A replaced method would come from another file.
                code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
                assert code is None or name.startswith("__") or package in Path(code.co_filename).parents

    run_world(seed, scenario)


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
        await world.start_nodes(NODES)
        judge = ReceiptJudge(world)
        data = world.rng.randbytes(size)
        result = await put(world.machines["n3"], data)
        assert (result.size, result.n, result.nodes_that_may_fail >= LOST) == (size, NODES, True)
        for name in lost:
            world.kill(name, power=power)
        assert await get(world.rng.choice(world.running()), result.id) == data
        assert await judge.check_promises() >= NODES - LOST

    run_world(seed, scenario)


def test_any_three_of_ten_nodes_may_be_cut_off(seed: int) -> None:
    async def scenario(world: World) -> None:
        await world.start_nodes(NODES)
        data = world.rng.randbytes(SMALL_BYTES)
        result = await put(world.machines["n0"], data)
        names = sorted(world.machines)
        for lost in itertools.combinations(names, LOST):
            rest = [name for name in names if name not in lost]
            world.fabric.partition(lost, rest)
            assert await get(world.machines[world.rng.choice(rest)], result.id) == data, lost
            world.fabric.heal()

    run_world(seed, scenario)


def test_everything_is_read_after_the_whole_site_lost_its_power(seed: int) -> None:
    async def scenario(world: World) -> None:
        await world.start_nodes(NODES)
        data = world.rng.randbytes(ONE_SEGMENT_BYTES)
        result = await put(world.machines["n2"], data)
        names = sorted(world.machines)
        for name in names:
            world.kill(name)
        for name in names:
            await world.restart(name)
        await world.all_meet()
        for name in names:
            assert await get(world.machines[name], result.id) == data
        status = await world.machines["n9"].node.stat(Reference.parse(result.id))
        assert (status.healthy, status.reachable, status.certified) == (NODES, NODES, True)

    run_world(seed, scenario)


def _trace_hash_in_a_new_process(seed: int) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.scenarios", str(seed)],
        cwd=REPOSITORY,
        # Another order of every set and dictionary of strings than here.
        env={**os.environ, "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=PROCESS_TIMEOUT_S,
    )
    return done.stdout.strip()


def test_the_same_seed_gives_the_same_trace_in_two_processes_and_another_seed_another_one(seed: int) -> None:
    here = run_world(seed, put_loss_get).trace_hash
    assert _trace_hash_in_a_new_process(seed) == here
    assert run_world(seed + 1, put_loss_get).trace_hash != here


class KillAt:
    """Kills a machine's power at its k-th disk event from now on."""

    def __init__(self, world: World, machine: Machine, moment: int) -> None:
        """Count from 0."""
        self._world = world
        self._name = machine.name
        self._left = moment
        self.has_fired = False
        machine.files.hook = self

    def __call__(self, _event: DiskEvent) -> None:
        """Count one event."""
        self._left -= 1
        if self._left < 0 and not self.has_fired:
            self.has_fired = True
            self._world.kill(self._name)


def _kill_at_every_moment_of_a_put(seed: int, *, victim: str, writer: str) -> WorldReport:
    """One put for each moment at which the victim's disk does something; the victim dies then and comes back."""

    async def scenario(world: World) -> None:
        await world.start_nodes(NODES)
        judge = ReceiptJudge(world, watched={victim, "n8"})
        stored: list[tuple[str, bytes]] = []
        for moment in itertools.count():
            data = world.rng.randbytes(SMALL_BYTES)
            kill = KillAt(world, world.machines[victim], moment)
            try:
                stored.append(((await put(world.machines[writer], data)).id, data))
            except NodeDiedError:
                assert victim == writer
            except ShortageError:
                assert kill.has_fired
            world.machines[victim].files.hook = None
            if not kill.has_fired:
                break
            await world.restart(victim)
            await world.all_meet()
        assert moment > 10, "the put did next to nothing on the victim's disk"
        promised = {pair for promise in judge.promises if promise.node == victim for pair in promise.pairs}
        assert await judge.check_promises() > 0
        await judge.check_holds_now(victim, sorted(promised))
        for id_, data in stored:
            assert await get(world.machines["n9"], id_) == data

    return run_world(seed, scenario)


def test_a_holder_killed_at_any_moment_of_a_put_promised_only_what_it_still_holds(seed: int) -> None:
    _kill_at_every_moment_of_a_put(seed, victim="n4", writer="n1")


def test_a_writer_killed_at_any_moment_of_a_put_leaves_nothing_promised_and_not_held(seed: int) -> None:
    _kill_at_every_moment_of_a_put(seed, victim="n1", writer="n1")

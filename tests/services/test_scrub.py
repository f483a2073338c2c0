"""The scrub: it finds damage that nobody has asked for, keeps its place, and does not hurry without need."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import trio

from p2pnode.config import TESTNET
from p2pnode.services import scrub
from p2pnode.services.owner_face import ScrubState
from p2pnode.storage import rescan
from testnet.sim.disk_faults import READS, WRITES
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests.services.simulated import pair_files, put, simulate
from tests.services.test_absence import node_of
from tests.services.test_repair import until_rebuilt

SIZE = 50_000
EVERY_S = 100.0

QUICK = replace(TESTNET, audit_every_s=0, repair_rank_step_s=5, scrub_every_s=EVERY_S)


async def until_walked(machine: Machine, after: int | None = None) -> ScrubState:
    """Wait until a walk has ended since `after`."""
    with trio.fail_after(10 * EVERY_S):
        while (state := node_of(machine).scrub()).walks or state.finished_at in (None, after):  # noqa: ASYNC110
            await trio.sleep(1.0)
    return state


def test_what_has_rotted_is_found_retracted_and_rebuilt_and_the_operator_hears_of_it(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        await put(machines[0], rng.randbytes(SIZE), shards=4)
        bad = next(each for each in machines if pair_files(each))
        (name,) = pair_files(bad)
        first = await until_walked(bad)
        assert (first.pairs, first.lost, node_of(bad)._scrubber.warnings()) == (1, 0, ())
        bad.files.damage(name, b"no pair at all")
        second = await until_walked(bad, after=first.finished_at)
        assert (second.pairs, second.lost) == (1, 1)
        await until_rebuilt(machines, 1)
        assert pair_files(bad) == [name], "it has rebuilt its own pair"
        (warning,) = [each for each in (await node_of(bad).status()).warnings if each.kind == "disk-damage"]
        assert "1 pair damaged or gone" in warning.message
        assert [each.kind for each in node_of(bad).events.after(0)].count("damage") == 1
        third = await until_walked(bad, after=second.finished_at)
        assert (third.pairs, third.lost, node_of(bad)._scrubber.warnings()) == (1, 0, ())

    simulate(rng, 4, body, profile=QUICK, repairs=True)


def test_it_keeps_its_place_over_restarts_and_looks_at_each_pair_once(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescan, "RESCAN_PAIRS_MAX", 1)

    async def body(world: World, machines: list[Machine]) -> None:
        for _ in range(5):
            await put(machines[0], rng.randbytes(SIZE), shards=4)
        held = len(pair_files(machines[1]))
        await trio.sleep(EVERY_S + 1 - trio.current_time() % 1)
        with trio.fail_after(EVERY_S):
            while not 0 < node_of(machines[1]).scrub().pairs < held:  # noqa: ASYNC110
                await trio.sleep(0.1)
        before = node_of(machines[1]).scrub()
        assert before.walks
        assert before.next_at is None
        world.kill("n1")
        await world.restart("n1")
        after = node_of(machines[1]).scrub()
        assert held > after.pairs >= before.pairs
        assert (await until_walked(machines[1])).pairs == held

    simulate(rng, 4, body, profile=replace(QUICK, scrub_bytes_per_s=SIZE // 20))


def test_a_disk_that_fails_is_tried_again(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        await put(machines[0], rng.randbytes(SIZE), shards=4)
        machines[1].files.faults.fail(WRITES, calls=1)
        machines[1].files.faults.fail(READS, calls=0)
        await trio.sleep(EVERY_S + scrub.RETRY_S)
        assert not node_of(machines[1]).scrub().lost

    simulate(rng, 4, body, profile=QUICK)

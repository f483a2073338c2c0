"""Repair: what is lost is rebuilt from its neighbours, by moving about as many bytes as were lost."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import trio

from p2pnode.config import TESTNET
from p2pnode.node import Node
from p2pnode.services.health import HealthView
from p2pnode.services.keep import RECEIPTS
from p2pnode.services.results import RepairReport
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests.services.simulated import QUICK, get, pair_files, put, simulate
from wire.references import Reference

SIZE = 100_000

AUDITED = replace(TESTNET, provisional_lease_s=120)
"""With audits: only then does a receipt outside of a certificate count in what `stat` shows."""

UNHURRIED = replace(QUICK, repair_rank_step_s=10)
"""Without audits, and with time enough for each candidate's turn."""


@dataclass(frozen=True)
class Total:
    """What all running nodes have done together."""

    pairs: int
    rebuilt: int
    moved: int


def report_of(machine: Machine) -> RepairReport:
    node = machine.node
    assert isinstance(node, Node)
    return node.repairs()


def total(machines: Sequence[Machine]) -> Total:
    found = [report_of(machine) for machine in machines if machine.is_running]
    return Total(
        pairs=sum(each.pairs_rebuilt for each in found),
        rebuilt=sum(each.bytes_rebuilt for each in found),
        moved=sum(each.bytes_moved for each in found),
    )


async def until_rebuilt(machines: Sequence[Machine], pairs: int, *, timeout_s: float = 600.0) -> Total:
    """Wait until so many pairs were rebuilt; after a while it must still be no more."""
    with trio.fail_after(timeout_s):
        while total(machines).pairs < pairs:  # noqa: ASYNC110 - counts have no event
            await trio.sleep(1.0)
    await trio.sleep(6 * UNHURRIED.repair_rank_step_s)
    found = total(machines)
    assert found.pairs == pairs
    assert not any(report_of(each).pairs_missing for each in machines if each.is_running)
    return found


async def until_healthy(machine: Machine, text: str, n: int) -> None:
    """Wait until a node counts so many healthy shards."""
    with trio.fail_after(600.0):
        while (await machine.node.stat(Reference.parse(text))).healthy != n:  # noqa: ASYNC110
            await trio.sleep(1.0)


def test_what_a_node_took_with_it_for_ever_is_rebuilt_within_twice_the_long_grace(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        data = rng.randbytes(SIZE)
        result = await put(machines[0], data)
        started = trio.current_time()
        world.kill("n9")
        await until_healthy(machines[0], result.id, 9)
        await until_healthy(machines[0], result.id, 10)
        assert trio.current_time() - started <= 2 * AUDITED.long_grace_s
        assert total(machines).pairs == 1
        assert await get(machines[3], result.id) == data

    simulate(rng, 10, body, profile=AUDITED, repairs=True)


def test_a_rebuilt_pair_moves_about_as_many_bytes_as_it_has(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        data = rng.randbytes(4_000_000)
        result = await put(machines[0], data)
        world.kill("n9")
        found = await until_rebuilt(machines, 4)  # Three segments and their manifest.
        assert found.moved <= 1.1 * found.rebuilt
        assert await get(machines[3], result.id) == data

    simulate(rng, 10, body, profile=UNHURRIED, repairs=True)


def test_three_that_are_lost_at_once_are_rebuilt(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        data = rng.randbytes(1_000_000)
        result = await put(machines[0], data)
        for name in ("n7", "n8", "n9"):
            world.kill(name)
        found = await until_rebuilt(machines, 3)
        assert found.moved <= 1.6 * found.rebuilt
        assert await get(machines[3], result.id) == data

    simulate(rng, 10, body, profile=UNHURRIED, repairs=True)


def test_a_return_within_the_grace_costs_no_repair(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(SIZE))
        world.kill("n9")
        await trio.sleep(UNHURRIED.long_grace_s * 0.8)
        await world.restart("n9")
        await trio.sleep(UNHURRIED.long_grace_s * 2)
        assert total(machines) == Total(0, 0, 0)

    simulate(rng, 10, body, profile=UNHURRIED, repairs=True)


def test_a_node_repairs_its_own_damaged_pair(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        await put(machines[0], rng.randbytes(SIZE))
        (name,) = pair_files(machines[4])
        machines[4].files.damage(name, b"no pair at all")
        node = machines[4].node
        assert isinstance(node, Node)
        await node._store.rescan()
        await until_rebuilt(machines, 1)
        assert report_of(machines[4]).pairs_rebuilt == 1

    simulate(rng, 10, body, profile=UNHURRIED, repairs=True)


def test_spares_that_hold_nothing_of_a_blob_are_told_and_rebuild_it(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(SIZE), shards=7)
        holders = [machine for machine in machines if pair_files(machine)]
        assert len(holders) == 7
        lost = next(each for each in holders if each is not machines[0])
        world.kill(lost.name)
        rest = [each for each in machines if each is not lost]
        await until_rebuilt(rest, 1)
        (newcomer,) = [each for each in rest if report_of(each).pairs_rebuilt]
        assert newcomer not in holders
        assert len(pair_files(newcomer)) == 1

    simulate(rng, 10, body, profile=UNHURRIED, repairs=True)


def test_a_lost_disk_is_made_whole_without_a_command(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        empty = machines[5].files.image(rng)
        data = [rng.randbytes(SIZE) for _ in range(3)]
        results = [await put(machines[0], each) for each in data]
        await trio.sleep(5)
        world.kill("n5")
        machines[5].files.put_back(empty)
        await world.restart("n5")
        await until_rebuilt(machines, 3)
        assert len(pair_files(machines[5])) == 3
        for name in ("n6", "n7", "n8"):
            world.kill(name)
        for result, each in zip(results, data, strict=True):
            assert await get(machines[5], result.id) == each

    simulate(rng, 10, body, profile=UNHURRIED, repairs=True)


def test_a_node_need_not_prove_to_itself_what_it_has_rebuilt(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It audits nobody with success, so it doubts all claims after a while: its own pair is there all the same."""
    monkeypatch.setattr(HealthView, "claim_audited", lambda *_args, **_named: None)

    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(SIZE), shards=7)
        lost = next(each for each in machines[1:] if pair_files(each))
        world.kill(lost.name)
        rest = [each for each in machines if each is not lost]
        with trio.fail_after(600.0):
            while not total(rest).pairs:  # noqa: ASYNC110 - counts have no event
                await trio.sleep(1.0)
        newcomer = next(each for each in rest if report_of(each).pairs_rebuilt)
        await trio.sleep(2.0)
        signed = await newest_number(newcomer)
        for _ in range(12):
            await trio.sleep(AUDITED.audit_every_s)
            assert report_of(newcomer).pairs_missing == 0
        assert await newest_number(newcomer) == signed + 1

    simulate(rng, 8, body, profile=AUDITED, repairs=True)


async def newest_number(machine: Machine) -> int:
    """Return the number with which a node would sign next, and use it up."""
    node = machine.node
    assert isinstance(node, Node)
    return await node._store.take_number(RECEIPTS)


def test_a_repair_that_changes_nothing_is_not_tried_over_and_over(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        tries: list[str] = []
        for machine in machines:
            assert isinstance(machine.node, Node)
            recoverer = machine.node._repairer._recoverer

            async def pretend(*_args: object, name: str = machine.name) -> int:
                tries.append(name)
                return 0

            monkeypatch.setattr(recoverer, "recover", pretend)
        await put(machines[0], rng.randbytes(SIZE))
        world.kill("n9")
        await trio.sleep(UNHURRIED.long_grace_s + 200)
        assert 0 < max(Counter(tries).values()) <= 6, "each wait is twice as long as the one before"
        reports = [report_of(each) for each in machines if each.is_running]
        assert any("still counts as missing" in task.last_failure for report in reports for task in report.tasks)

    simulate(rng, 10, body, profile=UNHURRIED, repairs=True)

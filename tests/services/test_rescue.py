"""Rescue: where too few pairs are left to rebuild one alone, one node reads the blob and makes what is missing."""

from __future__ import annotations

import random

import pytest
import trio

from p2pnode.errors import PeerRefusedError, TooFewPairsError
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests.services.simulated import get, pair_files, put, simulate
from tests.services.test_absence import node_of
from tests.services.test_repair import UNHURRIED, report_of, total
from wire.ids import PeerId
from wire.references import Reference
from wire.repair import TakenOver, TakeOver

SIZE = 50_000
SHARDS = 7
LOST = 4


def test_a_blob_of_which_fewer_than_s_pairs_are_left_is_made_whole_again(rng: random.Random) -> None:
    """Of seven pairs P = 3 give the blob, and S = 5 rebuild a pair: two are made, then two rebuilt."""

    async def body(world: World, machines: list[Machine]) -> None:
        data = rng.randbytes(SIZE)
        result = await put(machines[0], data, shards=SHARDS)
        holders = [each for each in machines if pair_files(each)]
        lost = rng.sample(holders, LOST)
        for each in lost:
            world.kill(each.name)
        left = [each for each in machines if each not in lost]
        with trio.fail_after(600.0):
            while total(left).pairs < LOST:  # noqa: ASYNC110 - counts have no event
                await trio.sleep(1.0)
        await trio.sleep(3 * UNHURRIED.repair_rank_step_s)
        found = total(left)
        assert found.pairs == LOST
        assert not any(report_of(each).pairs_missing for each in left)
        assert found.moved <= 1.1 * (SIZE + found.rebuilt) + 20_000, "the blob moves once, then what was lost"
        for each in [each for each in holders if each not in lost][:2]:
            world.kill(each.name)
        assert await get(next(each for each in left if each.is_running), result.id) == data

    simulate(rng, 11, body, profile=UNHURRIED, repairs=True)


def test_of_several_that_begin_at_one_moment_one_at_most_reads_the_blob(rng: random.Random) -> None:
    """Six of ten pairs are left: four give the blob, and no two fours of six have no holder in common."""

    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(SIZE), shards=10)
        blob_id = Reference.parse(result.id).blob_id
        holders = [each for each in machines if pair_files(each)]
        for each in rng.sample(holders, 4):
            world.kill(each.name, power=False)
        left = [each for each in holders if each.is_running]
        await trio.sleep(UNHURRIED.short_grace_s + 10)
        (page,) = await node_of(left[0])._repairer._health.pages_shared(left[0].peer_id)
        done: list[bool] = []
        reasons: list[str] = []

        async def rescue(machine: Machine) -> None:
            repairer = node_of(machine)._repairer
            view = await repairer._health.survey(page)
            assert view is not None
            try:
                await repairer.rescuer.rescue(view, blob_id)
            except TooFewPairsError as error:
                done.append(False)
                reasons.append(str(error))
            else:
                done.append(True)

        async with trio.open_nursery() as nursery:
            for each in left:
                nursery.start_soon(rescue, each)
        assert sum(done) <= 1
        assert total(left).moved <= sum(done) * 1.1 * (SIZE + total(left).rebuilt) + 40_000
        for _ in range(3):  # Each may have reached some of the holders: then who ranks before the others goes on.
            if not sum(done):
                await trio.sleep(UNHURRIED.repair_rank_step_s)
                for each in left:
                    await rescue(each)
        assert sum(done) >= 1
        assert all("another node is at work on this blob" in each for each in reasons)

    simulate(rng, 14, body, profile=UNHURRIED)


def test_while_symbols_are_to_be_had_nobody_takes_a_pair_that_somebody_claims_to_have_made(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(SIZE), shards=4)
        blob_id = Reference.parse(result.id).blob_id
        pretender, *others = [each for each in machines if pair_files(each)]
        world.kill(others.pop().name)
        await trio.sleep(UNHURRIED.suspect_after_s + 1)
        (page,) = await node_of(pretender)._repairer._health.pages_shared(pretender.peer_id)
        for shard in range(4):
            offer = TakeOver(page=page, blob_ids=(blob_id,), shard=shard)
            for each in others:
                with pytest.raises(PeerRefusedError, match="is not missing here, or to be rebuilt from symbols"):
                    await node_of(pretender)._context.peers.ask(
                        PeerId(each.peer_id), "repair", offer, expect=(TakenOver,)
                    )

    simulate(rng, 5, body, profile=UNHURRIED)

"""Rescue: where too few pairs are left to rebuild one alone, one node reads the blob and makes what is missing."""

from __future__ import annotations

import random

import pytest
import trio

from p2pnode.errors import PeerRefusedError
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

"""Leaving for good: every pair is handed over and proven before one is given up, and nothing is left to repair."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import trio

from p2pnode.config import TESTNET
from p2pnode.errors import CallerError, PeerRefusedError
from p2pnode.membership.notice import Notice
from p2pnode.services.owner_face import DrainState
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests.services.simulated import get, pair_files, put, simulate
from tests.services.test_absence import node_of, states_of
from tests.services.test_repair import report_of, total
from wire.ids import Digest
from wire.references import Reference
from wire.repair import TakenOver, TakeOver

SIZE = 50_000

CALM = replace(TESTNET, audit_every_s=0, repair_rank_step_s=5)
"""Without audits, but for those that a drain makes itself."""


def a_holder(machines: list[Machine]) -> Machine:
    """Return one of these that keeps a pair."""
    return next(each for each in machines if pair_files(each))


async def until_drained(machine: Machine, *, timeout_s: float = 300.0) -> None:
    with trio.fail_after(timeout_s):
        while node_of(machine).drain.state().state != "drained":  # noqa: ASYNC110 - states have no event
            await trio.sleep(1.0)


def test_all_that_a_node_keeps_is_with_others_before_it_goes(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        reader = machines[0]
        data = [rng.randbytes(SIZE) for _ in range(2)]
        results = [await put(reader, each, shards=5) for each in data]
        going = a_holder(machines[1:])
        held = len(pair_files(going))
        await node_of(going).drain.begin()
        assert states_of(machines, going) == {"draining"}
        await until_drained(going)
        assert pair_files(going) == []
        assert node_of(going).drain.state() == DrainState(state="drained", pairs=held, pairs_left=0, waits_for="")
        await trio.sleep(15)  # Until its retractions are known.
        world.kill(going.name)
        await trio.sleep(1.2 * CALM.long_grace_s)
        assert total(machines).pairs == 0, "nothing was left to repair"
        assert not any(report_of(each).pairs_missing for each in machines if each is not going)
        for each, result in zip(data, results, strict=True):
            assert await get(reader, result.id) == each

    simulate(rng, 7, body, profile=CALM, repairs=True)


def test_one_that_was_stopped_in_the_middle_goes_on(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        for _ in range(3):
            await put(machines[0], rng.randbytes(SIZE), shards=4)
        going = a_holder(machines)
        await node_of(going).drain.begin()
        for _ in range(3):
            await trio.sleep(rng.uniform(0.0, 2.0))
            world.kill(going.name)
            await world.restart(going.name)
            assert node_of(going).drain.state().state != "active"
        await until_drained(going)
        assert pair_files(going) == []
        await trio.sleep(30)
        assert not any(report_of(each).pairs_missing for each in machines)

    simulate(rng, 5, body, profile=CALM, repairs=True)


def test_one_that_thinks_again_has_lost_nothing_and_takes_part_anew(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        await put(machines[0], rng.randbytes(SIZE), shards=4)
        going = a_holder(machines)
        before = pair_files(going)
        drain = node_of(going).drain
        await drain.begin()
        assert (await drain.begin()).state == "draining"
        with pytest.raises(CallerError, match="drain --stop"):
            await node_of(going).absence.announce(60)
        (warning,) = drain.warnings()
        assert "are to be handed over" in warning.message
        assert (await drain.stop()).state == "active"
        assert (await drain.stop(), drain.warnings()) == (drain.state(), ())
        assert states_of(machines, going) == {"active"}
        await trio.sleep(60)
        assert pair_files(going) == before

    simulate(rng, 5, body, profile=CALM, repairs=True)


def test_where_nobody_can_take_a_pair_nothing_is_given_up_and_the_reason_is_told(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        await put(machines[0], rng.randbytes(SIZE), shards=4)
        going = a_holder(machines)
        held = pair_files(going)
        for each in machines:
            if each is not going:
                node_of(each).quota.change(1)
        await node_of(going).drain.begin()
        await trio.sleep(60)
        state = node_of(going).drain.state()
        assert (state.state, state.pairs_left) == ("draining", len(held))
        assert "quota" in state.waits_for
        assert pair_files(going) == held

    simulate(rng, 5, body, profile=CALM, repairs=True)


def test_offers_of_one_that_does_not_drain_are_refused(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        result = await put(machines[0], rng.randbytes(SIZE), shards=4)
        pretender, *others = [each for each in machines if pair_files(each)]
        context = node_of(pretender)._context
        blob_id = Reference.parse(result.id).blob_id
        (page,) = await node_of(pretender)._repairer._health.pages_shared(context.own)
        for shard in range(4):
            offer = TakeOver(page=page, blob_ids=(blob_id,), shard=shard)
            for each in others:
                with pytest.raises(PeerRefusedError, match="is not missing here"):
                    await context.peers.ask(each.peer_id, "repair", offer, expect=(TakenOver,))
        await node_of(pretender)._membership.say(Notice(is_draining=True))
        unknown = TakeOver(page=Digest(bytes(32)), blob_ids=(blob_id,), shard=0)
        for each in others:
            with pytest.raises(PeerRefusedError, match="no certificate of this page"):
                await context.peers.ask(each.peer_id, "repair", unknown, expect=(TakenOver,))

    simulate(rng, 5, body, profile=CALM)


def test_an_heir_that_cannot_prove_what_it_took_is_none_and_another_one_takes_it(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        del world
        await put(machines[0], rng.randbytes(SIZE), shards=4)
        going = a_holder(machines)
        (before,) = pair_files(going)
        others = [each for each in machines if each is not going]
        holders = {each.name: set(pair_files(each)) for each in others}
        await node_of(going).drain.begin()
        spoilt: list[Machine] = []
        with trio.fail_after(120.0):
            while node_of(going).drain.state().state != "drained":
                await trio.sleep(0.01)
                for each in others:
                    if not spoilt and before in set(pair_files(each)) - holders[each.name]:
                        each.files.damage(before, b"no pair at all")
                        spoilt.append(each)
        kept = [each for each in others if each not in spoilt and before in pair_files(each)]
        assert len(spoilt) == len(kept) == 1

    simulate(rng, 6, body, profile=CALM)

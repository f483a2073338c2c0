"""Inconsistent blobs between whole nodes: all holders let go of one after their own check, and of nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio

from p2pnode.errors import InconsistentDataError
from p2pnode.network.requests import Reply, Requester
from p2pnode.protocols.inconsistency import Contradiction, check_contradiction
from p2pnode.protocols.refusal import RefusalError
from p2pnode.services.evidence import AUDIT
from p2pnode.services.inconsistency import REST_S
from p2pnode.storage import trash
from testnet.sim.habits.crooked_blobs import CrookedBlob, crooked_blob
from testnet.sim.habits.dishonest_writer import DishonestWriter
from testnet.sim.habits.false_notices import FalseNotices
from testnet.sim.judges.pairs import pair_files, trash_files
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests import factories
from tests.protocols.test_inconsistency import proof_against
from tests.services.simulated import get, put, simulate
from tests.services.test_audit import node_of
from wire.ids import BlobId, PeerId
from wire.inconsistency import InconsistencyHeard, InconsistentBlob, TellInconsistent
from wire.messages import GetRecord
from wire.references import Reference


def holds(machine: Machine, blob_id: BlobId) -> bool:
    """Tell whether a pair of a blob is on a machine's disk, not counting the trash."""
    return any(key.blob_id == blob_id for _, key in pair_files(machine.files))


def has_trashed(machine: Machine, blob_id: BlobId) -> bool:
    """Tell whether a pair of a blob is in the trash of a machine."""
    return any(key.blob_id == blob_id for _, key, _ in trash_files(machine.files))


async def until(is_so: Callable[[], bool], within_s: float = 600.0) -> None:
    """Wait until something is so."""
    with trio.fail_after(within_s):
        while not is_so():  # noqa: ASYNC110 - disks have no event
            await trio.sleep(1.0)


class WritesNoEncoding(DishonestWriter):
    """Writes one blob of which no primary sliver is as it should be, and does nothing else."""

    blob: CrookedBlob

    def _new_blob(self) -> CrookedBlob:
        n = self._n()
        self.blob = crooked_blob(self.rng.randbytes(1_000), n, self.rng, bad_slivers=n)
        return self.blob

    async def _write_crooked_blob(self, requester: Requester) -> None:
        if not self.crooked:
            await super()._write_crooked_blob(requester)

    async def _send_wrong_pairs(self, requester: Requester) -> None:
        """Leave that be."""

    async def _send_bad_leases(self, requester: Requester) -> None:
        """Leave that be."""

    async def _send_clique(self, requester: Requester) -> None:
        """Leave that be."""


async def proven_blob(world: World, machines: list[Machine]) -> BlobId:
    """Let a dishonest writer write a blob, and the first node have the proof of it; it knows of one holder."""
    habit = WritesNoEncoding()
    await world.start_node("writer", bootstrap=[machines[0].name], habit=habit)
    await world.all_meet([*(each.name for each in machines), "writer"])
    await until(lambda: bool(habit.crooked))
    found = proof_against(habit.blob)
    assert all(holds(each, found.blob_id) for each in machines)
    node_of(machines[0])._context.inconsistent.found(found, [machines[1].peer_id])
    return found.blob_id


def test_all_holders_let_go_of_it_retract_and_tell_readers_why(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        blob_id = await proven_blob(world, machines)
        await until(lambda: not any(holds(each, blob_id) for each in machines))
        assert all(has_trashed(each, blob_id) for each in machines)
        await trio.sleep(10)
        for machine in machines:
            node = node_of(machine)
            assert [each.kind for each in node.events.after(0)].count("inconsistent") == 1
            assert await node._context.store.receipts.untold_losses() == []
        for machine in machines:
            with pytest.raises(InconsistentDataError, match="its own hashes prove it"):
                await get(machine, blob_id.text())

    simulate(rng, 7, body)


def test_a_holder_remembers_it_over_a_restart_and_gives_whoever_asks_the_proof(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        blob_id = await proven_blob(world, machines)
        await until(lambda: not any(holds(each, blob_id) for each in machines))
        holder = next(each for each in machines[1:] if has_trashed(each, blob_id))
        known = node_of(holder)._context.inconsistent.get(blob_id)
        assert isinstance(known, Contradiction)
        world.kill(holder.name)
        again = await world.start_node(holder.name)
        assert node_of(again)._context.inconsistent.get(blob_id) == known
        await world.all_meet([each.name for each in machines])
        request = GetRecord(blob_id=blob_id, wants_certificates=False)
        peers = node_of(machines[0])._context.peers
        reply = await peers.ask(again.peer_id, "read", request, expect=(InconsistentBlob,))
        assert isinstance(reply.message, InconsistentBlob)
        assert check_contradiction(reply.message, reply.payload, blob_id) == known

    simulate(rng, 7, body)


def test_what_a_crash_has_cut_short_is_ended_at_the_next_start(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(trash, "put_away", lambda *_args, **_fields: None)
            blob_id = await proven_blob(world, machines)
            await until(lambda: node_of(machines[1])._context.inconsistent.get(blob_id) is not None)
            await trio.sleep(5)
        assert holds(machines[1], blob_id)
        world.kill(machines[1].name)
        again = await world.start_node(machines[1].name)
        assert not holds(again, blob_id)
        assert has_trashed(again, blob_id)

    simulate(rng, 7, body)


def test_a_false_notice_takes_nothing_away_and_its_sender_is_not_heard_for_a_while(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        liar = FalseNotices()
        await world.start_node("liar", bootstrap=[machines[0].name], habit=liar)
        await world.all_meet([*(each.name for each in machines), "liar"])
        data = rng.randbytes(5_000)
        stored = await put(machines[0], data, shards=7)
        await until(lambda: liar.done["gave a proof that is none"] >= len(machines))
        await trio.sleep(60)
        blob_id = Reference.parse(stored.id).blob_id
        assert all(holds(each, blob_id) for each in machines)
        assert liar.done["gave a proof that is none"] == len(machines), "each has asked once, and then no more"
        assert all(node_of(each).refused()["bad record"] == 1 for each in machines)
        assert await get(machines[1], stored.id) == data

    simulate(rng, 6, body)


def test_only_members_are_heard_and_what_is_not_here_is_not_asked_for(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        told = TellInconsistent(blob_id=factories.blob_id())
        service = node_of(machines[0]).evidence
        with pytest.raises(RefusalError, match="only members"):
            await service.answer(factories.peer_id(99), told, b"")
        answer = (await service.answer(machines[1].peer_id, told, b""))[0]
        assert answer == InconsistencyHeard()

        peers = node_of(machines[0])._context.peers
        ask = peers.ask

        async def note(peer_id: PeerId, name: str, message: object, **fields: Any) -> Reply:  # noqa: ANN401 - as it came
            assert not isinstance(message, GetRecord), "nothing of the blob is here"
            return await ask(peer_id, name, message, **fields)

        monkeypatch.setattr(peers, "ask", note)
        await trio.sleep(3 * REST_S)
        assert service._inconsistency._notices.take() is None

    simulate(rng, 4, body)


def test_a_notice_of_a_good_blob_without_any_proof_bars_its_sender(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        stored = await put(machines[0], rng.randbytes(2_000))
        told = TellInconsistent(blob_id=Reference.parse(stored.id).blob_id)
        for _number in range(2):
            peers = node_of(machines[1])._context.peers
            await peers.ask(machines[2].peer_id, AUDIT, told, expect=(InconsistencyHeard,))
            await trio.sleep(3 * REST_S)
        assert node_of(machines[2]).refused()["bad record"] == 1

    simulate(rng, 4, body)

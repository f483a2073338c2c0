"""Audits between whole nodes: who keeps promises passes, who has lost a pair says so, and who dropped it is found."""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.coding import pair_of_shard
from p2pnode.config import TESTNET
from p2pnode.errors import CallerError, NotFoundError, PeerRefusedError
from p2pnode.node import Node
from p2pnode.protocols import prover_budget
from p2pnode.protocols.leases import LeaseTerms, blob_page, make_blob_lease
from p2pnode.protocols.receipts import shard_set
from p2pnode.protocols.verifying import verify
from p2pnode.reputation.score import NEW
from p2pnode.services.results import Audited
from testnet.sim.habits.sign_and_drop import SignAndDrop
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests import factories
from tests.services.simulated import pair_files, put, simulate
from tests.services.test_sync import lease_of, offer, page_of, touch
from wire.challenges import Absent, Challenge, Proven
from wire.ids import Axis, BlobId, Digest, PeerId
from wire.messages import Stored, StorePair
from wire.records import HolderReceipts, HolderRecord, LeaseKind, Receipt, RecordBundle
from wire.references import Reference

PROVEN = 0.96
"""A score that takes some passes."""

AUDITING = replace(TESTNET, provisional_lease_s=120)


def node_of(machine: Machine) -> Node:
    """Return the production node on a machine."""
    assert isinstance(machine.node, Node)
    return machine.node


async def audit(machine: Machine, other: Machine) -> Audited:
    """Let one node audit another."""
    return await node_of(machine).audit(other.peer_id)


def score(machine: Machine, other: Machine) -> float:
    """Return what one node thinks of another."""
    return node_of(machine)._context.scores.of(other.peer_id).value


async def an_hour_of_audits_of(one: Machine, others: Sequence[Machine]) -> None:
    """Wait, for an hour at most, until one node thinks better of all others than of newcomers."""
    for _ in range(360):
        await trio.sleep(10)
        if all(score(one, other) > PROVEN for other in others if other is not one):
            return
    pytest.fail("an hour was not enough")


def damage(machine: Machine) -> None:
    """Let every pair file of a machine rot behind its node's back."""
    for name in pair_files(machine):
        for place in (machine.files.size(name) // 2, machine.files.size(name) - 1):
            machine.files.injure(name, place, bit=3)


def test_every_holder_proves_what_it_has_signed_for(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        for machine in machines[1:]:
            audited = await audit(machines[0], machine)
            assert (audited.verdict, audited.reason) == ("ok", "proven")
            assert 0 < audited.answer_bytes < 20_000
            assert audited.score > NEW.value

    simulate(rng, 4, body)


def test_a_holder_whose_disk_rots_retracts_and_never_answers_falsely(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        damage(machines[1])
        audited = await audit(machines[0], machines[1])
        while audited.verdict == "ok":  # One question in two is about the other sliver.
            audited = await audit(machines[0], machines[1])
        assert audited.verdict == "absent"
        assert audited.score < NEW.after(passed=True).value
        await trio.sleep(30)
        with pytest.raises(NotFoundError, match="no live receipt"):  # The retraction has reached us.
            await audit(machines[0], machines[1])

    simulate(rng, 4, body)


def test_whoever_has_signed_nothing_cannot_be_audited(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        with pytest.raises(NotFoundError, match="no live receipt"):
            await audit(machines[0], machines[1])

    simulate(rng, 4, body)


def test_a_peer_that_is_away_loses_no_score(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        world.kill(machines[1].name)
        audited = await audit(machines[0], machines[1])
        assert audited.verdict == "offline"
        assert audited.score == NEW.value

    simulate(rng, 4, body)


async def challenge_of(asker: Machine, prover: Machine) -> Challenge:
    """Return a challenge on a live receipt of a node."""
    chosen = await node_of(asker)._auditor._choose(prover.peer_id, None)
    assert chosen is not None
    return Challenge(receipt=chosen.receipt, number=1, secret=factories.digest(), deadline=0)


async def ask(asker: Machine, prover: PeerId, challenge: Challenge) -> object:
    """Send a challenge."""
    peers = node_of(asker)._context.peers
    return (await peers.ask(prover, "audit", challenge, expect=(Proven, Absent))).message


def test_only_those_who_have_a_part_in_a_blob_may_ask_and_only_the_signer_answers(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000), shards=4)
        inside = [each for each in machines[1:] if pair_files(each)]
        outside = [each for each in machines[1:] if not pair_files(each)]
        challenge = await challenge_of(inside[0], inside[1])
        assert isinstance(await ask(inside[0], inside[1].peer_id, challenge), Proven)
        with pytest.raises(PeerRefusedError, match="no part in the blob"):
            await ask(outside[0], inside[1].peer_id, challenge)
        with pytest.raises(PeerRefusedError, match="of another node"):
            await ask(outside[0], outside[1].peer_id, challenge)
        receipt = challenge.receipt
        assert isinstance(receipt, Receipt)
        forged = replace(challenge, receipt=replace(receipt, path=(Digest(bytes(32)),)))
        with pytest.raises(PeerRefusedError, match="proves nothing"):
            await ask(inside[0], inside[1].peer_id, forged)

    simulate(rng, 7, body)


def test_a_prover_answers_no_more_than_its_budget(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prover_budget, "QUESTIONS_PER_EPOCH_MAX", 3)

    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        verdicts = [(await audit(machines[0], machines[1])).verdict for _ in range(5)]
        assert verdicts[:3] == ["ok", "ok", "ok"]
        assert "busy" in verdicts

    simulate(rng, 4, body)


def test_a_node_that_signs_and_drops_is_found_by_audits_and_given_nothing_new(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        bad = await world.start_node("bad", bootstrap=[machines[0].name], habit=SignAndDrop())
        await world.all_meet([*(each.name for each in machines), "bad"])
        writer = machines[0]
        while score(writer, bad) >= 0.9:
            await put(writer, rng.randbytes(2_000), shards=7)
            await trio.sleep(20)
        assert bad.peer_id not in {each.peer_id for each in node_of(writer)._membership.candidates()}
        for honest in machines[1:]:
            assert score(writer, honest) >= NEW.value

    simulate(rng, 6, body, profile=AUDITING)


def test_honest_nodes_audit_each_other_for_an_hour_and_nobody_loses_anything(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(2_000))
        for machine in machines:
            await an_hour_of_audits_of(machine, machines)

    simulate(rng, 4, body, profile=AUDITING)


ONLY_NEW = replace(TESTNET, audit_every_s=100_000, asked_again_after_s=(20, 25))
"""New receipts are asked about, and nothing else; by then who was killed is suspect."""


def test_new_holders_are_asked_again_though_they_are_not_connected_any_more(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        writer, *others = machines
        await put(writer, rng.randbytes(2_000), shards=len(machines))
        for machine in machines:
            monkeypatch.setattr(node_of(machine)._context.network, "connected", list)
        await trio.sleep(40)
        assert all(score(writer, each) > NEW.value for each in others)
        asked = [(one, other) for one in others for other in machines if score(one, other) > NEW.value and one != other]
        assert len(asked) == len(others), "each asks one, whether or not the writer is there"

    simulate(rng, 5, body, profile=ONLY_NEW)


def test_nobody_dials_new_holders_that_have_fallen_silent(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        writer = machines[0]
        await put(writer, rng.randbytes(2_000), shards=len(machines))
        asked: list[PeerId] = []
        auditor = node_of(writer)._auditor
        audit_one = auditor._audit

        async def note(peer_id: PeerId, *args: object, **fields: object) -> Audited:
            asked.append(peer_id)
            return await audit_one(peer_id, *args, **fields)  # type: ignore[arg-type]  # as they came

        monkeypatch.setattr(auditor, "_audit", note)
        monkeypatch.setattr(node_of(writer)._context.network, "connected", list)
        world.kill(machines[1].name)
        await trio.sleep(40)
        assert set(asked) == {each.peer_id for each in machines[2:]}

    simulate(rng, 5, body, profile=ONLY_NEW)


def test_scores_outlive_a_restart(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(2_000))
        await an_hour_of_audits_of(machines[0], machines[1:2])
        await trio.sleep(AUDITING.member_record_every_s + 1)
        world.kill(machines[0].name)
        again = await world.start_node(machines[0].name)
        assert score(again, machines[1]) > 0.955

    simulate(rng, 4, body, profile=AUDITING)


async def give_a_pair(writer: Machine, holder: Machine, outsider: Machine, blob_id: BlobId) -> HolderRecord:
    """Let the owner store a holder's pair on one more node, as a repair would; return what that node signs."""
    final = await lease_of(holder, blob_id)
    start = int(node_of(writer)._context.clock.wall())
    terms = LeaseTerms(n=final.record.n, sequence=9, start=start, end=start + 100)
    provisional = make_blob_lease(
        writer.owner, blob_id, terms, network=node_of(writer)._context.network_name, kind=LeaseKind.PROVISIONAL
    )
    store = node_of(holder)._context.store
    held = await store.held(blob_id)
    assert held is not None
    shard, n = held.shards[0], held.metadata.n
    pair = pair_of_shard(blob_id, shard, n)
    primary = await store.read_sliver(blob_id, Axis.PRIMARY, pair)
    secondary = await store.read_sliver(blob_id, Axis.SECONDARY, n - 1 - pair)
    request = StorePair(
        leases=(provisional.envelope, final.envelope),
        metadata=held.metadata,
        blob_id=blob_id,
        shard=shard,
        primary_bytes=len(primary),
        secondary_bytes=len(secondary),
    )
    peers = node_of(writer)._context.peers
    reply = await peers.ask(outsider.peer_id, "store", request, payload=(primary, secondary), expect=(Stored,))
    sets = (shard_set(shard, [0], blob_count=1),)
    receipts = HolderReceipts(batch=reply.message.batches[1], shard_sets=sets)
    return HolderRecord(lease=final.envelope, page=blob_page(blob_id), holder=receipts)


def test_a_receipt_outside_the_certificate_counts_once_it_has_passed_an_audit(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5_000), shards=4)
        reference = Reference.parse(result.id)
        blob_id = reference.blob_id
        lost, auditor = [machine for machine in machines if pair_files(machine)][:2]
        outsider = next(machine for machine in machines[1:] if not pair_files(machine))
        record = await give_a_pair(machines[0], lost, outsider, blob_id)
        bundle = RecordBundle(certificates=(), holders=(record,), retractions=())
        await offer(outsider, auditor, page_of(machines[0], blob_id), bundle)
        damage(lost)
        await touch(lost, blob_id)
        await trio.sleep(30)  # The loss is told, and the outsider has learnt who else holds the blob.
        assert (await auditor.node.stat(reference)).healthy == 3
        assert (await audit(auditor, outsider)).verdict == "ok"
        assert (await auditor.node.stat(reference)).healthy == 4

    simulate(rng, 6, body)


def test_all_holders_of_a_blob_are_asked_by_its_owner_and_by_a_holder_and_by_nobody_else(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5_000), shards=4)
        reference = Reference.parse(result.id)
        inside = [each for each in machines if pair_files(each)]
        damage(inside[-1])
        await touch(inside[-1], reference.blob_id)
        await trio.sleep(30)  # Who has retracted is not asked.
        for asker in (machines[0], inside[0]):
            found = await node_of(asker).audit_holders(reference)
            asked = {peer_id_to_text(each.peer_id) for each in inside[:-1] if each is not asker}
            assert {(each.peer_id, each.verdict) for each in found} == {(each, "ok") for each in asked}
            assert [each.shard for each in found] == sorted(each.shard for each in found)
        stranger = next(each for each in machines[1:] if not pair_files(each))
        with pytest.raises(CallerError, match="may ask its holders"):
            await node_of(stranger).audit_holders(reference)

    simulate(rng, 7, body)


def test_a_holder_that_is_asked_too_often_by_hand_loses_nothing(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prover_budget, "QUESTIONS_PER_EPOCH_MAX", 0)

    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        for _number in range(5):
            assert (await audit(machines[0], machines[1])).verdict == "busy"
        assert score(machines[0], machines[1]) == NEW.value

    simulate(rng, 4, body)


def test_the_certificate_of_a_blob_is_found_by_anybody_and_proves_itself(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        result = await put(machines[0], rng.randbytes(5_000), shards=4)
        for machine in machines:
            known = await node_of(machine).certificate(Reference.parse(result.id))
            found = verify(base64.b64decode(known.envelope), network=known.network)
            assert (found.blob_ids, found.owner) == ((Reference.parse(result.id).blob_id,), machines[0].owner.public)

    simulate(rng, 6, body)

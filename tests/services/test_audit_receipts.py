"""Audit receipts between whole nodes: both sides have one, and nobody gains by keeping a signature back."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import trio

from p2pnode.errors import LocalStorageError, PeerRefusedError
from p2pnode.protocols import audit_receipts as protocol
from p2pnode.protocols.audit_receipts import GATHERED_EPOCHS, Countersigned, Tally, shown_by
from p2pnode.protocols.challenge import check_answer, open_challenge
from p2pnode.reputation.score import NEW
from p2pnode.services.audit_receipts import AUDIT, BOTH_SIGNED, GATHERED, AuditReceipts
from testnet.sim.machine import Machine
from testnet.sim.world import NETWORK_NAME, World
from tests.services.simulated import put, simulate
from tests.services.test_audit import ONLY_NEW, ask, audit, challenge_of, damage, node_of
from wire import limits
from wire.audit_receipts import AuditedPair, AuditReceipt, Countersignature, Outcome, SignedAudit
from wire.challenges import Proven
from wire.messages import RefusalCode
from wire.signed import sign_record


def receipts_of(machine: Machine) -> AuditReceipts:
    """Return the service of a node."""
    return node_of(machine)._auditor.receipts


def kept(machine: Machine) -> list[Countersigned]:
    """Return what a node keeps."""
    return receipts_of(machine)._book.all()


def test_after_an_audit_both_sides_have_the_same_receipt_and_see_that_they_have(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        asker, holder = machines[:2]
        audited = await audit(asker, holder)
        assert (audited.verdict, audited.receipt) == ("ok", BOTH_SIGNED)
        assert kept(asker) == kept(holder)
        (receipt,) = kept(asker)
        assert (receipt.record.auditor, receipt.record.holder) == (asker.peer_id, holder.peer_id)
        assert [each.blob_id.text() for each in receipt.record.audits] == [audited.blob_id]
        rows = {each.peer_id: each for each in node_of(holder).peers()}
        assert rows[str(asker.peer_id)].receipts_by_it == 1
        assert rows[str(asker.peer_id)].receipts_of_it == 0
        assert {each.receipts_of_it for each in node_of(asker).peers()} == {0, 1}

    simulate(rng, 4, body)


def test_receipts_of_both_sides_outlive_a_restart(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        before = {}
        for machine in machines[:2]:
            await audit(machines[0], machines[1])
            before[machine.name] = kept(machine)
        for machine in machines[:2]:
            before[machine.name] = kept(machine)
            await receipts_of(machine).save()
            world.kill(machine.name)
        for machine in machines[:2]:
            again = await world.start_node(machine.name)
            assert kept(again) == before[machine.name]
            assert len(kept(again)) == 2

    simulate(rng, 4, body)


def test_a_node_that_stops_in_good_order_saves_its_receipts(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        await audit(machines[0], machines[1])
        assert machines[0].life is not None
        machines[0].life.scope.cancel()
        assert len(kept(await world.restart(machines[0].name))) == 1

    simulate(rng, 4, body)


def test_of_a_lost_pair_both_sign_that_it_is_lost(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        damage(machines[1])
        while (audited := await audit(machines[0], machines[1])).verdict == "ok":
            pass
        assert (audited.verdict, audited.receipt) == ("absent", BOTH_SIGNED)
        last = kept(machines[1])[-1].record.audits[0]
        assert (last.outcome, last.pair_bytes) == (Outcome.LOST, 0)

    simulate(rng, 4, body)


async def gather(asker: Machine, holder: Machine) -> None:
    """Let a node ask a holder as it does by itself."""
    auditor = node_of(asker)._auditor
    audited = await auditor._audit(holder.peer_id, await auditor._must_choose(holder.peer_id, None), is_due=True)
    assert audited.receipt in (GATHERED, BOTH_SIGNED)


def audits_of(receipts: list[Countersigned]) -> list[tuple[AuditedPair, ...]]:
    """Return what each receipt is about."""
    return [each.record.audits for each in receipts]


def test_regular_audits_of_one_holder_have_one_receipt_at_the_end_of_an_epoch(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        asker, holder, other = machines[:3]
        for each in (holder, holder, other):
            await gather(asker, each)
        assert kept(asker) == kept(holder) == kept(other) == []
        epoch_s = node_of(asker)._context.profile.epoch_s
        await world.clock.sleep(GATHERED_EPOCHS * epoch_s * 1.1)
        for each, count in ((holder, 2), (other, 1)):
            (ours, *_) = [found for found in kept(asker) if found.record.holder == each.peer_id]
            (theirs, *_) = [found for found in kept(each) if found.record.auditor == asker.peer_id]
            assert ours == theirs
            assert len(ours.record.audits) >= count

    simulate(rng, 4, body, profile=ONLY_NEW)


def test_what_fills_a_receipt_is_signed_at_once(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        asker, holder = machines[:2]
        for _number in range(limits.AUDITS_PER_RECEIPT_MAX + 1):
            await gather(asker, holder)
        (receipt,) = kept(asker)
        assert len(receipt.record.audits) == limits.AUDITS_PER_RECEIPT_MAX
        assert kept(holder) == [receipt]
        assert receipts_of(asker).tally(holder.peer_id) == Tally(of_it=limits.AUDITS_PER_RECEIPT_MAX, by_it=0)
        assert await receipts_of(asker).ask_for(holder.peer_id) == BOTH_SIGNED
        assert sorted(map(len, audits_of(kept(asker)))) == [1, limits.AUDITS_PER_RECEIPT_MAX]
        assert await receipts_of(asker).ask_for(holder.peer_id) == GATHERED  # Nothing waits any more.

    simulate(rng, 4, body)


def test_what_a_holder_has_forgotten_costs_the_receipt_of_no_later_audit(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        asker, holder = machines[:2]
        for _number in range(3):
            await gather(asker, holder)
        world.kill(holder.name)
        holder = await world.start_node(holder.name)
        await world.all_meet()
        assert (await audit(asker, holder)).receipt == BOTH_SIGNED
        (receipt,) = kept(asker)
        assert len(receipt.record.audits) == 1
        assert kept(holder) == [receipt]

    simulate(rng, 4, body)


def test_a_holder_that_does_not_countersign_gains_and_loses_nothing(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        monkeypatch.setattr(AuditReceipts, "answered", lambda *_args, **_fields: None)
        audited = await audit(machines[0], machines[1])
        assert (audited.verdict, audited.score > NEW.value) == ("ok", True)
        assert audited.receipt.startswith("none: ")
        assert kept(machines[0]) == kept(machines[1]) == []
        assert receipts_of(machines[0]).tally(machines[1].peer_id) == Tally(0, 0)

    simulate(rng, 4, body)


def test_one_answer_gives_one_receipt_and_only_to_who_asked(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        asker, holder, other = machines[:3]
        challenge = await challenge_of(asker, holder)
        answer = await ask(asker, holder.peer_id, challenge)
        assert isinstance(answer, Proven)
        question = open_challenge(challenge, challenger=asker.peer_id, network=NETWORK_NAME)
        assert check_answer(answer, question).record.length == 5_000
        time = node_of(asker)._context.wall_seconds()
        assert (await audit(asker, holder)).receipt == BOTH_SIGNED
        pair_bytes = kept(holder)[-1].record.audits[0].pair_bytes
        shown = shown_by(question, answer, pair_bytes=pair_bytes, time=time)

        async def want(by: Machine, *, more: int = 0) -> object:
            audits = (replace(shown, pair_bytes=pair_bytes + more),)
            said = AuditReceipt(auditor=asker.peer_id, holder=holder.peer_id, audits=audits)
            context = node_of(by)._context
            request = SignedAudit(statement=sign_record(said, key=context.identity, network=NETWORK_NAME).envelope)
            return (await context.peers.ask(holder.peer_id, AUDIT, request, expect=(Countersignature,))).message

        for by, more, code in ((other, 0, RefusalCode.INVALID), (asker, 2, RefusalCode.NOT_HELD)):
            with pytest.raises(PeerRefusedError) as refused:
                await want(by, more=more)
            assert refused.value.code == code
        assert isinstance(await want(asker), Countersignature)
        with pytest.raises(PeerRefusedError, match="no answers of the last two epochs") as forgotten:
            await want(asker)
        assert forgotten.value.code == RefusalCode.NOT_HELD
        assert len(kept(holder)) == 2

    simulate(rng, 4, body)


def test_what_cannot_be_saved_is_saved_later(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        await audit(machines[0], machines[1])
        service, store = receipts_of(machines[0]), node_of(machines[0])._context.store

        async def fail(*_: object) -> None:
            await trio.lowlevel.checkpoint()
            raise LocalStorageError("the disk is away")

        with monkeypatch.context() as patched:
            patched.setattr(store, "save_audit_receipts", fail)
            await service.save()
        assert await store.load_audit_receipts() == []
        await service.save()
        assert await store.load_audit_receipts() == kept(machines[0])
        assert not service._book.changes

    simulate(rng, 4, body)


def test_receipts_of_leases_that_are_over_go_from_the_disk_as_well(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        await audit(machines[0], machines[1])
        service, store = receipts_of(machines[0]), node_of(machines[0])._context.store
        await service.save()
        assert len(await store.load_audit_receipts()) == 1
        monkeypatch.setattr(protocol, "RECEIPT_SECONDS", 10)
        await world.clock.sleep(12)
        await service.save()
        assert await store.load_audit_receipts() == kept(machines[0]) == []

    simulate(rng, 4, body)


def test_nobody_is_a_witness_for_itself(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        asker, holder = machines[:2]
        challenge = await challenge_of(asker, holder)
        answer = await ask(asker, holder.peer_id, challenge)
        assert isinstance(answer, Proven)
        question = open_challenge(challenge, challenger=asker.peer_id, network=NETWORK_NAME)
        own = await receipts_of(holder).proven(question, answer, pair_bytes=1, is_due=False)
        assert own == "none: an audit of this node by itself"
        assert kept(holder) == []

    simulate(rng, 4, body)

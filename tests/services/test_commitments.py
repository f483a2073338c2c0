"""Commitments between whole nodes: each knows those of the others, asks on them, and two of one epoch are found out."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.config import TESTNET
from p2pnode.errors import LocalStorageError, PeerRefusedError
from p2pnode.protocols.challenge import Question, check_shown
from p2pnode.protocols.commitments import CommitGate
from p2pnode.protocols.entry_tree import Entry, Key
from p2pnode.protocols.page_records import PageRecords
from p2pnode.reputation.score import NEW
from p2pnode.services.commitments import LOOKS_PER_EPOCH, REST_S, CommitmentService
from p2pnode.services.evidence import AUDIT
from p2pnode.services.keep import RECEIPTS
from testnet.sim.habits.two_commitments import TwoCommitments
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests import factories
from tests.services.simulated import pair_files, put, simulate
from tests.services.test_audit import audit, damage, node_of
from tests.services.test_evidence import accused_of
from wire import limits
from wire.challenges import Absent, Challenge, NamedReceipt, Proven
from wire.ids import BlobId
from wire.messages import RefusalCode

COMMITTING = replace(
    TESTNET, audit_every_s=100_000, asked_again_after_s=(100_000, 100_000), epoch_s=20, commit_after_s=20
)
"""Commitments every twenty seconds, and audits when a test asks for one."""


def service_of(machine: Machine) -> CommitmentService:
    """Return what a node knows of commitments."""
    return node_of(machine).commitments


async def an_epoch() -> None:
    """Wait until everybody has committed once more and has heard it of the others."""
    await trio.sleep(COMMITTING.epoch_s * (1 + 2 / LOOKS_PER_EPOCH))


async def question_to(asker: Machine, prover: Machine) -> Question:
    """Return a question as the asker's auditor makes it."""
    auditor = node_of(asker)._auditor
    return auditor._question(await auditor._must_choose(prover.peer_id, None))


def test_everybody_commits_to_what_it_holds_and_is_asked_on_it(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        for _number in range(3):
            await put(machines[0], rng.randbytes(5_000))
        assert (await audit(machines[0], machines[1])).asked_on == "receipt"
        await trio.sleep(COMMITTING.commit_after_s)
        await an_epoch()
        for machine in machines:
            latest = service_of(machine).latest
            assert latest is not None
            assert latest.count == len(pair_files(machine)) == 3
            assert latest.pair_bytes == sum(machine.files.size(name) for name in pair_files(machine))
        found = await audit(machines[0], machines[1])
        latest = service_of(machines[1]).latest
        assert latest is not None
        assert (found.verdict, found.reason) == ("ok", "proven")
        assert found.asked_on in {f"commitment for epoch {latest.epoch - late}" for late in (0, 1)}
        await put(machines[0], rng.randbytes(5_000))
        await an_epoch()
        assert [each.count for machine in machines if (each := service_of(machine).latest)] == [4] * len(machines)

    simulate(rng, 4, body, profile=COMMITTING)


def test_a_new_receipt_is_asked_on_itself_until_the_next_commitment(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        await trio.sleep(COMMITTING.commit_after_s)
        await an_epoch()
        old = await question_to(machines[0], machines[1])
        assert old.commitment is not None
        since = old.commitment.time
        service = service_of(machines[0])
        assert service.base_for(machines[1].peer_id, signed_at=since - 1) is not None
        assert service.base_for(machines[1].peer_id, signed_at=since) is None
        assert service.base_for(factories.peer_id(9), signed_at=0) is None

    simulate(rng, 4, body, profile=COMMITTING)


def test_a_secret_that_was_bound_an_epoch_before_is_revealed_and_checked(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        assert (await question_to(machines[0], machines[1])).challenge.reveal is None
        await trio.sleep(COMMITTING.commit_after_s)
        await an_epoch()
        await an_epoch()
        question, other = [await question_to(machines[0], machines[1]) for _ in range(2)]
        reveal = question.challenge.reveal
        assert reveal is not None
        assert question.challenge.number != other.challenge.number
        answer = await put_to(machines[0], machines[1], question.challenge)
        assert isinstance(answer, Proven)
        assert check_shown(answer, question) is not None
        forged = replace(question.challenge, secret=factories.digest(7))
        with pytest.raises(PeerRefusedError, match="was not bound") as refused:
            await put_to(machines[0], machines[1], forged)
        assert refused.value.code == RefusalCode.INVALID
        unknown = replace(reveal, commitment=factories.digest(7))
        assert isinstance(await put_to(machines[0], machines[1], replace(question.challenge, reveal=unknown)), Proven)
        await trio.sleep(COMMITTING.epoch_s / LOOKS_PER_EPOCH)  # So that our own for that epoch is there.
        late = service_of(machines[0])._answered[-1]
        bound = late.sheet.take()
        assert bound is not None
        too_late = replace(
            question.challenge,
            number=bound.number,
            secret=bound.secret,
            reveal=replace(reveal, commitment=late.signed.digest, path=bound.path),
        )
        with pytest.raises(PeerRefusedError, match="bound after what is asked on"):
            await put_to(machines[0], machines[1], too_late)

    simulate(rng, 4, body, profile=COMMITTING)


async def put_to(asker: Machine, prover: Machine, challenge: Challenge) -> object:
    """Send a challenge and return the answer."""
    peers = node_of(asker)._context.peers
    return (await peers.ask(prover.peer_id, AUDIT, challenge, expect=(Proven, Absent))).message


def test_a_pair_that_is_lost_after_it_was_committed_to_is_retracted_and_nobody_is_convicted(
    rng: random.Random,
) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        await trio.sleep(COMMITTING.commit_after_s)
        await an_epoch()
        damage(machines[1])
        while (found := await audit(machines[0], machines[1])).verdict == "ok":
            pass
        assert found.verdict == "absent"
        assert found.asked_on.startswith("commitment")
        await trio.sleep(5)
        assert all(accused_of(machine) == set() for machine in machines)

    simulate(rng, 4, body, profile=COMMITTING)


def test_a_question_on_a_commitment_only_names_the_receipt_and_nothing_is_believed_of_a_name(
    rng: random.Random,
) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        await trio.sleep(COMMITTING.commit_after_s)
        await an_epoch()
        asker, prover = machines[:2]
        question = await question_to(asker, prover)
        named = question.challenge.receipt
        assert isinstance(named, NamedReceipt)
        assert isinstance(await put_to(asker, prover, question.challenge), Proven)
        highest = node_of(prover)._context.store.highest_number(RECEIPTS)
        for unknown in (
            replace(named, sequence=limits.UINT64_MAX),
            replace(named, lease=factories.digest(9)),
            replace(named, blob_id=factories.blob_id(9)),
            replace(named, commitment=factories.digest(9)),
        ):
            with pytest.raises(PeerRefusedError) as refused:
                await put_to(asker, prover, replace(question.challenge, receipt=unknown))
            assert refused.value.code == RefusalCode.NOT_HELD
        assert node_of(prover)._context.store.highest_number(RECEIPTS) == highest

    simulate(rng, 4, body, profile=COMMITTING)


def test_who_does_not_know_its_receipt_any_more_is_asked_on_it_and_can_retract(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        await trio.sleep(COMMITTING.commit_after_s)
        await an_epoch()
        asker, prover = machines[:2]

        receipts = node_of(prover)._context.store.receipts
        records_of_pages = receipts.records_of_pages
        asked: list[BlobId] = []

        async def not_at_first(blob_id: BlobId) -> PageRecords:
            asked.append(blob_id)
            return PageRecords() if len(asked) == 1 else await records_of_pages(blob_id)

        monkeypatch.setattr(receipts, "records_of_pages", not_at_first)
        damage(prover)
        while (found := await audit(asker, prover)).verdict == "ok":
            assert found.asked_on == "receipt"
        assert (found.verdict, found.asked_on) == ("absent", "receipt")
        assert len(asked) > 1
        assert all(accused_of(machine) == set() for machine in machines)

    simulate(rng, 4, body, profile=COMMITTING)


def test_who_began_anew_is_asked_on_the_receipt_and_loses_nothing(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        await trio.sleep(COMMITTING.commit_after_s)
        await an_epoch()
        world.kill(machines[1].name)
        again = await world.start_node(machines[1].name)
        await world.all_meet()
        found = await audit(machines[0], again)
        assert (found.verdict, found.asked_on) == ("ok", "receipt")
        assert found.score > NEW.value
        await trio.sleep(COMMITTING.commit_after_s)
        await an_epoch()
        assert (await audit(machines[0], again)).asked_on.startswith("commitment")
        assert all(accused_of(machine) == set() for machine in (*machines[2:], machines[0], again))

    simulate(rng, 4, body, profile=COMMITTING)


def test_two_commitments_of_one_epoch_convict_their_signer_everywhere_and_it_sees_why(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        liar = await world.start_node("liar", bootstrap=[machines[0].name], habit=TwoCommitments())
        await world.all_meet([*(each.name for each in machines), "liar"])
        await trio.sleep(COMMITTING.commit_after_s)
        await an_epoch()
        name = peer_id_to_text(liar.peer_id)
        for machine in (*machines, liar):
            (found,) = node_of(machine).evidence.listed()
            assert (found.accused, found.kind, found.blob_id) == (name, "two commitments", None)
            assert found.about.startswith("epoch ")
        for machine in machines:
            states = {each.peer_id: each.state for each in node_of(machine).peers()}
            assert [each for each, state in states.items() if state == "condemned"] == [name]
        (told,) = [each for each in (await node_of(liar).status()).warnings if each.kind == "convicted"]
        assert "signed two commitments about epoch" in told.message

    simulate(rng, 4, body, profile=COMMITTING)


def watched_reads(machine: Machine, monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> list[float]:
    """Return the moments at which a node reads all of its pairs from now on; the list grows, and the reads may fail."""
    store = node_of(machine)._context.store.commitments
    entries_after = store.entries_after
    moments: list[float] = []

    async def read(key: Key | None) -> dict[Key, Entry | None]:
        moments.append(trio.current_time())
        if fails and len(moments) == 1:
            raise LocalStorageError("the disk is away")
        return await entries_after(key)

    monkeypatch.setattr(store, "entries_after", read)
    return moments


def begin_anew(machine: Machine) -> CommitmentService:
    """Let a node know nothing of its pairs, as at the start of a life."""
    service = service_of(machine)
    service._tree = None
    service._gate = CommitGate(epoch_s=COMMITTING.epoch_s, wait_s=2 * COMMITTING.commit_after_s)
    return service


def test_everything_is_read_step_by_step_before_there_may_be_a_commitment(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2pnode.storage.commitments.ENTRIES_MAX", 2)

    async def body(_: World, machines: list[Machine]) -> None:
        for _number in range(5):
            await put(machines[0], rng.randbytes(2_000))
        service = begin_anew(machines[1])
        moments = watched_reads(machines[1], monkeypatch)
        before = service.latest
        for _second in range(int(5 * COMMITTING.commit_after_s)):
            await trio.sleep(1.0)
            if service.latest is not before:
                break
        assert service.latest is not None
        assert service.latest.count == 5
        assert len(moments) == 4, "once, in three steps, and the end"
        rests = [later - earlier for earlier, later in itertools.pairwise(moments)]
        assert all(rest >= REST_S for rest in rests)
        assert trio.current_time() - moments[-1] > COMMITTING.commit_after_s / 2, "long before it was signed"

    simulate(rng, 4, body, profile=COMMITTING)


def test_a_disk_that_fails_meanwhile_costs_no_commitment(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(2_000))
        service = begin_anew(machines[1])
        moments = watched_reads(machines[1], monkeypatch, fails=True)
        await trio.sleep(3 * COMMITTING.commit_after_s)
        assert service.latest is not None
        assert service.latest.count == 1
        assert len(moments) > 1

    simulate(rng, 4, body, profile=COMMITTING)

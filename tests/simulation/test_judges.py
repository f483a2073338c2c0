"""Every judge speaks when its invariant is broken, and only then: promises, served slivers, reads and accusations."""

from collections.abc import Sequence
from typing import Never

import pytest

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_to_text
from p2pnode.coding import encode
from p2pnode.errors import CorruptSliverError, P2PNodeError
from p2pnode.node import Node
from p2pnode.protocols import gossip
from p2pnode.protocols.leases import LeaseTerms, make_blob_lease
from p2pnode.protocols.receipts import make_batch
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.store import record_of
from p2pnode.seams import Verdict
from p2pnode.services import keep
from p2pnode.services.evidence import EvidenceService
from p2pnode.services.results import Convicted
from p2pnode.storage import leasing, reader
from p2pnode.storage.store import SliverStore
from testnet.sim.directory import SimFile, Tree
from testnet.sim.judges import accusations, audited, promises, reads, served
from testnet.sim.judges.judgement import JudgementError
from testnet.sim.world import NETWORK_NAME
from tests.simulation.judged import (
    DATA_BYTES,
    HOLDER,
    READER,
    WRITER,
    Court,
    hold_court,
    judgement,
    put_and_check,
)
from wire import signed
from wire.ids import Axis, BlobId, ShardIndex
from wire.messages import GetSliver, RefusalCode, SliverData, Stored, StorePair
from wire.records import Lease, LeaseKind, ReceiptBatch
from wire.signed import Signed

TWO_SEGMENTS_BYTES = 600_000
"""At n = 4 a blob has at most 393,204 bytes."""


def test_no_judge_speaks_when_nothing_is_wrong_and_each_has_looked_at_something(seed: int) -> None:
    async def play(court: Court) -> None:
        for size in (DATA_BYTES, TWO_SEGMENTS_BYTES):
            await court.put(size)
            await court.get()
        looked_at = court.check()
        assert [name for name, count in looked_at.items() if not count] == [audited.NAME]  # Nobody audits in a court.

    hold_court(seed, play)


# ------------------------------------------------------------------------------------------------ promises-kept


@pytest.mark.parametrize("owner", [SimFile, Tree])
def test_a_receipt_that_is_signed_before_its_pair_is_durable_is_found_without_a_crash(
    seed: int, monkeypatch: pytest.MonkeyPatch, owner: type
) -> None:
    name = "make_durable" if owner is SimFile else "sync"
    monkeypatch.setattr(owner, name, lambda *_: None)
    found = judgement(seed, put_and_check, says="which it could still lose")
    assert found.judge == promises.NAME
    assert found.node in {"n1", "n2", "n3"}
    assert found.subject


def test_a_receipt_for_a_lease_that_is_not_durable_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "keep_lease_record", lambda *_: None)

    async def play(court: Court) -> None:
        await court.put(TWO_SEGMENTS_BYTES)
        court.check()

    assert judgement(seed, play, says="under a lease that it could still lose").judge == promises.NAME


def test_a_certificate_that_is_confirmed_and_not_kept_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(*_: object) -> None:
        pass

    monkeypatch.setattr(SliverStore, "certify", forget)
    assert judgement(seed, put_and_check, says="a certificate that it could still lose").judge == promises.NAME


def test_receipts_under_another_domain_tag_are_found_although_all_nodes_take_them(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(signed._DOMAIN_TAGS, ReceiptBatch, "lease")
    assert judgement(seed, put_and_check, says="not one of a receipt of this network").judge == promises.NAME


def test_a_receipt_for_another_shard_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def sign_for_the_next(
        key: SigningKey, lease: object, pairs: Sequence[tuple[BlobId, ShardIndex]], **options: object
    ) -> object:
        shifted = [(blob_id, ShardIndex(shard + 1)) for blob_id, shard in pairs]
        return make_batch(key, lease, shifted, **options)  # type: ignore[arg-type]  # as the caller gave them

    monkeypatch.setattr(keep, "make_batch", sign_for_the_next)

    async def play(court: Court) -> None:
        with pytest.raises(P2PNodeError):
            await court.put()
        court.check()

    assert judgement(seed, play, says="it is for other pairs").judge == promises.NAME


def _lease(court: Court, blob_id: BlobId) -> Signed[Lease]:
    owner = SigningKey(court.world.rng.randbytes(SEED_BYTES))
    terms = LeaseTerms(n=4, sequence=1, start=0, end=2**40)
    return make_blob_lease(owner, blob_id, terms, network=NETWORK_NAME, kind=LeaseKind.PROVISIONAL)


def test_a_receipt_forged_into_the_wire_is_found(seed: int) -> None:
    async def play(court: Court) -> None:
        blob = encode(court.world.rng.randbytes(DATA_BYTES), 4)
        lease = _lease(court, blob.blob_id)
        forger = SigningKey(court.world.rng.randbytes(SEED_BYTES))
        pairs = [(blob.blob_id, ShardIndex(0))]
        batch = make_batch(forger, lease, pairs, network=NETWORK_NAME, time=0, sequence=1)
        request = StorePair(
            leases=(lease.envelope,),
            metadata=record_of(blob.metadata),
            blob_id=blob.blob_id,
            shard=0,
            primary_bytes=1,
            secondary_bytes=1,
        )
        court.forge(WRITER, HOLDER, request, bytes(2))
        court.forge(HOLDER, WRITER, Stored(batches=(batch.envelope,)))
        court.check()

    found = judgement(seed, play, says="a receipt that another key has signed")
    assert (found.judge, found.node) == (promises.NAME, HOLDER)


def test_an_honest_node_that_sends_nonsense_is_found(seed: int) -> None:
    async def play(court: Court) -> None:
        court.forge(HOLDER, WRITER, GetSliver(blob_id=BlobId(bytes(32)), axis=0, index=0))
        court.send(HOLDER, WRITER, b"\xff" * 8)
        court.check()

    assert judgement(seed, play, says="it sent what nobody can read").node == HOLDER


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_promised_pair_that_is_gone_or_damaged_is_found_also_when_its_node_is_down(
    seed: int, *, is_damaged: bool
) -> None:
    async def play(court: Court) -> None:
        await court.put()
        name, _ = court.pair_of(HOLDER)
        court.world.kill(HOLDER)
        files = court.machine(HOLDER).files
        if is_damaged:
            data = files.read(name)
            files.damage(name, data[:-1] + bytes([data[-1] ^ 1]))
        else:
            files.remove(name)
        court.check()

    found = judgement(seed, play, says="and does not hold it")
    assert (found.judge, found.node) == (promises.NAME, HOLDER)


def test_injected_bit_rot_breaks_no_promise_and_is_never_served(seed: int) -> None:
    async def play(court: Court) -> None:
        await court.put()
        assert court.machine(HOLDER).files.rot(court.world.rng, under=["pairs/"])
        await court.get()
        court.check()

    hold_court(seed, play)


def test_a_pair_that_the_store_would_not_find_after_a_power_loss_is_found(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(court: Court) -> None:
        await court.put()
        monkeypatch.setattr(reader, "held", lambda *_: None)
        court.check()

    assert judgement(seed, play, says="after a power loss it would not find").judge == promises.NAME


def test_a_pair_that_cannot_be_read_back_after_a_power_loss_is_found(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Never:
        raise CorruptSliverError("planted")

    async def play(court: Court) -> None:
        await court.put()
        monkeypatch.setattr(reader, "read_sliver", refuse)
        court.check()

    assert judgement(seed, play, says="planted").judge == promises.NAME


# --------------------------------------------------------------------------------------------- no-damage-served


def test_a_damaged_sliver_that_is_served_is_found_though_its_reader_refuses_it(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "check_sliver", lambda *_: None)

    async def play(court: Court) -> None:
        await court.put()
        for machine in court.world.running():
            name, _ = court.pair_of(machine.name)
            data = bytearray(machine.files.read(name))
            data[-1] ^= 1
            data[-len(data) // 2] ^= 1
            machine.files.damage(name, bytes(data))
        with pytest.raises(P2PNodeError):
            await court.get()
        court.check_only(served.NAME)

    assert judgement(seed, play, says="it served damaged bytes").judge == served.NAME


def test_a_sliver_of_a_blob_that_nobody_stored_is_found(seed: int) -> None:
    async def play(court: Court) -> None:
        court.forge(READER, HOLDER, GetSliver(blob_id=BlobId(bytes(32)), axis=Axis.PRIMARY, index=0))
        court.forge(HOLDER, READER, SliverData(sliver_bytes=3), b"abc")
        court.check_only(served.NAME)

    assert judgement(seed, play, says="holds nothing of that blob").node == HOLDER


def test_a_pair_that_is_taken_with_the_metadata_of_another_blob_is_found(seed: int) -> None:
    async def play(court: Court) -> None:
        blob = encode(court.world.rng.randbytes(DATA_BYTES), 4)
        request = StorePair(
            leases=(_lease(court, blob.blob_id).envelope,),
            metadata=record_of(blob.metadata),
            blob_id=BlobId(bytes(32)),
            shard=0,
            primary_bytes=1,
            secondary_bytes=1,
        )
        court.forge(WRITER, HOLDER, request, bytes(2))
        court.forge(HOLDER, WRITER, Stored(batches=request.leases))
        court.check_only(served.NAME)

    assert judgement(seed, play, says="metadata is not of that blob").node == HOLDER


# ---------------------------------------------------------------------------------------------- reads-are-exact


def test_a_read_that_returns_other_bytes_is_found(seed: int) -> None:
    async def play(court: Court) -> None:
        await court.put()
        court.shelf[-1] = type(court.shelf[-1])(court.shelf[-1].id, b"something else")
        await court.get()

    assert judgement(seed, play, says="other bytes than were stored").judge == reads.NAME


def test_an_error_without_a_type_of_ours_is_found_and_a_typed_one_is_not(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(court: Court) -> None:
        await court.put()
        with pytest.raises(P2PNodeError), court.bench.reads.typed_errors(READER, "get"):
            raise CorruptSliverError("planted")
        monkeypatch.setattr(Node, "get", lambda *_: [].pop())
        await court.get()

    assert judgement(seed, play, says="which is no typed error").judge == reads.NAME


# -------------------------------------------------------------------------------------------- no-honest-accused


def _reject_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip.GossipGate, "check", lambda *_, **__: gossip.Checked(Verdict.REJECT, "planted"))


def test_gossip_of_an_honest_node_that_is_rejected_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(court: Court) -> None:
        _reject_all(monkeypatch)  # Not before the start: on some seeds the nodes learn of each other by gossip.
        await put_and_check(court)

    assert judgement(seed, play, says="was rejected by").judge == accusations.NAME


def test_a_node_with_a_clock_beyond_what_is_tolerated_may_be_rejected(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(court: Court) -> None:
        court.machine(HOLDER).clock.set_wrong(4000.0)
        court.check_only(accusations.NAME)
        _reject_all(monkeypatch)
        await put_and_check(court)

    hold_court(seed, play)


def test_an_honest_question_that_is_refused_as_invalid_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Never:
        raise RefusalError(RefusalCode.INVALID, "planted")

    monkeypatch.setattr(keep, "check_store_pair", refuse)

    async def play(court: Court) -> None:
        with pytest.raises(P2PNodeError):
            await court.put()
        court.check()

    assert judgement(seed, play, says="refused as invalid: planted").judge == accusations.NAME


def test_evidence_against_an_honest_node_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(court: Court) -> None:
        accused = peer_id_to_text(court.machine(HOLDER).peer_id)
        found = Convicted(
            id="",
            accused=accused,
            kind="",
            about="",
            reason="planted",
            blob_id="",
            shard=0,
            signed_about=0,
            heard_at=0,
            is_us=False,
        )
        monkeypatch.setattr(EvidenceService, "listed", lambda _: [found])
        court.check()

    assert judgement(seed, play, says="it keeps evidence against").judge == accusations.NAME


# --------------------------------------------------------------------------------------------------- judgements


def test_a_judgement_travels_between_processes_with_all_that_it_names() -> None:
    made = JudgementError("a-judge", "something is wrong", node="n7", subject="a table")
    maker, facts = made.__reduce__()
    again = maker(*facts)  # type: ignore[operator, misc]  # what pickle does with it
    assert (str(again), again.judge, again.node, again.subject) == (str(made), "a-judge", "n7", "a table")

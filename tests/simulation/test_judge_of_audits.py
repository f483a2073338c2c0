"""The judge of audit receipts: it objects to one that says what no audit has shown, or says it twice; to no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pnode.node import Node
from p2pnode.protocols.audit_receipts import GatheredAudits, GivenAnswers, shown_by
from p2pnode.services import audit_receipts as service
from p2pnode.services.audit_receipts import BOTH_SIGNED
from testnet.sim.judges import audited
from tests.simulation.judged import HOLDER, WRITER, Court, hold_court, judgement
from wire import signed
from wire.audit_receipts import AuditedPair, AuditReceipt


async def audit(court: Court) -> str:
    """Let the writer ask a holder; return what came of the receipt."""
    node = court.machine(WRITER).node
    assert isinstance(node, Node)
    return (await node.audit(court.machine(HOLDER).peer_id)).receipt


async def put_and_audit(court: Court) -> None:
    """Let there be a receipt, or the wish for one, and hear the judge."""
    await court.put()
    await audit(court)
    court.check_only(audited.NAME)


def test_receipts_of_nodes_as_they_ship_are_heard_and_are_good(seed: int) -> None:
    async def play(court: Court) -> None:
        await court.put()
        assert [await audit(court) for _ in range(3)] == [BOTH_SIGNED] * 3
        assert court.check()[audited.NAME] == 3

    hold_court(seed, play)


def test_two_that_agree_on_more_bytes_than_there_are_are_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def more(*arguments: object, **fields: object) -> AuditedPair:
        shown = shown_by(*arguments, **fields)  # type: ignore[arg-type]  # its own
        return replace(shown, pair_bytes=shown.pair_bytes + 1)

    monkeypatch.setattr(service, "shown_by", more)
    assert judgement(seed, put_and_audit, says="that never was").node == HOLDER


def test_an_auditor_that_states_what_never_was_is_found_though_nobody_countersigns(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = GatheredAudits.add

    def add_more(gathered: GatheredAudits, *arguments: AuditedPair, now: float) -> bool:
        return add(gathered, arguments[0], replace(arguments[1], shard=arguments[1].shard ^ 1), now=now)  # type: ignore[arg-type]

    monkeypatch.setattr(GatheredAudits, "add", add_more)
    assert judgement(seed, put_and_audit, says="that never was").node == WRITER


def test_a_holder_that_signs_twice_for_one_answer_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    take, countersign = GatheredAudits.take, GivenAnswers.countersign
    taken: list[tuple[AuditedPair, ...]] = []

    def take_again(gathered: GatheredAudits, *arguments: object) -> tuple[AuditedPair, ...]:
        taken.append(take(gathered, *arguments))  # type: ignore[arg-type]
        return taken[0]

    def countersign_again(given: GivenAnswers, *arguments: object, **fields: object) -> object:
        before = given._answers.copy()
        found = countersign(given, *arguments, **fields)  # type: ignore[arg-type]
        given._answers.update(before)
        return found

    monkeypatch.setattr(GatheredAudits, "take", take_again)
    monkeypatch.setattr(GivenAnswers, "countersign", countersign_again)

    async def play(court: Court) -> None:
        await court.put()
        assert await audit(court) == BOTH_SIGNED
        court.check_only(audited.NAME)
        assert await audit(court) == BOTH_SIGNED
        court.check_only(audited.NAME)

    assert judgement(seed, play, says="or once only").node == HOLDER


def test_a_receipt_under_another_domain_tag_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(signed._DOMAIN_TAGS, AuditReceipt, "lease")
    assert "that is none" in judgement(seed, put_and_audit, says="it signed an audit receipt").what

"""Evidence between whole nodes: it reaches everybody, also those who were away, and its subject learns why."""

from __future__ import annotations

import base64
import random
from dataclasses import replace

import pytest
import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.config import TESTNET
from p2pnode.errors import NotFoundError
from p2pnode.protocols.evidence import EVIDENCE_SECONDS, name_of
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.verifying import verify_evidence
from p2pnode.services.evidence import AUDIT
from testnet.sim.habits.half_slivers import Bluff, HalfSlivers
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests import factories
from tests.protocols.test_challenge import answer_of, example, proof_of
from tests.protocols.test_evidence import falsified
from tests.services.simulated import put, simulate
from tests.services.test_audit import audit, challenge_of, damage, node_of
from wire.challenges import Challenge, Proven
from wire.evidence import Evidence, EvidenceKind, Failure, TellVerdict, VerdictHeard

RARELY = replace(TESTNET, audit_every_s=100_000, asked_again_after_s=(100_000, 100_000), epoch_s=10)
"""Audits when a test asks for one, and comparisons of evidence each epoch."""


def accused_of(machine: Machine) -> set[str]:
    """Return whom a node knows evidence against."""
    return {each.accused for each in node_of(machine).evidence.listed()}


async def liar_among(world: World, machines: list[Machine], rng: random.Random) -> Machine:
    """Start a holder that answers falsely where it cannot answer, and let it be asked until it has."""
    liar = await world.start_node("liar", bootstrap=[machines[0].name], habit=HalfSlivers(Bluff.FALSE))
    await world.all_meet([*(each.name for each in machines), "liar"])
    while True:
        try:
            if (await audit(machines[0], liar)).verdict == "wrong":
                return liar
        except NotFoundError:  # The two hold nothing of the same blob yet.
            await put(machines[0], rng.randbytes(5_000))


def test_a_false_proof_convicts_its_signer_everywhere_and_it_sees_why(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        liar = await liar_among(world, machines, rng)
        await trio.sleep(2)
        name = peer_id_to_text(liar.peer_id)
        for machine in (*machines, liar):
            (found,) = node_of(machine).evidence.listed()
            assert (found.accused, found.kind, found.is_us) == (name, "false proof", machine is liar)
            piece = await node_of(machine).evidence.piece(found.id)
            assert verify_evidence(base64.b64decode(piece.evidence), network=piece.network).accused == liar.peer_id
        for machine in machines:
            states = {each.peer_id: each.state for each in node_of(machine).peers()}
            assert [each for each, state in states.items() if state == "condemned"] == [name]
            assert liar.peer_id not in {each.peer_id for each in node_of(machine)._membership.candidates()}
        told = [each for each in (await node_of(liar).status()).warnings if each.kind in ("convicted", "audit-failed")]
        assert [each.kind for each in told] == ["convicted", "audit-failed"]
        assert "signed a false proof about shard" in told[0].message
        assert "answered an audit falsely" in told[1].message
        assert [each.kind for each in node_of(liar).events.after(0)].count("convicted") == 1

    simulate(rng, 4, body)


def test_who_was_away_learns_of_it_later_and_it_outlives_a_restart(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        away = machines[-1]
        world.kill(away.name)
        liar = await liar_among(world, machines[:-1], rng)
        name = peer_id_to_text(liar.peer_id)
        await trio.sleep(2)
        world.kill(machines[0].name)
        assert accused_of(await world.start_node(machines[0].name)) == {name}
        again = await world.start_node(away.name)
        assert accused_of(again) == set()
        await trio.sleep(5 * RARELY.epoch_s)
        assert accused_of(again) == {name}

    simulate(rng, 5, body, profile=RARELY)


def test_a_conviction_ends_with_its_time(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        liar = await liar_among(world, machines, rng)
        asker = node_of(machines[0])
        assert accused_of(machines[0])
        asker.evidence._forget_what_is_over()
        assert accused_of(machines[0])
        machines[0].clock.set_wrong(EVIDENCE_SECONDS + 60)
        asker.evidence._forget_what_is_over()
        assert accused_of(machines[0]) == set()
        assert not asker._membership.liveness(liar.peer_id).counts_as_lost

    simulate(rng, 4, body)


def test_an_honest_holder_that_lost_a_pair_is_told_and_never_convicted(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        damage(machines[1])
        while (await audit(machines[0], machines[1])).verdict == "ok":
            pass
        (told,) = [each for each in (await node_of(machines[1]).status()).warnings if each.kind == "audit-failed"]
        assert "this node has lost a pair that it promised to keep, as 1 peer told it lately" in told.message
        await trio.sleep(5)
        assert all(accused_of(machine) == set() for machine in machines)

    simulate(rng, 4, body)


def test_evidence_that_convicts_nobody_changes_nothing_and_is_counted(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        await put(machines[0], rng.randbytes(5_000))
        asker, prover, other = machines[:3]
        peers = node_of(asker)._context.peers
        challenge: Challenge = await challenge_of(asker, prover)
        answer = (await peers.ask(prover.peer_id, AUDIT, challenge, expect=(Proven,))).message
        assert isinstance(answer, Proven)
        true = Evidence(kind=EvidenceKind.FALSE_PROOF, statements=(answer.proof,))
        told = TellVerdict(failure=Failure.WRONG, blob_id=challenge.receipt.blob_id, shard=0, evidence=true)
        await peers.ask(other.peer_id, AUDIT, told, expect=(VerdictHeard,))
        assert accused_of(other) == set()
        assert node_of(other).refused()["bad record"] == 1

    simulate(rng, 4, body)


def test_only_members_are_heard(rng: random.Random) -> None:
    async def body(_: World, machines: list[Machine]) -> None:
        service = node_of(machines[0]).evidence
        told = TellVerdict(failure=Failure.ABSENT, blob_id=factories.blob_id(), shard=0, evidence=None)
        with pytest.raises(RefusalError, match="only members"):
            await service.answer(factories.peer_id(99), told, b"")
        assert service.reproaches() == []

    simulate(rng, 4, body)


def test_what_a_node_does_not_take_hides_nothing_that_comes_after_it(rng: random.Random) -> None:
    """Evidence against strangers is passed over, however much of it a peer keeps."""

    async def body(world: World, machines: list[Machine]) -> None:
        liar = await liar_among(world, machines, rng)
        told, asker = node_of(machines[1]), node_of(machines[2])
        (name,) = accused_of(machines[1])
        question, blob = example(rng)
        false = falsified(proof_of(answer_of(question, blob)))
        network = asker._context.network_name
        for number in range(6):  # More than a page of those who are no members.
            envelope = factories.signed(false, factories.key(200 + number), network=network).envelope
            piece = Evidence(kind=EvidenceKind.FALSE_PROOF, statements=(envelope,))
            await told._context.store.save_evidence(name_of(piece), piece, heard_at=0)
        asker.evidence._convictions.forget(wall=1e12)
        assert accused_of(machines[2]) == set()
        await asker.evidence._compare(machines[1].peer_id)
        assert accused_of(machines[2]) == {name} == {peer_id_to_text(liar.peer_id)}

    simulate(rng, 4, body)

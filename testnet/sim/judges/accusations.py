"""Invariant 5: no honest node is ever blamed. What one passes on, or asks, no honest node calls a breach of the rules.

Watched are the verdicts on gossip (a REJECT costs the peer that passed it on its standing) and refusals as INVALID,
which no honest question deserves; every proof that an honest node signs must be true, and no evidence that a node keeps
is against an honest one. A node whose clock is wrong by more than is tolerated may be refused: it is left out for as
long as what it sent then can still be on its way.
"""

from __future__ import annotations

from crypto.peer_id import peer_id_from_text
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.challenge import check_answer, open_challenge
from p2pnode.protocols.evidence import evidence_in
from p2pnode.seams import Verdict
from testnet.sim.fabric import Host
from testnet.sim.judges.judgement import Findings
from testnet.sim.judges.wiretap import Told, Wiretap
from testnet.sim.world import NETWORK_NAME, World
from wire import limits
from wire.challenges import Challenge, Proven
from wire.ids import PeerId
from wire.messages import RefusalCode, Refused
from wire.records import Receipt

NAME = "no-honest-accused"

WRONG_CLOCK_ECHO_S = 2 * limits.CLOCK_SKEW_SECONDS
"""How long after a clock was set right the records that it dated may still be passed on as news."""


class AccusationJudge:
    """Watches a world."""

    name = NAME

    def __init__(self, world: World, wiretap: Wiretap) -> None:
        """Watch all honest nodes from now on."""
        self._world = world
        self._findings = Findings(NAME)
        self._names: dict[PeerId, str] = {}
        self._was_wrong_at: float | None = None
        wiretap.listeners.append(self._hear)
        world.fabric.on_verdict.append(self._hear_verdict)

    def check(self) -> int:
        """Tell what was found since the last time. Raises `JudgementError`."""
        self._look_at_clocks()
        self._look_at_evidence()
        return self._findings.deliver()

    def _hear_verdict(self, host: Host, via: PeerId, topic: str, verdict: Verdict) -> None:
        self._findings.looked()
        if verdict is not Verdict.REJECT:
            return
        passer = self._name_of(via)
        if passer and self._are_honest(host.name, passer) and not self._is_a_clock_wrong():
            kind = topic.rpartition("/")[2]
            self._findings.blame(
                f"gossip of {kind} that {passer} passed on was rejected by {host.name}", node=host.name
            )

    def _hear(self, told: Told) -> None:
        if isinstance(told.answer, Proven) and isinstance(told.question, Challenge):
            self._hear_proof(told, told.question, told.answer)
            return
        if not isinstance(told.answer, Refused) or not self._are_honest(told.node, told.asker):
            return
        self._findings.looked()
        if told.answer.code == RefusalCode.INVALID and not self._is_a_clock_wrong():
            what = f"a {type(told.question).__name__} of {told.asker} was refused as invalid: {told.answer.reason}"
            self._findings.blame(what, node=told.node)

    def _hear_proof(self, told: Told, challenge: Challenge, answer: Proven) -> None:
        """A false proof that an honest node signs would convict it for ever."""
        if not self._world.is_honest(told.node):
            return
        self._findings.looked()
        asker = self._world.machines[told.asker].peer_id
        try:
            if isinstance(challenge.receipt, Receipt):
                check_answer(answer, open_challenge(challenge, challenger=asker, network=NETWORK_NAME))
            elif evidence_in(answer, network=NETWORK_NAME) is not None:
                message = f"a false proof about {challenge.receipt.blob_id}"
                raise PeerFaultError(message)
        except PeerFaultError as error:
            self._findings.blame(f"an honest node has signed what convicts it: {error}", node=told.node)

    def _look_at_evidence(self) -> None:
        """Whatever a node keeps as evidence, whoever brought it, is against somebody with a bad habit."""
        for machine in self._world.running():
            if machine.habit is not None or not machine.is_ready:
                continue
            for each in machine.node.evidence.listed():
                self._findings.looked()
                accused = self._name_of(PeerId(peer_id_from_text(each.accused)))
                if accused and self._world.is_honest(accused):
                    self._findings.blame(f"it keeps evidence against {accused}: {each.reason}", node=machine.name)

    def _are_honest(self, *names: str) -> bool:
        return all(self._world.is_honest(name) for name in names)

    def _name_of(self, peer_id: PeerId) -> str:
        if peer_id not in self._names:
            self._names = {each.peer_id: name for name, each in sorted(self._world.machines.items())}
        return self._names.get(peer_id, "")

    def _is_a_clock_wrong(self) -> bool:
        self._look_at_clocks()
        now = self._world.clock.current_time()
        return self._was_wrong_at is not None and now - self._was_wrong_at < WRONG_CLOCK_ECHO_S

    def _look_at_clocks(self) -> None:
        machines = self._world.machines.values()
        if any(abs(each.clock.error_s) > limits.CLOCK_SKEW_SECONDS for each in machines):
            self._was_wrong_at = self._world.clock.current_time()

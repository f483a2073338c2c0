"""False accuser: whoever asks it for a proof is accused before all of having signed a false one, or of being silent."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import trio

from crypto.peer_id import public_key_of
from p2pnode.seams import Stream
from testnet.sim.habits.bending import MESSAGES, PEER_TROUBLE, BadHabit, Spoken
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire.challenges import Challenge, Proven
from wire.codec import encode
from wire.evidence import Evidence, EvidenceKind, Failure, TellVerdict
from wire.ids import PublicKey

ROUND_EVERY_S = 5.0

AUDIT, EVIDENCE = "audit", "evidence"


class FalseAccuser(BadHabit):
    """Makes evidence out of true proofs and other people's keys, and complaints out of nothing."""

    name: ClassVar[str] = "false-accuser"

    def __init__(self) -> None:
        """It has no proof to begin with."""
        super().__init__()
        self._proof: Proven | None = None
        self._asked: Challenge | None = None

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Answer truly, and keep the proof."""
        del stream
        if isinstance(asked.message, Challenge) and isinstance(answer.message, Proven):
            self._asked, self._proof = asked.message, answer.message
        return answer

    async def run(self, parts: NodeParts, world: World) -> None:
        """Accuse somebody else each time, for ever."""
        del world
        requester = self.requester()
        try:
            while True:
                await parts.clock.sleep(ROUND_EVERY_S)
                peers = self.peers()
                if self._proof is None or self._asked is None or not peers:
                    continue
                accused = self.rng.choice(peers)
                key = PublicKey(public_key_of(accused))
                true = Evidence(kind=EvidenceKind.FALSE_PROOF, statements=(self._proof.proof,))
                forged = replace(true, statements=(replace(self._proof.proof, signer=key),))
                evidence = self.rng.choice((true, forged))
                told = TellVerdict(
                    failure=self.rng.choice(list(Failure)),
                    blob_id=self._asked.receipt.blob_id,
                    shard=self._asked.receipt.shard,
                    evidence=evidence,
                )
                self.did("accused somebody falsely")
                await parts.network.publish(self.topics[EVIDENCE], encode(evidence))
                try:
                    with trio.fail_after(ROUND_EVERY_S):
                        await requester.request(self.rng.choice(peers), self.protocols[AUDIT], told, expect=MESSAGES)
                except PEER_TROUBLE:
                    continue
        finally:
            with trio.CancelScope(deadline=trio.current_time() + 1.0, shield=True):
                await requester.aclose()

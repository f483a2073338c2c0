"""Half slivers: of each sliver only the first half of its n symbols is kept, and audits are answered from that.

With all hashes kept the answer is true where only kept symbols are asked for. Where others are, the peer bluffs.
"""

from __future__ import annotations

import enum
from dataclasses import replace
from typing import ClassVar

from p2pnode.protocols.challenge import draw, seed_of
from p2pnode.seams import Stream
from testnet.sim.habits.bending import BadHabit, Spoken
from wire.challenges import Challenge, Proven, StorageProof
from wire.ids import Axis
from wire.messages import RefusalCode, Refused
from wire.signed import open_envelope, sign_record

KEPT_SHARE = 0.5


class Bluff(enum.StrEnum):
    """What a peer says that cannot answer."""

    SILENT = "silent"
    BUSY = "busy"
    FALSE = "false"


class HalfSlivers(BadHabit):
    """Answers audits from half of what it was given, and all else as if it had everything."""

    name: ClassVar[str] = "half-slivers"

    def __init__(self, bluff: Bluff) -> None:
        """Bluff in this way."""
        super().__init__()
        self._bluff = bluff

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Let a true answer pass when this peer could have given it."""
        del stream
        if not isinstance(asked.message, Challenge) or not isinstance(answer.message, Proven):
            return answer
        proof = open_envelope(answer.message.proof, StorageProof, network=self.network_name).record
        own = self.parts.network.peer_id
        seed = seed_of(proof, prover=own, network=self.network_name)
        asked_for = draw(seed, n=proof.n, symbol_size=len(proof.symbols[0]))
        missing = [not self.is_kept(proof, asked_for.axis, index) for index in asked_for.indices]
        if not any(missing):
            return answer
        self.did(f"could not answer a challenge, and was {self._bluff}")
        match self._bluff:
            case Bluff.SILENT:
                return None
            case Bluff.BUSY:
                return Spoken(Refused(code=RefusalCode.BUSY, reason="the disk is slow today"))
            case Bluff.FALSE:
                symbols = tuple(
                    self.rng.randbytes(len(symbol)) if is_missing else symbol
                    for symbol, is_missing in zip(proof.symbols, missing, strict=True)
                )
                false = replace(proof, symbols=symbols)
                signed = sign_record(false, key=self.parts.identity, network=self.network_name)
                return Spoken(Proven(proof=signed.envelope))

    def is_kept(self, proof: StorageProof, axis: Axis, index: int) -> bool:
        """Tell whether a symbol is kept of the sliver that a proof is about."""
        del axis
        return index < proof.n * KEPT_SHARE

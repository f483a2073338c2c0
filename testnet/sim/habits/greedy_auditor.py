"""A greedy auditor: it wants its receipts to say more than its audits have shown, or to say it twice."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from p2pnode.seams import Stream
from testnet.sim.habits.bending import MESSAGES, PEER_TROUBLE, BadHabit, Spoken
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire import limits
from wire.audit_receipts import AuditReceipt, SignedAudit
from wire.codec import decode
from wire.ids import Digest, PeerId
from wire.signed import sign_record

AUDIT = "audit"

AGAIN_S = 2.0
"""After so long it asks once more for what it was just given: while the holder still knows its answers."""


class GreedyAuditor(BadHabit):
    """Asks for receipts of audits that were not as it says; now and then for one that was, and then for it again."""

    name: ClassVar[str] = "greedy-auditor"

    def __init__(self) -> None:
        """Nothing was asked for yet."""
        super().__init__()
        self._true: list[tuple[PeerId, SignedAudit]] = []

    async def ask(self, stream: Stream, asked: Spoken) -> Spoken:
        """Ask for the signature of the holder under something else."""
        if not isinstance(asked.message, SignedAudit):
            return asked
        record = decode(asked.message.statement.body, AuditReceipt, bytes_max=limits.RECORD_BYTES_MAX)
        match self.rng.choice(("more bytes", "another answer", "true")):
            case "more bytes":
                self.did("asked for a receipt over more than was asked about")
                more = tuple(replace(each, pair_bytes=2 * each.pair_bytes + 2) for each in record.audits)
                return self._stated(replace(record, audits=more))
            case "another answer":
                self.did("asked for a receipt of an audit that never was")
                answer = Digest(self.rng.randbytes(Digest.length))
                return self._stated(replace(record, audits=(replace(record.audits[0], answer=answer),)))
            case _:
                self._true.append((stream.peer_id, asked.message))
                return asked

    def _stated(self, record: AuditReceipt) -> Spoken:
        statement = sign_record(record, key=self.parts.identity, network=self.network_name).envelope
        return Spoken(SignedAudit(statement=statement))

    async def run(self, parts: NodeParts, world: World) -> None:
        """Ask again for what is signed already."""
        del world
        requester = self.requester()
        while True:
            await parts.clock.sleep(AGAIN_S)
            while self._true:
                holder, message = self._true.pop()
                self.did("asked for the same receipt again")
                try:
                    await requester.request(holder, self.protocols[AUDIT], message, expect=MESSAGES)
                except PEER_TROUBLE:
                    continue

"""A clique's certificates: readers who look for a blob are sent to holders that never were."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from p2pnode.seams import Stream
from testnet.sim.habits.bending import BadHabit, Spoken
from testnet.sim.habits.crooked_blobs import Deed, clique_certificate
from wire import limits
from wire.messages import BlobRecord, GetRecord


class CliqueCertificates(BadHabit):
    """Answers with valid certificates, of its own owner key, whose every receipt is by a key that nobody runs."""

    name: ClassVar[str] = "clique-certificates"

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Tell a reader of a lease that ends later than all others, so that its certificate comes first."""
        del stream
        request, record = asked.message, answer.message
        if not isinstance(request, GetRecord) or not isinstance(record, BlobRecord) or not request.wants_certificates:
            return answer
        now = self.wall_seconds()
        deed = Deed(owner=self.parts.owner, network=self.network_name, time=now)
        certificate = clique_certificate(
            deed, request.blob_id, record.metadata.n, self.rng, sequence=now, end=now + limits.LEASE_SECONDS_MAX
        )
        self.did("named holders that never were")
        return Spoken(replace(record, certificates=(certificate.envelope,)))

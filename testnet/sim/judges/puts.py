"""Invariant 2: a put reports success only for n - f distinct shards that are durably stored by holders it heard from.

When a put returns, the certificate that it sent round is taken apart: each receipt in it must be one that its holder
sent to this writer for this very lease (or the writer's own), the holder must have the pair so that no power loss could
take it, and holders of n - f shards must have confirmed the certificate. Of a dishonest holder only the receipt can be
asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from p2pnode.protocols.receipts import pairs_of
from p2pnode.services.results import PutResult
from p2pnode.storage.names import PairKey, pair_name
from testnet.sim.judges.judgement import JudgementError
from testnet.sim.judges.pairs import HeldLease, PairInspector, held_lease, lease_digest
from testnet.sim.judges.receipts import BadBatchError, check_batch
from testnet.sim.judges.wiretap import Told, Wiretap
from testnet.sim.world import World
from wire import limits
from wire.codec import decode
from wire.errors import WireError
from wire.ids import BlobId, Digest, PublicKey, ShardIndex
from wire.messages import Certified, Certify, CommitLease, Committed, Stored, StorePair
from wire.records import Certificate, Envelope, LeaseKind
from wire.references import Reference

NAME = "puts-are-durable"


@dataclass(slots=True)
class _Certification:
    """A certificate that a writer has sent round, and who confirmed it."""

    certificate: Certificate
    lease: HeldLease
    confirmed_by: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Writer:
    """What one writer has heard: for each lease the pairs that holders signed for, and the certificates by digest."""

    receipts: dict[Digest, set[tuple[str, PairKey]]] = field(default_factory=dict)
    certifications: dict[Digest, _Certification] = field(default_factory=dict)


class PutJudge:
    """Watches a world; `put_done` is called for each put that has reported success."""

    name = NAME

    def __init__(self, world: World, wiretap: Wiretap, pairs: PairInspector) -> None:
        """Watch all writers from now on."""
        self._world = world
        self._pairs = pairs
        self._writers: dict[str, _Writer] = {}
        self._looked_at = 0
        wiretap.listeners.append(self._hear)

    def check(self) -> int:
        """Return how many shards were looked at since the last time: judged is when a put is done."""
        count, self._looked_at = self._looked_at, 0
        return count

    def put_done(self, writer: str, result: PutResult) -> None:
        """Judge a put that has just reported success. Raises `JudgementError`."""
        if not self._world.is_honest(writer):
            return
        heard = self._writers.setdefault(writer, _Writer())
        root = Reference.parse(result.id).blob_id
        named = [each for each in heard.certifications.values() if root in each.certificate.page.blob_ids]
        if not named:
            raise self._judgement("it reported success and sent no certificate to anybody", writer, root)
        lease = max(named, key=lambda each: (each.lease.record.end, each.lease.record.sequence)).lease
        self._check_lease(writer, root, lease, result)
        for each in heard.certifications.values():
            if each.lease.digest == lease.digest:
                self._check_page(writer, each, heard.receipts.get(lease.digest, set()))
        heard.receipts.pop(lease.digest, None)
        heard.certifications = {
            digest: each for digest, each in heard.certifications.items() if each.lease.digest != lease.digest
        }

    def _check_lease(self, writer: str, root: BlobId, lease: HeldLease, result: PutResult) -> None:
        if lease.record.kind != LeaseKind.FINAL:
            raise self._judgement("it reported success and certified no final lease", writer, root)
        if lease.record.n != result.n:
            raise self._judgement(f"it told of n = {result.n}, its lease of n = {lease.record.n}", writer, root)

    # ------------------------------------------------------------------ on the wire

    def _hear(self, told: Told) -> None:
        writer = self._writers.setdefault(told.asker, _Writer())
        match told.question, told.answer:
            case StorePair() as question, Stored():
                key = PairKey(question.blob_id, ShardIndex(question.shard))
                for lease in question.leases:
                    writer.receipts.setdefault(lease_digest(lease), set()).add((told.node, key))
            case CommitLease() as question, Committed():
                keys = [PairKey(*pair) for pair in pairs_of(question.page, question.shard_sets)]
                heard = writer.receipts.setdefault(lease_digest(question.lease), set())
                heard.update((told.node, key) for key in keys)
            case Certify() as question, Certified():
                self._hear_certified(writer, told.node, question.certificate)
            case _:
                pass

    def _hear_certified(self, writer: _Writer, node: str, envelope: Envelope) -> None:
        digest = lease_digest(envelope)
        if digest not in writer.certifications:
            try:
                certificate = decode(envelope.body, Certificate, bytes_max=limits.RECORD_BYTES_MAX)
                writer.certifications[digest] = _Certification(certificate, held_lease(certificate.lease))
            except WireError:
                return
        writer.certifications[digest].confirmed_by.add(node)

    # ------------------------------------------------------------------ a page

    def _check_page(self, writer: str, certification: _Certification, receipts: set[tuple[str, PairKey]]) -> None:
        page = certification.certificate.page
        durable: dict[BlobId, set[int]] = {blob_id: set() for blob_id in page.blob_ids}
        confirmed: dict[BlobId, set[int]] = {blob_id: set() for blob_id in page.blob_ids}
        for each in certification.certificate.holders:
            holder = self._name_of(each.batch.signer)
            keys = [PairKey(*pair) for pair in pairs_of(page, each.shard_sets)]
            self._check_receipt(writer, certification.lease, each.batch, keys)
            for key in keys:
                if holder != writer and (holder, key) not in receipts:
                    what = f"its certificate counts a receipt of {holder or 'nobody'} that this put never collected"
                    raise self._judgement(what, writer, key.blob_id)
                if self._is_durable(holder, key):
                    durable[key.blob_id].add(key.shard)
                if holder == writer or holder in certification.confirmed_by:
                    confirmed[key.blob_id].add(key.shard)
        n = certification.lease.record.n
        quorum = n - (n - 1) // 3
        for what, found in (("durably stored", durable), ("confirmed", confirmed)):
            for blob_id, shards in found.items():
                self._looked_at += len(shards)
                if len(shards) < quorum:
                    text = f"it reported success with {len(shards)} of {n} shards {what}, {quorum} are needed"
                    raise self._judgement(text, writer, blob_id)

    def _check_receipt(self, writer: str, lease: HeldLease, batch: Envelope, keys: Sequence[PairKey]) -> None:
        """Check that a receipt is one for these pairs under this lease, whoever has signed it."""
        try:
            check_batch(batch, lease=lease.digest, lease_end=lease.record.end, pairs=keys)
        except BadBatchError as error:
            what = f"its certificate counts a receipt that proves nothing: {error}"
            raise self._judgement(what, writer, keys[0].blob_id) from error

    def _is_durable(self, holder: str, key: PairKey) -> bool:
        """Tell whether a holder has a pair; of a dishonest one, and of a damaged disk, only the receipt can count."""
        files = self._world.machines[holder].files
        if not self._world.is_honest(holder) or files.is_injured(pair_name(key.blob_id, key.shard)):
            return True
        return not isinstance(self._pairs.durable(holder, files, key), str)

    def _name_of(self, signer: PublicKey) -> str:
        found = [name for name, each in self._world.machines.items() if each.identity.public == signer]
        return found[0] if found else ""

    def _judgement(self, what: str, node: str, blob_id: BlobId) -> JudgementError:
        return JudgementError(NAME, what, node=node, subject=blob_id.text())

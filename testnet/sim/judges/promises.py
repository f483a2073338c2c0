"""Invariant 1: whoever signed a receipt holds the pair, durably at that moment and whole until the lease ends.

When a receipt leaves an honest node, its pair and its lease must be on that node's disk so that no power loss at this
instant could take them: "signed before it was durable" is found although no crash comes at the wrong moment. Later, at
each check, the pair must still be there. Every now and then the production store is opened on what a power loss would
leave of a disk, and must find everything that was promised. Excepted is what a scenario has damaged behind the node's
back: that it is never served is another judge's matter; of a node that a scenario lets leave for good what it has
retracted; and blobs of no encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pnode.coding import CodingError
from p2pnode.errors import P2PNodeError
from p2pnode.protocols.receipts import pairs_of
from p2pnode.storage import reader
from p2pnode.storage.engine import Engine
from p2pnode.storage.names import PairKey, pair_name, record_name
from p2pnode.storage.recovery import open_engine
from p2pnode.storage.sealed import DamagedFileError
from p2pnode.storage.store import TRASH_S_DEFAULT
from testnet.sim.clock import WALL_EPOCH_S
from testnet.sim.judges.crooked import crooked_blobs
from testnet.sim.judges.judgement import Findings, JudgementError
from testnet.sim.judges.leases import RecordInspector, end_of
from testnet.sim.judges.pairs import HeldLease, PairInspector, WholePair, held_lease, lease_digest
from testnet.sim.judges.receipts import BadBatchError, check_batch, open_batch
from testnet.sim.judges.wiretap import Told, Wiretap
from testnet.sim.world import QUOTA_BYTES, World
from wire import limits
from wire.codec import decode
from wire.errors import WireError
from wire.ids import Axis, Digest, ShardIndex
from wire.messages import Certified, Certify, CommitLease, Committed, Stored, StorePair
from wire.records import Certificate, Envelope, GroupPage, ShardSet

NAME = "promises-kept"

REOPENED_PAIRS_MAX = 12
"""Pairs of one reopened disk that are read back: each costs a look into the index and a file."""


@dataclass(slots=True)
class _Promise:
    """What one node signed for one pair: its leases by their digests, and the number of the last receipt."""

    leases: dict[Digest, HeldLease]
    number: int = 0


class PromiseJudge:
    """Watches a world."""

    name = NAME

    def __init__(self, world: World, wiretap: Wiretap, pairs: PairInspector, records: RecordInspector) -> None:
        """Watch all honest nodes from now on."""
        self._world = world
        self._pairs = pairs
        self._records = records
        self._findings = Findings(NAME)
        self._rng = world.generator("judges/promises")
        self._promises: dict[tuple[str, PairKey], _Promise] = {}
        self.leaving: set[str] = set()
        """Nodes that a scenario lets drain: they may end receipts for pairs that they could keep."""
        self._in_effect: set[tuple[str, Digest]] = set()
        """Nodes and the final leases whose certificate they have confirmed."""
        self._certificates: dict[Digest, Certificate] = {}
        self._numbered: dict[tuple[str, int], bytes] = {}
        """What each node has signed with each of its numbers."""
        wiretap.listeners.append(self._hear)
        wiretap.on_nonsense.append(self._hear_nonsense)

    def promised(self, node: str) -> list[PairKey]:
        """Return the pairs for which a node has signed and whose leases have not ended, in order."""
        ended, crooked = self._ended(node), crooked_blobs(self._world)
        return sorted(
            key
            for (name, key), promise in self._promises.items()
            if name == node
            and key.blob_id not in crooked
            and self._is_live(name, promise)
            and promise.number > ended.get(key, -1)
        )

    def check(self) -> int:
        """Check that what was promised is still there. Raises `JudgementError`."""
        self._findings.deliver()
        live = [(node, key) for node in sorted({name for name, _ in self._promises}) for key in self.promised(node)]
        for node, key in live:
            self._check_present(node, key)
        if live:
            self._check_reopened(self._rng.choice(live)[0])
        return len(live)

    def _ended(self, node: str) -> dict[PairKey, int]:
        """Return with which number a node that leaves has ended its receipts for each pair."""
        if node not in self.leaving:
            return {}
        machine = self._world.machines[node]
        return self._records.retracted(machine.files, machine.identity.public)

    # ------------------------------------------------------------------ on the wire

    def _hear(self, told: Told) -> None:
        if not self._world.is_honest(told.node):
            return
        match told.question, told.answer:
            case StorePair() as question, Stored() as answer:
                self._hear_stored(told.node, question, answer)
            case CommitLease() as question, Committed() as answer:
                self._hear_committed(told.node, question, answer)
            case Certify() as question, Certified():
                self._hear_certified(told.node, question.certificate)
            case _:
                pass

    def _hear_nonsense(self, node: str, reason: str) -> None:
        self._findings.blame(f"it sent what nobody can read: {reason}", node=node)

    def _hear_stored(self, node: str, question: StorePair, answer: Stored) -> None:
        key = PairKey(question.blob_id, ShardIndex(question.shard))
        if len(answer.batches) != len(question.leases):
            self._findings.blame("it did not sign for each lease of a pair", node=node, subject=key.blob_id.text())
            return
        for envelope, batch in zip(question.leases, answer.batches, strict=True):
            page = GroupPage(page_index=0, blob_ids=(key.blob_id,), path=())
            sets = (ShardSet(shard=key.shard, blobs=b"\x01"),)
            record = CommitLease(lease=envelope, page=page, shard_sets=sets)
            self._take(node, batch, record, [key])

    def _hear_committed(self, node: str, question: CommitLease, answer: Committed) -> None:
        keys = [PairKey(*pair) for pair in pairs_of(question.page, question.shard_sets)]
        self._take(node, answer.batch, question, keys)

    def _hear_certified(self, node: str, envelope: Envelope) -> None:
        digest = lease_digest(envelope)
        certificate = self._certificate(digest, envelope)
        if certificate is None:
            self._findings.blame("it confirmed a certificate that cannot be read", node=node)
            return
        self._findings.looked()
        lease = lease_digest(certificate.lease)
        self._in_effect.add((node, lease))
        files = self._world.machines[node].files
        if files.certain(record_name(digest)) is None and not self._has_one_as_good(node, certificate):
            subject = certificate.page.blob_ids[0].text()
            self._findings.blame("it confirmed a certificate that it could still lose", node=node, subject=subject)

    def _certificate(self, digest: Digest, envelope: Envelope) -> Certificate | None:
        """Return a certificate; the first time, take the receipt in it that its writer gave to itself, off the wire."""
        known = self._certificates.get(digest)
        if known is not None:
            return known
        try:
            certificate = decode(envelope.body, Certificate, bytes_max=limits.RECORD_BYTES_MAX)
        except WireError:
            return None
        self._certificates[digest] = certificate
        for name, machine in sorted(self._world.machines.items()):
            for each in certificate.holders if self._world.is_honest(name) else ():
                if each.batch.signer == machine.identity.public:
                    keys = [PairKey(*pair) for pair in pairs_of(certificate.page, each.shard_sets)]
                    record = CommitLease(lease=certificate.lease, page=certificate.page, shard_sets=each.shard_sets)
                    self._take(name, each.batch, record, keys)
        return certificate

    def _has_one_as_good(self, node: str, certificate: Certificate) -> bool:
        lease, page = lease_digest(certificate.lease), certificate.page.page_index
        kept = self._records.certificates(self._world.machines[node].files)
        same = [each for each in kept if lease_digest(each.lease) == lease and each.page.page_index == page]
        return any(len(each.holders) >= len(certificate.holders) for each in same)

    # ------------------------------------------------------------------ a receipt

    def _take(self, node: str, batch: Envelope, record: CommitLease, keys: Sequence[PairKey]) -> None:
        """Check a receipt at the moment at which it is given, and remember it."""
        self._findings.looked(len(keys))
        subject = keys[0].blob_id.text() if keys else ""
        lease = held_lease(record.lease)
        machine = self._world.machines[node]
        if batch.signer != machine.identity.public:
            self._findings.blame("it sent a receipt that another key has signed", node=node, subject=subject)
            return
        try:
            check_batch(batch, lease=lease.digest, lease_end=lease.record.end, pairs=keys)
        except BadBatchError as error:
            self._findings.blame(f"it sent a receipt that cannot count: {error}", node=node, subject=subject)
            return
        number = open_batch(batch).sequence
        if self._numbered.setdefault((node, number), batch.body) != batch.body:
            self._findings.blame(f"it signed two receipts with number {number}", node=node, subject=subject)
        for key in keys:
            promise = self._promises.setdefault((node, key), _Promise({}))
            promise.leases[lease.digest] = lease
            promise.number = max(promise.number, number)
            self._check_durable(node, key, lease, record)

    def _check_durable(self, node: str, key: PairKey, lease: HeldLease, record: CommitLease) -> None:
        files = self._world.machines[node].files
        if files.is_injured(pair_name(key.blob_id, key.shard)):
            return
        found = self._pairs.durable(node, files, key)
        if not isinstance(found, WholePair):
            what = f"it signed for shard {key.shard} of {key.blob_id.text()}, which it could still lose: {found}"
            self._findings.blame(what, node=node, subject=key.blob_id.text())
            return
        is_leased = any(each.digest == lease.digest for each in found.leases)
        if not (is_leased or self._records.has_lease_record(files, record) or self._records.covers(files, lease, key)):
            what = f"it signed for shard {key.shard} of {key.blob_id.text()} under a lease that it could still lose"
            self._findings.blame(what, node=node, subject=key.blob_id.text())

    # ------------------------------------------------------------------ later

    def _is_live(self, node: str, promise: _Promise) -> bool:
        """Tell whether a lease still runs, by every clock that is right within the tolerated skew."""
        now = WALL_EPOCH_S + self._world.clock.current_time() + limits.CLOCK_SKEW_SECONDS
        running = [lease for lease in promise.leases.values() if lease.record.end > now]
        kept = [each for each in running if each.is_provisional or self._is_in_effect(node, each.digest)]
        if not kept:
            return False
        tombstones = self._records.tombstones(self._world.machines[node].files)
        return any(end_of(lease, tombstones) > now for lease in kept)

    def _is_in_effect(self, node: str, lease: Digest) -> bool:
        if (node, lease) in self._in_effect:
            return True
        files = self._world.machines[node].files
        kept = self._records.certificates(files)
        renewed = self._records.renewals(files).values()
        if any(lease_digest(each.lease) == lease for each in kept) or any(lease in each for each in renewed):
            self._in_effect.add((node, lease))
            return True
        return False

    def _check_present(self, node: str, key: PairKey) -> None:
        files = self._world.machines[node].files
        found = self._pairs.present(node, files, key)
        if isinstance(found, str) and not files.is_injured(pair_name(key.blob_id, key.shard)):
            what = f"it signed for shard {key.shard} of {key.blob_id.text()} and does not hold it: {found}"
            raise JudgementError(NAME, what, node=node, subject=key.blob_id.text())

    def _check_reopened(self, node: str) -> None:
        """Open the production store on what a power loss now would leave, and read back what the node has promised.

        What its worker threads would do is done at once, so that no time passes in the world.
        """
        machine = self._world.machines[node]
        keys = self.promised(node)
        keys = self._rng.sample(keys, min(REOPENED_PAIRS_MAX, len(keys)))
        keys = [key for key in keys if not machine.files.is_injured(pair_name(key.blob_id, key.shard))]
        engine = open_engine(machine.files.image(self._rng), machine.clock, QUOTA_BYTES, TRASH_S_DEFAULT)
        try:
            for key in sorted(keys):
                self._check_read_back(node, engine, key)
        finally:
            engine.database.close()

    def _check_read_back(self, node: str, engine: Engine, key: PairKey) -> None:
        subject = key.blob_id.text()
        what = f"after a power loss it would not find shard {key.shard} of {subject}, for which it signed"
        try:
            held = reader.held(engine, key.blob_id)
            if held is None or key.shard not in held.shards:
                raise JudgementError(NAME, what, node=node, subject=subject)
            metadata = self._pairs.learn(key.blob_id, held.metadata)
            pair = (key.shard - int.from_bytes(key.blob_id, "big") % metadata.n) % metadata.n
            for axis, index in ((Axis.PRIMARY, pair), (Axis.SECONDARY, metadata.n - 1 - pair)):
                data = reader.read_sliver(engine, key.blob_id, axis, index)
                if not self._pairs.is_good(metadata, axis, index, data):
                    raise JudgementError(NAME, f"{what}: other bytes come back", node=node, subject=subject)
        except (P2PNodeError, CodingError, DamagedFileError) as error:
            raise JudgementError(NAME, f"{what}: {error}", node=node, subject=subject) from error

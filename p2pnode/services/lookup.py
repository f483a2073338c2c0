"""Finding a blob: its metadata, and who holds which shard (PROTOCOL section 6).

Order: our own records, then the committee that a certificate names, then placement's candidates, then who announced the
id. What comes back is checked: metadata against the blob id, certificates and all other records by their signatures.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import trio

from p2pnode.coding import BlobMetadata, CodingError
from p2pnode.errors import (
    HoldersSilentError,
    LocalStorageError,
    NotFoundError,
    PeerFaultError,
    PeerSilentError,
    PeerUnavailableError,
)
from p2pnode.placement.candidates import order_of_asking
from p2pnode.protocols.certificates import CheckedCertificate, check_certificate
from p2pnode.protocols.inconsistency import Contradiction, check_contradiction
from p2pnode.protocols.page_records import PageRecords, check_holder_record, page_name
from p2pnode.protocols.receipt_set import ReceiptSet
from p2pnode.protocols.retractions import open_retraction
from p2pnode.protocols.store import open_metadata
from p2pnode.protocols.sync import fitting_bundle
from p2pnode.reputation.passed import PassedAudits
from p2pnode.services.announce import Announcer
from p2pnode.services.context import Context
from p2pnode.services.membership import Membership
from wire.ids import BlobId, Digest, PeerId, ShardIndex
from wire.inconsistency import InconsistentBlob
from wire.messages import BlobRecord, ExchangePage, GetRecord, NoRecord, PageExchanged
from wire.records import Envelope, RecordBundle

log = logging.getLogger(__name__)

ASKED_AT_ONCE = 3
"""Peers asked for a record at a time; the first good answer ends the search."""

ASKED_MAX = 200
"""Peers asked for one record in all: twice the largest default n, so that the top ranks are all among them."""


@dataclass(frozen=True, slots=True)
class FoundBlob:
    """A blob that can be asked for."""

    metadata: BlobMetadata
    holders: Mapping[ShardIndex, tuple[PeerId, ...]]
    certificate: CheckedCertificate | None
    """The one with the longest lease that was found; None for an upload that was never finished."""
    receipts: ReceiptSet
    """What certificate, holder records and retractions say together."""

    def names_more_than(self, other: FoundBlob) -> bool:
        """Tell whether this names a holder of some shard that the other does not."""
        return any(set(peers) - set(other.holders.get(shard, ())) for shard, peers in self.holders.items())


@dataclass(slots=True)
class Findings:
    """What is known so far about one blob, or about all blobs of a certificate's page."""

    blob_id: BlobId
    passed: PassedAudits
    metadata: BlobMetadata | None = None
    certificate: CheckedCertificate | None = None
    records: PageRecords = field(default_factory=PageRecords)
    """Holder records and retractions."""
    held: dict[ShardIndex, set[PeerId]] = field(default_factory=dict)
    silent: int = 0
    unreachable: int = 0
    unknown: int = 0
    contradiction: Contradiction | None = None
    """The proof that it is inconsistent, checked here."""

    @property
    def is_whole(self) -> bool:
        """Whether the blob can be asked for, or never."""
        return self.contradiction is not None or (self.metadata is not None and self.certificate is not None)

    def add_certificate(self, certificate: CheckedCertificate | None) -> None:
        """Keep the certificate whose lease ends last."""
        if certificate is None or not certificate.shards(self.blob_id):
            return
        known = self.certificate
        if known is None or certificate.lease.record.end > known.lease.record.end:
            self.certificate = certificate

    def found(self) -> FoundBlob | None:
        """Return the blob once its metadata is known."""
        if self.metadata is None:
            return None
        receipts = self.receipts()
        holders = {shard: set(peers) for shard, peers in self.held.items()}
        for shard in map(ShardIndex, range(self.metadata.n)):
            # Whoever says that it holds a shard is asked too, but not who has retracted it and says nothing else.
            holders.setdefault(shard, set()).update(receipts.holders((self.blob_id, shard), now=0.0))
        ordered = {shard: tuple(sorted(peers)) for shard, peers in sorted(holders.items()) if peers}
        return FoundBlob(self.metadata, ordered, self.certificate, receipts)

    def receipts(self) -> ReceiptSet:
        """Return what all that was found says of receipts."""
        certificates = () if self.certificate is None else (self.certificate.signed,)
        audited = self.passed.of([self.blob_id])
        return self.records.joined(PageRecords(certificates=certificates)).receipt_set(audited=audited)


class Lookup:
    """Looks blobs up for one read; certificates found on the way serve all blobs of their page."""

    def __init__(self, context: Context, membership: Membership, announcer: Announcer) -> None:
        """Ask the members that are known."""
        self._context = context
        self._membership = membership
        self._announcer = announcer
        self._by_blob: dict[BlobId, CheckedCertificate] = {}
        self._by_page: dict[Digest, PageRecords] = {}

    async def find(self, blob_id: BlobId, *, seed: bytes | None = None, asks_everyone: bool = False) -> FoundBlob:
        """Find a blob; `seed` is what placed it when that is not its own id.

        The first whole record is enough, unless `asks_everyone`: a certificate proves what its signers said, and
        strangers may have signed one that names nobody who keeps the blob. Then all who claim a shard are found.

        Raises `NotFoundError` when nobody who answered knows it, `HoldersSilentError` when some never answered,
        `InconsistentDataError` with the proof of somebody who has it.
        """
        findings = Findings(blob_id, self._context.passed, contradiction=self._context.inconsistent.get(blob_id))
        findings.add_certificate(self._by_blob.get(blob_id))
        try:
            await self._ask_ourselves(findings)
        except LocalStorageError as error:
            log.warning("our own record of %s cannot be read, others are asked: %s", blob_id.text(), error)
        if asks_everyone or not findings.is_whole:
            order = await self._order(findings, seed or blob_id)
            await self._ask_others(findings, order, asks_everyone=asks_everyone)
        if findings.contradiction is not None:
            self._context.inconsistent.found(findings.contradiction, ())
            raise findings.contradiction.error
        if findings.certificate is not None:
            self._by_blob.update(dict.fromkeys(findings.certificate.page.blob_ids, findings.certificate))
        found = findings.found()
        if found is None:
            raise _not_found(findings)
        return found

    async def find_certificate(self, blob_id: BlobId, *, seed: bytes) -> CheckedCertificate | None:
        """Return a certificate that names a blob's holders, None when nobody has one; raises as `find` does."""
        known = self._by_blob.get(blob_id)
        return known if known is not None else (await self.find(blob_id, seed=seed)).certificate

    async def find_receipts(self, blob_id: BlobId, *, seed: bytes) -> tuple[CheckedCertificate | None, ReceiptSet]:
        """Return a certificate that names a blob's holders, if anybody has one, and what is known of its receipts.

        Costs one question for all blobs of a certificate's page. Raises as `find` does.
        """
        certificate = self._by_blob.get(blob_id)
        if certificate is None:
            found = await self.find(blob_id, seed=seed)
            return found.certificate, found.receipts
        records = await self.records_of(certificate)
        return certificate, records.receipt_set(audited=self._context.passed.of([blob_id]))

    async def records_of(self, certificate: CheckedCertificate) -> PageRecords:
        """Return what is known of the receipts of a certificate's page: the certificate, and what came after it."""
        page = page_name(certificate.lease.signer, certificate.lease.record.target, certificate.page.page_index)
        if page not in self._by_page:
            self._by_page[page] = await self._records_of_page(page, certificate)
        return self._by_page[page].joined(PageRecords(certificates=(certificate.signed,)))

    async def _records_of_page(self, page: Digest, certificate: CheckedCertificate) -> PageRecords:
        """Return the holder records and retractions of a page: ours, and those of a few connected holders."""
        context = self._context
        records = await context.store.receipts.records_of_page(page)
        named = {peer for peers in certificate.holders.values() for peer in peers}
        connected = [each.peer_id for each in context.network.connected() if each.peer_id in named]
        question = ExchangePage(page=page, has=(), records=fitting_bundle(PageRecords()))
        for peer_id in sorted(connected)[:ASKED_AT_ONCE]:
            try:
                reply = await context.peers.ask(peer_id, "sync", question, expect=(PageExchanged,))
            except (PeerUnavailableError, PeerFaultError) as error:
                log.debug("no receipts of a page: %s", error)
                continue
            assert isinstance(reply.message, PageExchanged)
            bundle, blobs = reply.message.records, frozenset(certificate.page.blob_ids)
            checked = await context.offload.run(_check_others, bundle, blobs, context.network_name)
            records = records.joined(checked)
        return PageRecords(holders=records.holders, retractions=records.retractions)

    async def _ask_ourselves(self, findings: Findings) -> None:
        store = self._context.store
        held = await store.held(findings.blob_id)
        if held is not None:
            findings.metadata = open_metadata(findings.blob_id, held.metadata)
            for shard in held.shards:
                findings.held.setdefault(ShardIndex(shard), set()).add(self._context.own)
        findings.records = await store.receipts.records_of_blob(findings.blob_id)  # Checked before they were stored.
        if findings.certificate is not None:
            return  # It came with another blob of its page: checking it again for each of them would be slow.
        for envelope in await store.certificates(findings.blob_id):
            await self._take_certificate(findings, envelope)

    async def _order(self, findings: Findings, seed: bytes) -> list[PeerId]:
        """Return whom to ask, each once: connected members of the committee first."""
        members = self._membership.known_candidates()
        candidates = await self._context.offload.run(order_of_asking, seed, members)
        connected = {each.peer_id for each in self._context.network.connected()}
        committee: Sequence[PeerId] = ()
        if findings.certificate is not None:
            named = {peer for peers in findings.certificate.shards(findings.blob_id).values() for peer in peers}
            committee = sorted(named, key=lambda peer: (peer not in connected, peer))
        # Who is not connected may be gone; asking the others first costs nothing and saves a dial. That is only for
        # the best ranks: a node may be connected with more than ASKED_MAX others that keep nothing of this.
        ranked = sorted((each.peer_id for each in candidates[:ASKED_MAX]), key=lambda peer: peer not in connected)
        announcer = self._announcer.heard_from(findings.blob_id)
        everyone = [*committee, *ranked, *([announcer] if announcer is not None else [])]
        return [peer for peer in dict.fromkeys(everyone) if peer != self._context.own]

    async def _ask_others(self, findings: Findings, order: list[PeerId], *, asks_everyone: bool) -> None:
        """Ask a few at a time, one more whenever one failed or is late, until the record is whole."""
        with trio.move_on_after(self._context.profile.get_timeout_s) as deadline:
            async with trio.open_nursery() as nursery:
                running: set[PeerId] = set()
                changed = trio.Event()

                async def ask(peer_id: PeerId) -> None:
                    await self._ask(findings, peer_id)
                    running.discard(peer_id)
                    changed.set()

                waiting = list(reversed(order))
                while waiting or running:
                    while waiting and len(running) < ASKED_AT_ONCE:
                        running.add(waiting[-1])
                        nursery.start_soon(ask, waiting.pop())
                    with trio.move_on_after(self._context.profile.hedge_after_s) as late:
                        await changed.wait()
                    changed = trio.Event()
                    if findings.is_whole and not asks_everyone:
                        break
                    if late.cancelled_caught and waiting:
                        running.add(waiting[-1])
                        nursery.start_soon(ask, waiting.pop())
                nursery.cancel_scope.cancel()
        if deadline.cancelled_caught:
            findings.silent += 1

    async def _ask(self, findings: Findings, peer_id: PeerId) -> None:
        request = GetRecord(blob_id=findings.blob_id, wants_certificates=findings.certificate is None)
        try:
            kinds = (BlobRecord, NoRecord, InconsistentBlob)
            reply = await self._context.peers.ask(peer_id, "read", request, expect=kinds)
            if isinstance(reply.message, NoRecord):
                findings.unknown += 1
                return
            if isinstance(reply.message, InconsistentBlob):
                findings.contradiction = await self._context.offload.run(
                    check_contradiction, reply.message, reply.payload, findings.blob_id
                )
                return
            assert isinstance(reply.message, BlobRecord)
            await self._take_record(findings, peer_id, reply.message)
        except PeerSilentError:
            findings.silent += 1
        except (PeerUnavailableError, PeerFaultError) as error:
            log.debug("no record of %s: %s", findings.blob_id.text(), error)
            findings.unreachable += 1

    async def _take_record(self, findings: Findings, peer_id: PeerId, record: BlobRecord) -> None:
        try:
            metadata = open_metadata(findings.blob_id, record.metadata)
        except CodingError as error:
            raise PeerFaultError(str(error)) from error
        findings.metadata = metadata
        for shard in record.shards_held:
            if shard < metadata.n:
                findings.held.setdefault(ShardIndex(shard), set()).add(peer_id)
        for envelope in record.certificates:
            await self._take_certificate(findings, envelope)
        if record.holders or record.retractions:
            context = self._context
            blobs = frozenset({findings.blob_id})
            checked = await context.offload.run(_check_others, record, blobs, context.network_name)
            findings.records = findings.records.joined(checked)

    async def _take_certificate(self, findings: Findings, envelope: Envelope) -> None:
        """Count a certificate that is valid; a bad one is not worth an error, because another may be good."""
        context = self._context
        try:
            checked = await context.offload.run(_check_certificate, envelope, context.network_name)
        except PeerFaultError as error:
            log.info("a certificate of %s does not count: %s", findings.blob_id.text(), error)
            return
        findings.add_certificate(checked)

    def distances(self, peers: Sequence[PeerId]) -> dict[PeerId, int]:
        """Return how soon each peer is likely to answer: ourselves, connected, others, lost."""
        connected = {each.peer_id for each in self._context.network.connected()}
        result = {}
        for peer_id in peers:
            if peer_id == self._context.own:
                result[peer_id] = 0
            elif peer_id in connected:
                result[peer_id] = 1
            else:
                result[peer_id] = 3 if self._membership.liveness(peer_id).counts_as_lost else 2
        return result


def _not_found(findings: Findings) -> Exception:
    name = findings.blob_id.text()
    asked = f"{findings.unknown} peers do not know it, {findings.unreachable} could not be reached"
    if findings.silent:
        return HoldersSilentError(
            f"no record of {name} yet: {findings.silent} peers were silent until the deadline, {asked}; try again"
        )
    return NotFoundError(f"no record of {name} anywhere: {asked}; check the id")


def _check_certificate(envelope: Envelope, network: str) -> CheckedCertificate:
    return check_certificate(envelope, network=network)


def _check_others(record: BlobRecord | RecordBundle, blobs: frozenset[BlobId], network: str) -> PageRecords:
    """Return those holder records and retractions of some blobs that are valid; bad ones are worth no error."""
    holders, retractions = [], []
    for each in record.holders:
        if blobs.intersection(each.page.blob_ids):
            with contextlib.suppress(PeerFaultError):
                holders.append(check_holder_record(each, network=network))
    for envelope in record.retractions:
        with contextlib.suppress(PeerFaultError):
            retraction = open_retraction(envelope, network=network)
            if retraction.record.blob_id in blobs:
                retractions.append(retraction)
    return PageRecords(holders=tuple(holders), retractions=tuple(retractions))

"""What a node makes of records of receipts that a peer brings: which are checked, taken, refused, or answered.

A record is looked at from cheap to dear: whether it is of the page in question, under a lease that some pair of ours
is under as well, by a signer who has a claim to a place; then its signatures. Whatever is refused is counted and
releases nothing. A receipt in our own name for a pair that we do not hold is answered with our retraction.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from crypto.hashing import tagged_hash
from crypto.peer_id import peer_id_of
from p2pnode.errors import PeerFaultError
from p2pnode.membership.refusals import Refused
from p2pnode.protocols.certificates import CheckedCertificate, check_certificate
from p2pnode.protocols.page_records import (
    NamedHolder,
    PageRecords,
    check_holder_record,
    holder_record_name,
    page_name,
)
from p2pnode.protocols.receipt_set import Pair, View
from p2pnode.protocols.retractions import open_retraction, pair_of
from wire import limits
from wire.codec import decode, encode
from wire.errors import WireError
from wire.ids import BlobId, Digest, PeerId, PublicKey
from wire.records import Certificate, Envelope, HolderRecord, Lease, RecordBundle, Retraction

CHECKS_PER_PEER_MAX = 20_000
"""Signature checks that one peer may cost at once: some two seconds of one core, two hundred full certificates."""

CHECKS_PER_SECOND = 200
"""How fast that fills up again: two per cent of a core for each peer that never stops."""

PAYERS_MAX = 10_000
"""Peers whose budget is remembered, as many as there may be members; who asked longest ago makes room."""

REFUSED_REMEMBERED_MAX = 10_000
"""Records that were refused and are not asked for again for a while: 32 bytes each."""

ANSWER_HEAD_BYTES = 160 * 1024
"""Room in a message for all but its records: PAGE_RECORDS_MAX names of 34 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What records of a page are checked against."""

    page: Digest
    known: PageRecords
    owners: frozenset[PublicKey]
    """Who has leases on pairs of ours of the page."""
    view: View
    own: PeerId
    own_key: PublicKey
    network: str
    wall: float


@dataclass(slots=True)
class Taken:
    """Records that were checked; nothing was kept yet."""

    view: View
    certificates: list[CheckedCertificate] = field(default_factory=list)
    records: PageRecords = field(default_factory=PageRecords)
    """Holder records and retractions; certificates as well when we hold pairs of the page."""
    refused: list[tuple[Digest, Refused]] = field(default_factory=list)
    own_promises: dict[Pair, int] = field(default_factory=dict)
    """The highest number of a receipt in our own name that the records show, for each pair."""


class _RefusedRecordError(Exception):
    def __init__(self, reason: Refused) -> None:
        super().__init__(reason)
        self.reason = reason


def blobs_of_bundle(bundle: RecordBundle) -> list[BlobId]:
    """Return the blobs that records speak of, unchecked, each once; what cannot be read is left out."""
    found: dict[BlobId, None] = {}
    for envelope in bundle.certificates:
        try:
            record = decode(envelope.body, Certificate, bytes_max=limits.RECORD_BYTES_MAX)
        except WireError:
            continue
        found.update(dict.fromkeys(record.page.blob_ids))
    for holder in bundle.holders:
        found.update(dict.fromkeys(holder.page.blob_ids))
    return list(found)


def page_seed(bundle: RecordBundle, known: PageRecords) -> tuple[bytes, int] | None:
    """Return by what candidates for a page are ranked, and its n; None when no record tells.

    It is what placed the blobs: the salt of a file, the id of a blob.
    """
    leases = [each.record.lease for each in known.certificates] + [each.lease.envelope for each in known.holders]
    leases += [each.lease for each in bundle.holders]
    for envelope in leases[:1]:
        try:
            lease = decode(envelope.body, Lease, bytes_max=limits.RECORD_BYTES_MAX)
        except WireError:
            return None
        return lease.target if lease.salt is None else lease.salt, lease.n
    return None


def cost_of(bundle: RecordBundle) -> int:
    """Return about how many signatures checking these records may cost."""
    certified = sum(1 + len(each.body) // _RECEIPT_BYTES for each in bundle.certificates)
    return certified + 2 * len(bundle.holders) + len(bundle.retractions)


_RECEIPT_BYTES = 256
"""A holder's receipts take about so much of a certificate."""


def check_bundle(bundle: RecordBundle, setting: Setting) -> Taken:
    """Check what a peer brought of a page. Costs a signature for each receipt: call it in a worker."""
    taken = Taken(setting.view)
    for envelope in bundle.certificates:
        name = _name(envelope)
        try:
            certificate = _check_certificate(envelope, setting)
        except _RefusedRecordError as error:
            taken.refused.append((name, error.reason))
        else:
            taken.certificates.append(certificate)
            taken.records = taken.records.joined(PageRecords(certificates=(certificate.signed,)))
    for holder in bundle.holders:
        try:
            checked = _check_holder(holder, setting, taken.records)
        except _RefusedRecordError as error:
            taken.refused.append((holder_record_name(holder), error.reason))
        else:
            taken.records = taken.records.joined(PageRecords(holders=(checked,)))
    _take_retractions(bundle.retractions, setting, taken)
    taken.own_promises = _own_promises(setting.known.joined(taken.records), setting)
    return taken


def _check_certificate(envelope: Envelope, setting: Setting) -> CheckedCertificate:
    try:
        record = decode(envelope.body, Certificate, bytes_max=limits.RECORD_BYTES_MAX)
        lease = decode(record.lease.body, Lease, bytes_max=limits.RECORD_BYTES_MAX)
    except WireError:
        raise _RefusedRecordError(Refused.RECEIPT_UNREADABLE) from None
    names_us = any(each.batch.signer == setting.own_key for each in record.holders)
    _check_lease(lease, record.lease, record.page.page_index, setting, names_us=names_us)
    try:
        return check_certificate(envelope, network=setting.network)
    except PeerFaultError:
        raise _RefusedRecordError(Refused.RECEIPT_FORGED) from None


def _check_holder(record: HolderRecord, setting: Setting, beside: PageRecords) -> NamedHolder:
    try:
        lease = decode(record.lease.body, Lease, bytes_max=limits.RECORD_BYTES_MAX)
    except WireError:
        raise _RefusedRecordError(Refused.RECEIPT_UNREADABLE) from None
    signer = PeerId(peer_id_of(record.holder.batch.signer))
    _check_lease(lease, record.lease, record.page.page_index, setting, names_us=signer == setting.own)
    is_audited = any(signer in peers for peers in setting.view.audited.values())
    has_claim = is_audited or signer in setting.view.ranks or signer == setting.own
    if not has_claim and not _is_named(signer, setting.known.joined(beside)):
        raise _RefusedRecordError(Refused.RECEIPT_UNASSIGNED)
    try:
        return check_holder_record(record, network=setting.network)
    except PeerFaultError:
        raise _RefusedRecordError(Refused.RECEIPT_FORGED) from None


def _name(envelope: Envelope) -> Digest:
    return Digest(tagged_hash(b"p2pnode/record", envelope.signer, envelope.body))


def _is_named(signer: PeerId, records: PageRecords) -> bool:
    return signer in PageRecords(certificates=records.certificates).receipt_set().signers()


def _check_lease(lease: Lease, envelope: Envelope, page_index: int, setting: Setting, *, names_us: bool) -> None:
    """Check, before any signature, that a record is of the page, and under a lease that concerns us."""
    if page_name(envelope.signer, lease.target, page_index) != setting.page:
        raise _RefusedRecordError(Refused.RECEIPT_MISPLACED)
    if lease.end <= setting.wall:
        raise _RefusedRecordError(Refused.RECEIPT_ENDED)
    if not names_us and envelope.signer not in setting.owners:
        raise _RefusedRecordError(Refused.RECEIPT_FOREIGN)


def _take_retractions(envelopes: Iterable[Envelope], setting: Setting, taken: Taken) -> None:
    """Take those retractions that may end a receipt of their signer's own."""
    known = setting.known.joined(taken.records).receipt_set()
    for envelope in envelopes:
        name = _name(envelope)
        try:
            record = decode(envelope.body, Retraction, bytes_max=limits.RECORD_BYTES_MAX)
        except WireError:
            taken.refused.append((name, Refused.RECEIPT_UNREADABLE))
            continue
        register = known.register(pair_of(record), PeerId(peer_id_of(envelope.signer)))
        if not register.promises:
            taken.refused.append((name, Refused.RETRACTION_OF_NOTHING))
            continue
        if (register.ended, register.retraction or b"") >= (record.sequence, name):
            taken.refused.append((name, Refused.RECEIPT_NOT_NEEDED))
            continue
        try:
            retraction = open_retraction(envelope, network=setting.network)
        except PeerFaultError:
            taken.refused.append((name, Refused.RECEIPT_FORGED))
            continue
        taken.records = taken.records.joined(PageRecords(retractions=(retraction,)))


def _own_promises(records: PageRecords, setting: Setting) -> dict[Pair, int]:
    found: dict[Pair, int] = {}
    receipts = records.receipt_set()
    for pair in receipts.pairs():
        live = receipts.register(pair, setting.own).live
        if live:
            found[pair] = live[0].sequence
    return found


def wanted(has: Sequence[Digest], known: PageRecords, refused: RefusedRecords, *, now: float) -> list[Digest]:
    """Return which of a peer's records we lack and did not refuse lately."""
    names = set(known.names())
    return [each for each in has if each not in names and not refused.holds(each, now=now)]


def fitting_bundle(
    records: PageRecords,
    *,
    without: Iterable[Digest] = (),
    only: Iterable[Digest] | None = None,
    room: int = limits.MESSAGE_BYTES_MAX - ANSWER_HEAD_BYTES,
) -> RecordBundle:
    """Return as many of these records as fit into so many bytes, except those of these names, or only those of these.

    Certificates first, then holder records, then the retractions that may end them.
    """
    excluded = set(without)
    chosen = None if only is None else set(only)

    def is_meant(name: Digest) -> bool:
        return name not in excluded and (chosen is None or name in chosen)

    certificates: list[Envelope] = []
    for each in records.certificates:
        size = len(each.envelope.body) + _ENVELOPE_BYTES
        if is_meant(each.digest) and size <= room and len(certificates) < limits.CERTIFICATES_PER_MESSAGE_MAX:
            room -= size
            certificates.append(each.envelope)
    holders: list[HolderRecord] = []
    for holder in records.holders:
        size = len(encode(holder.record))
        if is_meant(holder.name) and size <= room and len(holders) < limits.HOLDER_RECORDS_PER_MESSAGE_MAX:
            room -= size
            holders.append(holder.record)
    meant = [each for each in records.retractions if is_meant(each.digest)]
    count = min(limits.RETRACTIONS_PER_MESSAGE_MAX, max(0, room) // _RETRACTION_BYTES)
    return RecordBundle(
        certificates=tuple(certificates),
        holders=tuple(holders),
        retractions=tuple(each.envelope for each in meant[:count]),
    )


_ENVELOPE_BYTES = 128
_RETRACTION_BYTES = 256


def names_of_bundle(bundle: RecordBundle) -> set[Digest]:
    """Return the names of all records in it."""
    return {_name(each) for each in (*bundle.certificates, *bundle.retractions)} | {
        holder_record_name(each) for each in bundle.holders
    }


def is_empty(bundle: RecordBundle) -> bool:
    """Tell whether there is nothing in it."""
    return not (bundle.certificates or bundle.holders or bundle.retractions)


@dataclass(slots=True)
class _Account:
    level: float
    at: float


class CheckBudget:
    """What checking for each peer may cost. Time is monotonic, in seconds."""

    def __init__(self) -> None:
        """Owe nothing."""
        self._accounts: OrderedDict[PeerId, _Account] = OrderedDict()

    def __len__(self) -> int:
        """Return how many peers are remembered."""
        return len(self._accounts)

    def take(self, peer_id: PeerId, cost: int, *, now: float) -> bool:
        """Pay for so many checks; False, and nothing is paid, when a peer has cost too much lately."""
        account = self._accounts.pop(peer_id, None) or _Account(float(CHECKS_PER_PEER_MAX), now)
        account.level = min(float(CHECKS_PER_PEER_MAX), account.level + (now - account.at) * CHECKS_PER_SECOND)
        account.at = now
        self._accounts[peer_id] = account
        if len(self._accounts) > PAYERS_MAX:
            self._accounts.popitem(last=False)
        if account.level < cost:
            return False
        account.level -= cost
        return True


class RefusedRecords:
    """Names of records that were refused, so that they are not fetched again at each comparison."""

    def __init__(self, *, for_s: float) -> None:
        """Remember each for so long: what was refused may be welcome when our view has changed."""
        self._for_s = for_s
        self._until: OrderedDict[Digest, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._until)

    def add(self, name: Digest, *, now: float) -> None:
        """Remember one."""
        self._until[name] = now + self._for_s
        self._until.move_to_end(name)
        if len(self._until) > REFUSED_REMEMBERED_MAX:
            self._until.popitem(last=False)

    def holds(self, name: Digest, *, now: float) -> bool:
        """Tell whether it was refused lately."""
        return self._until.get(name, now) > now


class SyncSchedule:
    """With whom to compare next, and when. Times are monotonic, in seconds; chance comes in as a number from 0 to 1."""

    def __init__(self, *, every_s: float, soon_s: float) -> None:
        """Compare with a peer once in `every_s`, and within `soon_s` when there is a reason."""
        self._every_s = every_s
        self._soon_s = soon_s
        self._due: dict[PeerId, float] = {}

    def __len__(self) -> int:
        """Return how many peers have a date."""
        return len(self._due)

    def meet(self, connected: Iterable[PeerId], *, now: float, chance: float) -> None:
        """Take note of who is connected: those that were not are due soon, those that are gone are forgotten."""
        there = set(connected)
        for peer_id in [each for each in self._due if each not in there]:
            del self._due[peer_id]
        for peer_id in sorted(there - self._due.keys()):
            self._due[peer_id] = now + chance * self._soon_s

    def hurry(self, peer_id: PeerId, *, now: float, chance: float) -> None:
        """Let a connected peer be due soon, because we have news."""
        if peer_id in self._due:
            self._due[peer_id] = min(self._due[peer_id], now + chance * self._soon_s)

    def done(self, peer_id: PeerId, *, now: float, chance: float) -> None:
        """Take note that a peer and we are in step, or that it did not answer: the next time is the regular one."""
        if peer_id in self._due:
            self._due[peer_id] = now + self._every_s * (0.75 + chance / 2)

    def due(self, *, now: float) -> list[PeerId]:
        """Return who is due now, who has waited longest first."""
        return [peer for at, peer in sorted((at, peer) for peer, at in self._due.items()) if at <= now]

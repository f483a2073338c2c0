"""The records of receipts of one page: how they are named, what they say together, and which of them are kept.

Certificates and holder records bring receipts, retractions end them; `ReceiptSet` merges what they say. A page is named
by its owner, its lease's target and its place under it: all renewed leases of it stand together, and who holds nothing
for an owner has no part in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from crypto.hashing import tagged_hash
from crypto.keys import SigningKey
from crypto.peer_id import peer_id_of
from crypto.signing import BadSignatureError
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.leases import check_page
from p2pnode.protocols.receipt_set import Pair, Promise, ReceiptSet, View
from p2pnode.protocols.receipts import check_batch, make_batch, pairs_of
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.retractions import pair_of
from wire import limits
from wire.codec import decode, encode
from wire.errors import WireError
from wire.ids import STATE_BYTES, Digest, LeaseTarget, PeerId, PublicKey
from wire.records import (
    Certificate,
    GroupPage,
    HolderReceipts,
    HolderRecord,
    Lease,
    LeaseKind,
    ReceiptBatch,
    Retraction,
    ShardSet,
)
from wire.signed import Signed, open_envelope

NOBODY: Mapping[Pair, frozenset[PeerId]] = MappingProxyType({})
"""Who has passed an audit, where there was none."""


def page_name(owner: PublicKey, target: LeaseTarget, page_index: int) -> Digest:
    """Return the name of a page of the blobs under an owner's leases for one target."""
    return Digest(tagged_hash(b"p2pnode/page", owner, target, page_index.to_bytes(4, "big")))


def holder_record_name(record: HolderRecord) -> Digest:
    """Return the name of a holder record."""
    return Digest(tagged_hash(b"p2pnode/holder record", encode(record)))


@dataclass(frozen=True, slots=True)
class NamedHolder:
    """A holder record that was checked here, or before it was stored."""

    record: HolderRecord
    lease: Signed[Lease]
    name: Digest

    @property
    def signer(self) -> PeerId:
        """Who holds."""
        return PeerId(peer_id_of(self.record.holder.batch.signer))


def make_holder_record(
    key: SigningKey,
    lease: Signed[Lease],
    page: GroupPage,
    shard_sets: tuple[ShardSet, ...],
    *,
    network: str,
    sequence: int,
    time: int,
) -> NamedHolder:
    """Sign for pairs of a page that are durable, outside of any certificate."""
    pairs = list(pairs_of(page, shard_sets))
    batch = make_batch(key, lease, pairs, network=network, time=time, sequence=sequence)
    holder = HolderReceipts(batch=batch.envelope, shard_sets=shard_sets)
    return named_holder(HolderRecord(lease=lease.envelope, page=page, holder=holder), lease)


def named_holder(record: HolderRecord, lease: Signed[Lease]) -> NamedHolder:
    """Give a record that was checked its name."""
    return NamedHolder(record, lease, holder_record_name(record))


def check_holder_record(record: HolderRecord, *, network: str) -> NamedHolder:
    """Check everything that a holder record claims: two signatures and a root. Raises `PeerFaultError`."""
    try:
        lease = open_envelope(record.lease, Lease, network=network)
        check_page(lease.record, record.page)
        pairs = list(pairs_of(record.page, record.holder.shard_sets))
    except (WireError, BadSignatureError, RefusalError) as error:
        message = f"a holder record that cannot count: {error}"
        raise PeerFaultError(message) from error
    if lease.record.kind != LeaseKind.FINAL or any(shard >= lease.record.n for _, shard in pairs):
        message = f"a holder record under no final lease, or for a shard beyond n = {lease.record.n}"
        raise PeerFaultError(message)
    check_batch(record.holder.batch, lease, pairs, network=network)
    return named_holder(record, lease)


@dataclass(frozen=True, slots=True)
class _Promised:
    """What one holder has promised in one record."""

    signer: PeerId
    promise: Promise
    page: GroupPage
    shard_sets: tuple[ShardSet, ...]

    def each(self) -> Iterator[tuple[Pair, PeerId, Promise]]:
        """Yield the promise for every pair."""
        for pair in pairs_of(self.page, self.shard_sets):
            yield pair, self.signer, self.promise


@dataclass(frozen=True, kw_only=True)
class PageRecords:
    """Records of one page, each checked here or before it was stored."""

    certificates: tuple[Signed[Certificate], ...] = ()
    holders: tuple[NamedHolder, ...] = ()
    retractions: tuple[Signed[Retraction], ...] = ()

    def joined(self, other: PageRecords) -> PageRecords:
        """Return the records of both, each once, in the order of their names."""
        certificates = {each.digest: each for each in (*self.certificates, *other.certificates)}
        holders = {each.name: each for each in (*self.holders, *other.holders)}
        retractions = {each.digest: each for each in (*self.retractions, *other.retractions)}
        return PageRecords(
            certificates=tuple(each for _, each in sorted(certificates.items())),
            holders=tuple(each for _, each in sorted(holders.items())),
            retractions=tuple(each for _, each in sorted(retractions.items())),
        )

    def names(self) -> tuple[Digest, ...]:
        """Return the names of all, in order."""
        certificates = {each.digest for each in self.certificates}
        retractions = {each.digest for each in self.retractions}
        return tuple(sorted(certificates | retractions | {each.name for each in self.holders}))

    def state(self) -> bytes:
        """Return a digest over the names."""
        return tagged_hash(b"p2pnode/page state", *self.names())[:STATE_BYTES]

    def pages(self) -> Iterator[tuple[Digest, GroupPage]]:
        """Yield the page of each record that has one, with its name."""
        for each in self.certificates:
            lease = decode(each.record.lease.body, Lease, bytes_max=limits.RECORD_BYTES_MAX)
            yield page_name(each.signer, lease.target, each.record.page.page_index), each.record.page
        for holder in self.holders:
            page = holder.record.page
            yield page_name(holder.lease.signer, holder.lease.record.target, page.page_index), page

    def receipt_set(
        self, view: View | None = None, *, audited: Mapping[Pair, frozenset[PeerId]] = NOBODY
    ) -> ReceiptSet:
        """Return what the records say together.

        Whom the certificates name is known from themselves. Without a view everybody else has a place too, for that was
        decided when the record was taken, and `audited` are those who have passed audits of ours. A retraction is of no
        use without a receipt that it may end.
        """
        certified = [each for promised in self._certified for each in promised.each()]
        others = [each for promised in self._others for each in promised.each()]
        named: dict[Pair, frozenset[PeerId]] = {}
        for pair, signer, _ in certified:
            named[pair] = named.get(pair, frozenset()) | {signer}
        if view is None:
            view = View(audited=audited, ranks={signer: 0 for _, signer, _ in others})
        found = ReceiptSet(View(audited=view.audited, named=named, ranks=view.ranks))
        for pair, signer, promise in (*certified, *others):
            found.promise(pair, signer, promise)
        for retraction in self.retractions:
            pair, signer = pair_of(retraction.record), retraction.signer_peer
            if found.register(pair, signer).promises:
                found.retract(pair, signer, retraction.record.sequence, retraction.digest)
        return found

    @cached_property
    def _certified(self) -> tuple[_Promised, ...]:
        """What the certificates say: decoded once, and asked for at each look at the page."""
        found = []
        for each in self.certificates:
            name = each.digest  # A hash over all of it: not once for each holder.
            found += [_promised(name, each.record.page, holder) for holder in each.record.holders]
        return tuple(found)

    @cached_property
    def _others(self) -> tuple[_Promised, ...]:
        """The same of the holder records."""
        return tuple(_promised(each.name, each.record.page, each.record.holder) for each in self.holders)

    def chosen(self, view: View | None = None) -> PageRecords:
        """Return those that are needed: of each lease the best certificate, and what proves the set of receipts."""
        best: dict[Digest, Signed[Certificate]] = {}
        for each in self.certificates:
            lease = Digest(tagged_hash(b"p2pnode/record", each.record.lease.signer, each.record.lease.body))
            best[lease] = max(each, best.get(lease, each), key=certificate_order)
        names = {each.digest for each in best.values()}
        certificates = tuple(each for each in self.certificates if each.digest in names)
        kept = _only(self, certificates, self.holders, self.retractions)
        needed = kept.receipt_set(view).records()
        holders = tuple(each for each in self.holders if each.name in needed)
        retractions = tuple(each for each in self.retractions if each.digest in needed)
        return _only(kept, certificates, holders, retractions)


def _only(
    records: PageRecords,
    certificates: tuple[Signed[Certificate], ...],
    holders: tuple[NamedHolder, ...],
    retractions: tuple[Signed[Retraction], ...],
) -> PageRecords:
    """Return some of the records, for each kind; the same object when they are all: it remembers what they say."""
    counts = len(certificates), len(holders), len(retractions)
    if counts == (len(records.certificates), len(records.holders), len(records.retractions)):
        return records
    return PageRecords(certificates=certificates, holders=holders, retractions=retractions)


def certificate_order(certificate: Signed[Certificate]) -> tuple[int, Digest]:
    """Return by what two certificates of one page under one lease are compared: all nodes keep the same one."""
    return len(certificate.record.holders), certificate.digest


def _promised(name: Digest, page: GroupPage, holder: HolderReceipts) -> _Promised:
    """Return what a holder has promised in the record of this name."""
    batch = decode(holder.batch.body, ReceiptBatch, bytes_max=limits.RECORD_BYTES_MAX)
    promise = Promise(batch.sequence, name, batch.lease, batch.lease_end)
    return _Promised(PeerId(peer_id_of(holder.batch.signer)), promise, page, holder.shard_sets)


def ranks_of(order: Iterable[PeerId], *, count_max: int) -> Mapping[PeerId, int]:
    """Return the ranks of the first peers of an order."""
    return {peer_id: rank for rank, peer_id in zip(range(count_max), order, strict=False)}

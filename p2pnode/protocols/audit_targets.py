"""What is asked of a holder, and who may ask: both follow from the records of receipts that both sides keep."""

from __future__ import annotations

from dataclasses import dataclass

from crypto.peer_id import peer_id_of
from p2pnode.protocols.page_records import PageRecords
from p2pnode.protocols.receipts import pairs_of, receipt_for
from wire import limits
from wire.challenges import NamedReceipt
from wire.codec import decode
from wire.ids import BlobId, Digest, PeerId, PublicKey, ShardIndex
from wire.records import Envelope, GroupPage, HolderReceipts, Receipt, ReceiptBatch
from wire.signed import Signed


def holders_of(records: PageRecords) -> list[tuple[PeerId, GroupPage, HolderReceipts]]:
    """Return who signed what in these records."""
    found = [
        (_signer(holder.batch), certificate.record.page, holder)
        for certificate in records.certificates
        for holder in certificate.record.holders
    ]
    return [*found, *((each.signer, each.record.page, each.record.holder) for each in records.holders)]


def owners_of(records: PageRecords) -> frozenset[PublicKey]:
    """Return whose leases the certificates are for."""
    return frozenset(each.record.lease.signer for each in records.certificates)


@dataclass(frozen=True, slots=True)
class Promised:
    """One receipt with the batch that it stands in, which was checked before it was stored."""

    receipt: Receipt
    batch: Signed[ReceiptBatch]

    def named(self, commitment: Digest) -> NamedReceipt:
        """Return what names it to its holder in a question on a commitment."""
        return NamedReceipt(
            commitment=commitment,
            blob_id=self.receipt.blob_id,
            shard=self.receipt.shard,
            lease=self.batch.record.lease,
            sequence=self.batch.record.sequence,
        )


def choose_promise(
    records: PageRecords,
    holder: PeerId,
    *,
    wall: float,
    chance: float,
    only: tuple[BlobId, ShardIndex] | None = None,
) -> Promised | None:
    """Return one of a holder's live receipts, drawn by a number from 0 to 1, or that for one pair; None without any.

    Makes the tree of a whole batch: call it in a worker.
    """
    receipts = records.receipt_set()
    live: list[tuple[GroupPage, HolderReceipts, ReceiptBatch, tuple[BlobId, ShardIndex]]] = []
    for signer, page, each in holders_of(records):
        batch = decode(each.batch.body, ReceiptBatch, bytes_max=limits.RECORD_BYTES_MAX)
        if signer != holder or batch.lease_end < wall:
            continue
        live += [
            (page, each, batch, pair)
            for pair in pairs_of(page, each.shard_sets)
            if batch.sequence > receipts.register(pair, holder).ended and only in (None, pair)
        ]
    if not live:
        return None
    page, chosen, batch, (blob, shard) = live[min(int(chance * len(live)), len(live) - 1)]
    return Promised(receipt_for(page, chosen, blob, shard), Signed(batch, chosen.batch))


def named_batch(records: PageRecords, holder: PeerId, named: NamedReceipt) -> Signed[ReceiptBatch] | None:
    """Return the latest batch that has the receipt of a holder that is named, or a later one; None when none has.

    So a retraction that ends what is returned ends the receipt that was meant.
    """
    pair = (named.blob_id, ShardIndex(named.shard))
    found: list[Signed[ReceiptBatch]] = []
    for signer, page, each in holders_of(records):
        if signer == holder and pair in pairs_of(page, each.shard_sets):
            batch = decode(each.batch.body, ReceiptBatch, bytes_max=limits.RECORD_BYTES_MAX)
            if batch.lease == named.lease and batch.sequence >= named.sequence:
                found.append(Signed(batch, each.batch))
    return max(found, key=lambda each: each.record.sequence, default=None)


def may_ask(records: PageRecords, peer_id: PeerId, owner: PublicKey | None) -> bool:
    """Tell whether a peer may challenge the holders of a blob: it holds a pair of it too, or its lease.

    `owner` is the peer's owner key, None when it is no member that we know. Others would only make us read.
    """
    return owner in owners_of(records) or any(signer == peer_id for signer, _, _ in holders_of(records))


def _signer(envelope: Envelope) -> PeerId:
    return PeerId(peer_id_of(envelope.signer))

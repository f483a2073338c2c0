"""Certificates: enough receipts for the final lease on every blob of a page, listed and signed by the owner.

Checked before a holder lets a final lease take effect, and before a reader believes who holds what. What a certificate
proves is what its signers said; a reader trusts only the blob id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crypto.keys import SigningKey
from crypto.signing import BadSignatureError
from p2pnode import bft
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.leases import check_page
from p2pnode.protocols.receipts import check_batch, pairs_of
from p2pnode.protocols.refusal import RefusalError
from wire.errors import WireError
from wire.ids import BlobId, PeerId, ShardIndex
from wire.messages import RefusalCode
from wire.records import Certificate, Envelope, GroupPage, HolderReceipts, Lease
from wire.signed import Signed, open_envelope, sign_record

SIGNERS_PER_SHARD_MAX = 4
"""Signers of one shard of one blob in a certificate (PROTOCOL section 1). An honest one names one each; without a bound
half a megabyte could name three million pairs, which takes ten seconds to check."""


@dataclass(frozen=True, slots=True)
class CheckedCertificate:
    """A certificate whose every signature and path was checked here."""

    signed: Signed[Certificate]
    lease: Signed[Lease]
    holders: Mapping[tuple[BlobId, ShardIndex], tuple[PeerId, ...]]
    """Who signed for a shard of a blob; only pairs with a receipt stand in it."""

    @property
    def page(self) -> GroupPage:
        """The blobs that it speaks of."""
        return self.signed.record.page

    def shards(self, blob_id: BlobId) -> dict[ShardIndex, tuple[PeerId, ...]]:
        """Return the holders of each shard of one blob."""
        return {shard: peers for (blob, shard), peers in self.holders.items() if blob == blob_id}


def make_certificate(
    key: SigningKey, lease: Signed[Lease], page: GroupPage, holders: Sequence[HolderReceipts], *, network: str
) -> Signed[Certificate]:
    """Sign the list of receipts of one page. The caller has checked each of them."""
    certificate = Certificate(lease=lease.envelope, page=page, holders=tuple(holders))
    return sign_record(certificate, key=key, network=network)


def weakest_blob(page: GroupPage, pairs: Sequence[tuple[BlobId, ShardIndex]]) -> int:
    """Return the smallest number of distinct shards that any blob of the page has among these pairs."""
    shards: dict[BlobId, set[ShardIndex]] = {blob_id: set() for blob_id in page.blob_ids}
    for blob_id, shard in pairs:
        shards[blob_id].add(shard)
    return min(len(each) for each in shards.values())


def check_certificate(envelope: Envelope, *, network: str) -> CheckedCertificate:
    """Check everything that a certificate claims. Raises `PeerFaultError`.

    Costs one signature check per holder: call it in a worker for large n.
    """
    try:
        signed = open_envelope(envelope, Certificate, network=network)
        lease = open_envelope(signed.record.lease, Lease, network=network)
        check_page(lease.record, signed.record.page)
        holders = _checked_holders(signed.record, lease, network=network)
    except (WireError, BadSignatureError, RefusalError) as error:
        message = f"a certificate that cannot count: {error}"
        raise PeerFaultError(message) from error
    if signed.signer != lease.signer:
        message = "a certificate that another key than its lease's owner signed"
        raise PeerFaultError(message)
    quorum = bft.quorum(lease.record.n)
    weakest = weakest_blob(signed.record.page, list(holders))
    if weakest < quorum:
        message = f"a certificate with {weakest} distinct shards, n - f are {quorum}"
        raise PeerFaultError(message)
    return CheckedCertificate(signed, lease, holders)


def check_is_ours(certificate: CheckedCertificate, *, own: PeerId, asker: PeerId) -> None:
    """Check that a certificate is for us to keep: it names us, or we ask it of ourselves. Raises `RefusalError`.

    A stranger may not fill our disk with certificates.
    """
    if asker != own and not any(own in peers for peers in certificate.holders.values()):
        raise RefusalError(RefusalCode.NOT_HELD, "the certificate names no pair that is here")


def _checked_holders(
    certificate: Certificate, lease: Signed[Lease], *, network: str
) -> dict[tuple[BlobId, ShardIndex], tuple[PeerId, ...]]:
    holders: dict[tuple[BlobId, ShardIndex], tuple[PeerId, ...]] = {}
    for each in certificate.holders:
        pairs = list(pairs_of(certificate.page, each.shard_sets))
        if any(shard >= lease.record.n for _, shard in pairs):
            message = f"a shard beyond n = {lease.record.n}"
            raise WireError(message)
        if any(len(holders.get(pair, ())) >= SIGNERS_PER_SHARD_MAX for pair in pairs):
            message = f"more than {SIGNERS_PER_SHARD_MAX} signers of one shard"
            raise WireError(message)
        peer_id = check_batch(each.batch, lease, pairs, network=network).signer_peer
        for pair in pairs:
            holders[pair] = (*holders.get(pair, ()), peer_id)
    return holders

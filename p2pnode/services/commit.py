"""From receipts to a certificate: the final lease goes to every holder of a page, then the signed list of receipts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import trio

from p2pnode import bft
from p2pnode.errors import PeerFaultError, PeerUnavailableError, TooFewHoldersError
from p2pnode.protocols.certificates import make_certificate, weakest_blob
from p2pnode.protocols.receipts import check_batch_from, pairs_of, shard_set
from p2pnode.services.context import Context
from wire.ids import BlobId, PeerId, ShardIndex
from wire.messages import Certified, Certify, CommitLease, Committed
from wire.records import Certificate, GroupPage, HolderReceipts, Lease, ShardSet
from wire.signed import Signed

Holders = Mapping[BlobId, Mapping[ShardIndex, PeerId]]
"""For each blob, who signed for which shard."""

HeldReceipts = tuple[PeerId, HolderReceipts]
"""A holder and one of its batches; a holder of several shards may have signed several."""


@dataclass(frozen=True, slots=True)
class CertifiedPage:
    """A page whose certificate is in effect on enough holders."""

    certificate: Signed[Certificate]
    healthy: int
    """Shards of the page's least stored blob."""


class Committer:
    """Makes final leases take effect."""

    def __init__(self, context: Context) -> None:
        """Sign with the node's owner key."""
        self._context = context

    async def commit_page(self, lease: Signed[Lease], page: GroupPage, holders: Holders) -> CertifiedPage:
        """Ask every holder of the page to commit to the lease, then certify.

        Raises `TooFewHoldersError` when some blob of the page is left with fewer than n - f shards.
        """
        return await self.certify_page(lease, page, await self.sign_page(lease, page, holders))

    async def sign_page(self, lease: Signed[Lease], page: GroupPage, holders: Holders) -> list[HeldReceipts]:
        """Ask every holder of the page to sign for it under a lease; return the receipts of those that did.

        A provisional lease is in effect by that, a final one only with its certificate.
        """
        receipts: list[HeldReceipts] = []
        async with trio.open_nursery() as nursery:
            for peer_id, sets in _sets_by_holder(page, holders).items():
                nursery.start_soon(self._commit, lease, page, peer_id, sets, receipts)
        return receipts

    async def certify_page(
        self, lease: Signed[Lease], page: GroupPage, receipts: Sequence[HeldReceipts]
    ) -> CertifiedPage:
        """Sign the list of checked receipts and let every holder on it put the lease into effect.

        Returns when holders of n - f shards of every blob have it durably. Raises `TooFewHoldersError`.
        """
        context = self._context
        ordered = [each for _, each in sorted(receipts, key=lambda held: (held[0], held[1].shard_sets[0].shard))]
        healthy = self._require_quorum(lease, page, ordered, "signed for the final lease")
        certificate = make_certificate(context.owner, lease, page, ordered, network=context.network_name)
        in_effect: set[PeerId] = set()
        peers = {peer_id for peer_id, _ in receipts}
        async with trio.open_nursery() as nursery:
            for peer_id in sorted(peers):
                nursery.start_soon(self._certify, certificate, peer_id, in_effect)
        taken = [each for peer_id, each in receipts if peer_id in in_effect]
        self._require_quorum(lease, page, taken, "took the certificate")
        if context.own not in peers:
            # The writer keeps the certificate of what it wrote, so that it can read and tell without asking.
            await context.store.certify(certificate, lease)
        return CertifiedPage(certificate, healthy)

    def _require_quorum(
        self, lease: Signed[Lease], page: GroupPage, receipts: Iterable[HolderReceipts], what: str
    ) -> int:
        pairs = [pair for each in receipts for pair in pairs_of(page, each.shard_sets)]
        weakest = weakest_blob(page, pairs)
        quorum = bft.quorum(lease.record.n)
        if weakest < quorum:
            message = (
                f"holders of only {weakest} shards {what}, {quorum} are needed (n = {lease.record.n}); nothing was "
                f"stored for good; try again, or with fewer shards"
            )
            raise TooFewHoldersError(message)
        return weakest

    async def _commit(
        self,
        lease: Signed[Lease],
        page: GroupPage,
        peer_id: PeerId,
        sets: Sequence[ShardSet],
        receipts: list[HeldReceipts],
    ) -> None:
        context = self._context
        request = CommitLease(lease=lease.envelope, page=page, shard_sets=tuple(sets))
        try:
            reply = await context.peers.ask(peer_id, "store", request, expect=(Committed,))
            assert isinstance(reply.message, Committed)
            pairs = list(pairs_of(page, sets))
            batch = check_batch_from(reply.message.batch, lease, pairs, network=context.network_name, holder=peer_id)
        except (PeerUnavailableError, PeerFaultError):
            return  # Its shards do not count; the quorum is checked over those that do.
        receipts.append((peer_id, HolderReceipts(batch=batch.envelope, shard_sets=tuple(sets))))

    async def _certify(self, certificate: Signed[Certificate], peer_id: PeerId, in_effect: set[PeerId]) -> None:
        request = Certify(certificate=certificate.envelope)
        try:
            await self._context.peers.ask(peer_id, "store", request, expect=(Certified,))
        except (PeerUnavailableError, PeerFaultError):
            return  # As above.
        in_effect.add(peer_id)


def _sets_by_holder(page: GroupPage, holders: Holders) -> dict[PeerId, list[ShardSet]]:
    """Return for each holder the shard sets that it is to sign for, in the order of shards."""
    positions: dict[PeerId, dict[ShardIndex, list[int]]] = {}
    for position, blob_id in enumerate(page.blob_ids):
        for shard, peer_id in holders[blob_id].items():
            positions.setdefault(peer_id, {}).setdefault(shard, []).append(position)
    return {
        peer_id: [shard_set(shard, where, blob_count=len(page.blob_ids)) for shard, where in sorted(by_shard.items())]
        for peer_id, by_shard in sorted(positions.items())
    }

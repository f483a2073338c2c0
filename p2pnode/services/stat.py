"""stat: how many shards of a blob or file are healthy, how many answer now, and how many nodes may fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from p2pnode import bft
from p2pnode.placement.shape import nodes_that_may_fail
from p2pnode.protocols.certificates import CheckedCertificate
from p2pnode.protocols.manifest import manifest_from_bytes
from p2pnode.protocols.plan import stored_bytes
from p2pnode.protocols.receipt_set import ReceiptSet
from p2pnode.services.context import Context
from p2pnode.services.get import Getter
from p2pnode.services.membership import Membership
from p2pnode.services.results import BlobStatus
from wire.ids import BlobId, PeerId, ShardIndex
from wire.references import Reference, ReferenceKind


@dataclass(frozen=True, slots=True)
class _Health:
    """One blob's figures."""

    healthy: int
    reachable: int
    nodes: int
    domains: int
    nodes_that_may_fail: int
    domains_that_may_fail: int
    lease_end: int | None


class Statistician:
    """Tells how blobs and files are doing."""

    def __init__(self, context: Context, membership: Membership, getter: Getter) -> None:
        """Judge holders by what `membership` saw of them."""
        self._context = context
        self._membership = membership
        self._getter = getter

    async def stat(self, reference: Reference) -> BlobStatus:
        """Return the figures; of a file, those of its weakest blob. Raises as a read does."""
        lookup = self._getter.lookup()
        found = await lookup.find(reference.blob_id)
        domains = self._membership.domains()
        checks = [self._health(found.metadata.blob_id, found.metadata.n, found.certificate, found.receipts, domains)]
        size, segments = found.metadata.length, 1
        if reference.kind is ReferenceKind.FILE:
            data = await self._getter.read_blob(lookup, reference.blob_id)
            manifest = manifest_from_bytes(data, reference.blob_id)
            size, segments = manifest.file_bytes, 0
            async for entry in self._getter.leaves(lookup, manifest):
                segments += 1
                certificate, receipts = await lookup.find_receipts(entry.blob_id, seed=manifest.salt)
                checks.append(self._health(entry.blob_id, manifest.n, certificate, receipts, domains))
        ends = [each.lease_end for each in checks]
        return BlobStatus(
            id=reference.text(),
            kind=reference.kind.value,
            size=size,
            n=found.metadata.n,
            healthy=min(each.healthy for each in checks),
            reachable=min(each.reachable for each in checks),
            shards_to_read=bft.primary_source(found.metadata.n),
            certified=None not in ends,
            lease_end=None if None in ends else min(end for end in ends if end is not None),
            segments=segments,
            stored_bytes=stored_bytes(size, n=found.metadata.n),
            nodes=min(each.nodes for each in checks),
            domains=min(each.domains for each in checks),
            nodes_that_may_fail=min(each.nodes_that_may_fail for each in checks),
            domains_that_may_fail=min(each.domains_that_may_fail for each in checks),
        )

    def _health(
        self,
        blob_id: BlobId,
        n: int,
        certificate: CheckedCertificate | None,
        receipts: ReceiptSet,
        domains: Mapping[PeerId, str],
    ) -> _Health:
        """Count the shards with a live receipt whose holder is not lost; without a certificate no receipt counts."""
        if certificate is None:
            return _Health(
                healthy=0,
                reachable=0,
                nodes=0,
                domains=0,
                nodes_that_may_fail=0,
                domains_that_may_fail=0,
                lease_end=None,
            )
        connected = {each.peer_id for each in self._context.network.connected()} | {self._context.own}
        alive: list[PeerId] = []
        reachable = 0
        for shard in map(ShardIndex, range(n)):
            peers = receipts.healthy((blob_id, shard), now=self._context.clock.wall())
            here = [peer for peer in peers if not self._membership.liveness(peer).counts_as_lost]
            reachable += any(peer in connected for peer in here)
            alive += here[:1]
        needed = bft.primary_source(n)
        alive_domains = [domains.get(peer, peer) for peer in alive]  # Whom we do not know is one of its own.
        return _Health(
            healthy=len(alive),
            reachable=reachable,
            nodes=len(set(alive)),
            domains=len(set(alive_domains)),
            nodes_that_may_fail=nodes_that_may_fail(alive, needed=needed),
            domains_that_may_fail=nodes_that_may_fail(alive_domains, needed=needed),
            lease_end=certificate.lease.record.end,
        )

"""What stands under one lease: all blobs of a thing, in the lease's order, and who keeps each of their shards.

Everything follows from the reference: a blob is its own lease's target, and the manifests of a file name its segments.
So whoever has the reference can renew, the key alone is enough to find a thing again, and nothing that a node remembers
of holders can be wrong for long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from p2pnode.errors import IntegrityError, LocalStorageError, PeerFaultError
from p2pnode.protocols.certificates import CheckedCertificate, check_certificate
from p2pnode.protocols.leases import BlobGroup, blob_page
from p2pnode.protocols.manifest import Manifest, check_child, manifest_from_bytes
from p2pnode.services.commit import Holders
from p2pnode.services.context import Context
from p2pnode.services.get import Getter
from p2pnode.services.lookup import Lookup
from p2pnode.services.membership import Membership
from wire import limits
from wire.ids import BlobId, LeaseTarget, PeerId, ShardIndex
from wire.records import Envelope, GroupPage, LeaseScope
from wire.references import Reference, ReferenceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedThing:
    """A blob or file with all that a lease on it covers."""

    reference: Reference
    size: int
    n: int
    target: LeaseTarget
    group: BlobGroup | None
    """The blobs of a file, None for a blob."""
    seeds: Mapping[BlobId, bytes]
    """What placed a blob, where that is not its own id."""

    @property
    def blob_count(self) -> int:
        """How many blobs are under the target."""
        return 1 if self.group is None else len(self.group.blob_ids)

    @property
    def scope(self) -> LeaseScope:
        """What the target is."""
        return LeaseScope.BLOB if self.group is None else LeaseScope.FILE

    def pages(self) -> Sequence[GroupPage]:
        """Return the pages of the lease."""
        return [blob_page(self.reference.blob_id)] if self.group is None else self.group.pages()


class Surveyor:
    """Finds out what stands under a lease, and who keeps it."""

    def __init__(self, context: Context, membership: Membership, getter: Getter) -> None:
        """Read manifests as any reader does."""
        self._context = context
        self._membership = membership
        self._getter = getter

    async def survey(self, lookup: Lookup, reference: Reference) -> LeasedThing:
        """Return what the reference names; raises as a read does."""
        found = await lookup.find(reference.blob_id)
        if reference.kind is ReferenceKind.BLOB:
            return LeasedThing(
                reference=reference,
                size=found.metadata.length,
                n=found.metadata.n,
                target=LeaseTarget(reference.blob_id),
                group=None,
                seeds={},
            )
        data = await self._getter.read_blob(lookup, reference.blob_id)
        root = await self._context.offload.run(manifest_from_bytes, data, reference.blob_id)
        walk = _Walk(self._context, self._getter, lookup)
        await walk.enter(root, reference.blob_id)
        # In the order in which a write leases them: the segments, then the manifests, the lowest level first.
        levels = [walk.manifests[level] for level in range(limits.MANIFEST_DEPTH_MAX)]
        blob_ids = list(dict.fromkeys([*walk.segments, *(blob_id for level in levels for blob_id in level)]))
        group = await self._context.offload.run(BlobGroup, blob_ids, root.salt)
        seeds = dict.fromkeys(blob_ids, bytes(root.salt))
        del seeds[reference.blob_id]
        return LeasedThing(
            reference=reference, size=root.file_bytes, n=root.n, target=group.target, group=group, seeds=seeds
        )

    async def holders(self, lookup: Lookup, thing: LeasedThing, page: GroupPage) -> Holders:
        """Return one holder for each shard of each blob of a page; those that are there first.

        The newest certificate counts; a shard that it lacks, or whose holder has retracted it, is taken from an earlier
        one, whose lease may go on, or from the receipts that came after all of them: who has it now was away when the
        lease was renewed, or has rebuilt it since.
        """
        chosen: dict[BlobId, Mapping[ShardIndex, PeerId]] = {}
        known: dict[bytes, CheckedCertificate] = {}
        for blob_id in page.blob_ids:
            by_shard = await self._claims(lookup, thing, blob_id, known)
            chosen[blob_id] = {shard: self._best(peers) for shard, peers in sorted(by_shard.items())}
        return chosen

    async def everybody(self, lookup: Lookup, thing: LeasedThing) -> set[PeerId]:
        """Return all who may have signed for a part of the thing, as far as certificates and receipts tell."""
        named: set[PeerId] = set()
        known: dict[bytes, CheckedCertificate] = {}
        for page in thing.pages():
            for certificate in await self._certificates(lookup, thing, page.blob_ids[0], known):
                named.update(peer for peers in certificate.holders.values() for peer in peers)
                named |= (await lookup.records_of(certificate)).receipt_set().committee()
        return named

    async def _claims(
        self, lookup: Lookup, thing: LeasedThing, blob_id: BlobId, known: dict[bytes, CheckedCertificate]
    ) -> dict[ShardIndex, list[PeerId]]:
        """Return who is said to hold each shard of a blob, those of the newest certificate first."""
        _, receipts = await lookup.find_receipts(blob_id, seed=thing.seeds.get(blob_id, blob_id))
        by_shard: dict[ShardIndex, list[PeerId]] = {}
        for certificate in await self._certificates(lookup, thing, blob_id, known):
            for shard, peers in certificate.shards(blob_id).items():
                by_shard.setdefault(shard, []).extend(peers)
        now = self._context.clock.wall()
        for shard in map(ShardIndex, range(thing.n)):
            pair = (blob_id, shard)
            live = receipts.holders(pair, now=now)
            claims = [
                peer
                for peer in dict.fromkeys([*by_shard.pop(shard, ()), *live])
                if peer in live or receipts.register(pair, peer).retraction is None
            ]
            if claims:
                by_shard[shard] = claims
        return by_shard

    async def _certificates(
        self, lookup: Lookup, thing: LeasedThing, blob_id: BlobId, known: dict[bytes, CheckedCertificate]
    ) -> list[CheckedCertificate]:
        """Return the certificates of a blob that are known here and to the first who answers, the newest first."""
        found = await lookup.find_certificate(blob_id, seed=thing.seeds.get(blob_id, blob_id))
        certificates = [] if found is None else [found]
        try:
            envelopes = await self._context.store.certificates(blob_id)
        except LocalStorageError:
            envelopes = []  # What others know is enough.
        for envelope in envelopes:
            checked = known.get(envelope.signature) or await self._checked(envelope)
            if checked is not None:
                known[envelope.signature] = checked
                certificates.append(checked)
        return sorted(certificates, key=lambda each: -each.lease.record.end)

    async def _checked(self, envelope: Envelope) -> CheckedCertificate | None:
        try:
            return await self._context.offload.run(_check_certificate, envelope, self._context.network_name)
        except PeerFaultError:
            return None

    def _best(self, peers: Sequence[PeerId]) -> PeerId:
        """Return the holder that a renewal names for a shard: the first that is not lost, and does not leave."""
        here = [peer for peer in peers if not self._membership.liveness(peer).counts_as_lost]
        own, leaves = self._context.own, self._membership.own_record.notice.is_draining
        staying = [each for each in here if not (leaves if each == own else self._membership.table.is_draining(each))]
        return (staying or here or list(peers))[0]


class _Walk:
    """Collects all blobs of a file."""

    def __init__(self, context: Context, getter: Getter, lookup: Lookup) -> None:
        self._context = context
        self._getter = getter
        self._lookup = lookup
        self.segments: list[BlobId] = []
        self.manifests: dict[int, list[BlobId]] = {level: [] for level in range(limits.MANIFEST_DEPTH_MAX)}

    async def enter(self, manifest: Manifest, blob_id: BlobId) -> None:
        """Note a manifest and all under it. Raises as a read does."""
        self.manifests[manifest.level].append(blob_id)
        if manifest.level == 0:
            self.segments += (entry.blob_id for entry in manifest.entries)
            if len(self.segments) > limits.GROUP_BLOBS_MAX:
                message = f"a file of more than {limits.GROUP_BLOBS_MAX} segments"
                raise IntegrityError(message)
            return
        for entry in manifest.entries:
            data = await self._getter.read_blob(self._lookup, entry.blob_id, seed=manifest.salt)
            child = await self._context.offload.run(manifest_from_bytes, data, entry.blob_id)
            check_child(manifest, entry, child)
            await self.enter(child, entry.blob_id)


def _check_certificate(envelope: Envelope, network: str) -> CheckedCertificate:
    return check_certificate(envelope, network=network)

"""Blobs that no honest writer makes: slivers that belong to no encoding, and holders that never held anything."""

from __future__ import annotations

import random
from dataclasses import dataclass

from crypto.keys import SEED_BYTES, SigningKey
from p2pnode import bft
from p2pnode.coding import BlobMetadata, EncodeJob, run
from p2pnode.coding.metadata import metadata_of_hashes
from p2pnode.coding.sliver import sliver_hash
from p2pnode.protocols.certificates import make_certificate
from p2pnode.protocols.leases import LeaseTerms, blob_page, make_blob_lease
from p2pnode.protocols.receipts import make_batch, shard_set
from wire.ids import Axis, BlobId, ShardIndex
from wire.records import Certificate, HolderReceipts, Lease, LeaseKind
from wire.signed import Signed

LEASE_SECONDS = 20 * 24 * 3600
PROVISIONAL_SECONDS = 12 * 3600


@dataclass(frozen=True, slots=True)
class CrookedBlob:
    """Slivers, and metadata with the hash of each of them: whoever checks a single sliver finds no fault."""

    metadata: BlobMetadata
    slivers: dict[tuple[Axis, int], bytes]

    @property
    def data(self) -> bytes:
        """The only bytes that a read may give: its check makes sure that the source rows are those of the metadata."""
        rows = bft.primary_source(self.metadata.n)
        joined = b"".join(self.slivers[Axis.PRIMARY, index] for index in range(rows))
        return joined[: self.metadata.length]


def crooked_blob(data: bytes, n: int, rng: random.Random, *, bad_slivers: int) -> CrookedBlob:
    """Encode `data` and replace some of the primary slivers by noise before their hashes are taken."""
    encoded = run(EncodeJob(data, n))
    slivers = {(axis, index): bytes(encoded.sliver(axis, index).data) for axis in Axis for index in range(n)}
    shape = encoded.metadata.shape
    for index in rng.sample(range(n), bad_slivers):
        slivers[Axis.PRIMARY, index] = rng.randbytes(len(slivers[Axis.PRIMARY, index]))
    hashes = {place: sliver_hash(shape, place[0], sliver) for place, sliver in slivers.items()}
    metadata = metadata_of_hashes(
        len(data),
        primary_hashes=[hashes[Axis.PRIMARY, index] for index in range(n)],
        secondary_hashes=[hashes[Axis.SECONDARY, index] for index in range(n)],
    )
    return CrookedBlob(metadata, slivers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Who signs, for which network, and when (seconds since 1970)."""

    owner: SigningKey
    network: str
    time: int


def leases_of(deed: Deed, blob_id: BlobId, n: int, *, sequence: int) -> tuple[Signed[Lease], Signed[Lease]]:
    """Return a provisional and a final lease, both as they should be."""
    lengths = {LeaseKind.PROVISIONAL: PROVISIONAL_SECONDS, LeaseKind.FINAL: LEASE_SECONDS}
    provisional, final = (
        make_blob_lease(
            deed.owner,
            blob_id,
            LeaseTerms(n=n, sequence=sequence, start=deed.time, end=deed.time + length),
            network=deed.network,
            kind=kind,
        )
        for kind, length in lengths.items()
    )
    return provisional, final


def clique_certificate(
    deed: Deed, blob_id: BlobId, n: int, rng: random.Random, *, sequence: int, end: int = 0
) -> Signed[Certificate]:
    """Return a valid certificate whose every receipt was signed by a key of the owner's own making."""
    terms = LeaseTerms(n=n, sequence=sequence, start=deed.time, end=end or deed.time + LEASE_SECONDS)
    lease = make_blob_lease(deed.owner, blob_id, terms, network=deed.network, kind=LeaseKind.FINAL)
    receipts = [
        HolderReceipts(
            batch=make_batch(
                SigningKey(rng.randbytes(SEED_BYTES)),
                lease,
                [(blob_id, ShardIndex(shard))],
                network=deed.network,
                time=deed.time,
                sequence=1,
            ).envelope,
            shard_sets=(shard_set(ShardIndex(shard), [0], blob_count=1),),
        )
        for shard in range(n)
    ]
    return make_certificate(deed.owner, lease, blob_page(blob_id), receipts, network=deed.network)

"""Leases and their pages: how an owner makes them, and what a holder checks before it signs anything under one.

A lease's kind and scope are hints that decide nothing by themselves: a page must lead to the lease's target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crypto.keys import SigningKey
from crypto.merkle import BadProofError, MerkleProof, MerkleTree, verify_page
from p2pnode.protocols.refusal import RefusalError
from wire import limits
from wire.ids import BlobId, Digest, FileSalt, LeaseTarget, PeerId, PublicKey
from wire.messages import RefusalCode
from wire.records import GroupPage, Lease, LeaseKind, LeaseScope
from wire.signed import Signed, sign_record


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """What an owner asks for, whichever target it is for. Times in seconds since 1970."""

    n: int
    sequence: int
    start: int
    end: int
    renewers: tuple[PublicKey, ...] = ()
    holders: tuple[PeerId, ...] = ()
    """In a renewal the holders that it names."""


def make_blob_lease(
    key: SigningKey, blob_id: BlobId, terms: LeaseTerms, *, network: str, kind: LeaseKind
) -> Signed[Lease]:
    """Sign a lease for one blob."""
    lease = _lease(terms, kind=kind, scope=LeaseScope.BLOB, target=LeaseTarget(blob_id), salt=None, blob_count=1)
    return sign_record(lease, key=key, network=network)


def make_file_lease(
    key: SigningKey, group: BlobGroup, terms: LeaseTerms, *, network: str, kind: LeaseKind
) -> Signed[Lease]:
    """Sign the final lease for all blobs of a file, or a provisional one for those that are uploaded so far."""
    lease = _lease(
        terms,
        kind=kind,
        scope=LeaseScope.FILE,
        target=group.target,
        salt=group.salt,
        blob_count=len(group.blob_ids),
    )
    return sign_record(lease, key=key, network=network)


def _lease(
    terms: LeaseTerms,
    *,
    kind: LeaseKind,
    scope: LeaseScope,
    target: LeaseTarget,
    salt: FileSalt | None,
    blob_count: int,
) -> Lease:
    return Lease(
        kind=kind,
        scope=scope,
        target=target,
        salt=salt,
        blob_count=blob_count,
        n=terms.n,
        sequence=terms.sequence,
        start=terms.start,
        end=terms.end,
        is_deletable=True,
        renewers=terms.renewers,
        holders=terms.holders,
    )


def blob_page(blob_id: BlobId) -> GroupPage:
    """Return the one page of a lease for a single blob."""
    return GroupPage(page_index=0, blob_ids=(blob_id,), path=())


class BlobGroup:
    """The blobs of one file, in order, under one Merkle root, and the salt that placed them."""

    def __init__(self, blob_ids: Sequence[BlobId], salt: FileSalt) -> None:
        """Build the tree over the ids."""
        self.blob_ids = tuple(blob_ids)
        self.salt = salt
        self._tree = MerkleTree.from_leaves(self.blob_ids)

    @property
    def target(self) -> LeaseTarget:
        """The root: what a file lease is for."""
        return LeaseTarget(self._tree.root)

    def pages(self) -> list[GroupPage]:
        """Return all pages, each with the path to the root."""
        size = limits.GROUP_PAGE_BLOBS_MAX
        return [
            GroupPage(
                page_index=index,
                blob_ids=self.blob_ids[start : start + size],
                path=tuple(map(Digest, self._tree.prove_page(index, height=limits.GROUP_PAGE_HEIGHT).siblings)),
            )
            for index, start in enumerate(range(0, len(self.blob_ids), size))
        ]


def check_page(lease: Lease, page: GroupPage) -> None:
    """Check that the page's blobs are under the lease. Raises `RefusalError`."""
    if (lease.scope == LeaseScope.FILE) != (lease.salt is not None):
        raise RefusalError(RefusalCode.LEASE, "a file's lease has the salt that placed its blobs, a blob's has none")
    if lease.scope == LeaseScope.BLOB:
        if page != blob_page(BlobId(lease.target)) or lease.blob_count != 1:
            raise RefusalError(RefusalCode.LEASE, "the page is not the one blob that the lease is for")
        return
    try:
        verify_page(
            lease.target,
            page.blob_ids,
            page_index=page.page_index,
            height=limits.GROUP_PAGE_HEIGHT,
            leaf_count=lease.blob_count,
            proof=MerkleProof(page.path),
        )
    except BadProofError as error:
        raise RefusalError(RefusalCode.LEASE, f"the page is not under the lease's target: {error}") from error


def check_lease_times(lease: Lease, *, wall: float) -> None:
    """Check that the lease is running, or begins within the tolerated skew, and is not too long.

    Raises `RefusalError`. `wall` is this node's wall clock in seconds since 1970.
    """
    longest = limits.PROVISIONAL_SECONDS_MAX if lease.kind == LeaseKind.PROVISIONAL else limits.LEASE_SECONDS_MAX
    if not 0 < lease.end - lease.start <= longest:
        text = f"a lease of {lease.end - lease.start} s, allowed are 1 to {longest}"
        raise RefusalError(RefusalCode.LEASE, text)
    if lease.start > wall + limits.CLOCK_SKEW_SECONDS:
        text = f"the lease starts {lease.start - wall:.0f} s in the future; check the clocks of both nodes"
        raise RefusalError(RefusalCode.LEASE, text)
    if lease.end <= wall:
        text = f"the lease ended {wall - lease.end:.0f} s ago; check the clocks of both nodes"
        raise RefusalError(RefusalCode.LEASE, text)

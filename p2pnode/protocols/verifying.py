"""What a certificate, or evidence, proves to somebody who has nothing else: which keys signed what."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from p2pnode import bft
from p2pnode.protocols.certificates import check_certificate, weakest_blob
from p2pnode.protocols.evidence import Conviction, open_evidence
from wire import limits
from wire.codec import decode
from wire.errors import WireError
from wire.evidence import Evidence
from wire.ids import BlobId, PeerId, PublicKey
from wire.records import Envelope

CERTIFICATE_BYTES_MAX = limits.RECORD_BYTES_MAX + 256
"""The longest certificate in its envelope: a key, a signature and a few bytes besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A certificate whose every signature and path was checked."""

    owner: PublicKey
    blob_ids: tuple[BlobId, ...]
    n: int
    needed: int
    """n - f: with so many shards it is certified."""
    shards: int
    """Distinct shards of the least signed blob."""
    signers: tuple[PeerId, ...]
    """Who signed, in the order of the ids; as many as distinct keys."""
    lease_end: int
    """Seconds since 1970."""

    def domains(self, known: Mapping[PeerId, str]) -> int:
        """Return in how many failure domains the signers are; whom we do not know is one of its own."""
        return len({known.get(each, each) for each in self.signers})

    def vetted(self, known: Collection[PeerId]) -> int:
        """Return how many of the signers are among these."""
        return len(frozenset(self.signers) & frozenset(known))


def verify(data: bytes, *, network: str) -> Verified:
    """Check the bytes of a certificate. Raises `PeerFaultError` when it does not prove what it claims.

    Raises `WireError` when it is none. What it proves is what its signers said, until they retract it.
    """
    checked = check_certificate(decode(data, Envelope, bytes_max=CERTIFICATE_BYTES_MAX), network=network)
    lease = checked.lease.record
    return Verified(
        owner=checked.lease.signer,
        blob_ids=checked.page.blob_ids,
        n=lease.n,
        needed=bft.quorum(lease.n),
        shards=weakest_blob(checked.page, list(checked.holders)),
        signers=tuple(sorted({peer for peers in checked.holders.values() for peer in peers})),
        lease_end=lease.end,
    )


def is_evidence(data: bytes) -> bool:
    """Tell whether bytes say that they are evidence, whatever it is worth."""
    try:
        decode(data, Evidence, bytes_max=limits.EVIDENCE_BYTES_MAX)
    except WireError:
        return False
    return True


def verify_evidence(data: bytes, *, network: str) -> Conviction:
    """Check the bytes of evidence. Raises `PeerFaultError` when it convicts nobody, `WireError` when it is none."""
    return open_evidence(decode(data, Evidence, bytes_max=limits.EVIDENCE_BYTES_MAX), network=network)

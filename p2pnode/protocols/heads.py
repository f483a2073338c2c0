"""Heads of catalogues: which one a member keeps for an owner, and which of several answers an owner believes.

A head proves who signed it, not that it is the newest: a member may keep back a later one. So an owner asks many and
takes the highest sequence, and never goes below one that it knows itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from crypto.signing import BadSignatureError
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.refusal import RefusalError
from wire import limits
from wire.errors import WireError
from wire.ids import PublicKey
from wire.messages import RefusalCode
from wire.ownership import CatalogueHead
from wire.records import Envelope
from wire.signed import Signed, open_envelope

HEAD_COPIES = 8
"""Members that an owner asks to keep its head: with a third of them dishonest or gone there are five left."""

HEADS_ASKED_MAX = 24
"""Members that are asked for a head: three times as many as keep one, for since then others may have come."""

HEADS_KEPT_MAX = 10_000
"""Heads that one member keeps for others: about 300 bytes each, 3 MB."""

HEADS_PER_PEER_MAX = 64
"""Of these, heads that one peer brought: a household has few owner keys, and nobody may fill the table alone."""


def check_head(envelope: Envelope, *, network: str, wall: float) -> Signed[CatalogueHead]:
    """Check a head that a peer brings. Raises `RefusalError`."""
    try:
        signed = open_envelope(envelope, CatalogueHead, network=network)
    except (WireError, BadSignatureError) as error:
        raise RefusalError(RefusalCode.INVALID, f"the head is not valid: {error}") from error
    head = signed.record
    if not wall < head.end <= wall + limits.LEASE_SECONDS_MAX + limits.CLOCK_SKEW_SECONDS:
        raise RefusalError(
            RefusalCode.LEASE, f"the head ends in {head.end - wall:.0f} s; check the clocks of both nodes"
        )
    return signed


def open_answer(envelope: Envelope | None, *, owner: PublicKey, network: str) -> Signed[CatalogueHead] | None:
    """Check the head that a peer keeps of an owner. Raises `PeerFaultError`."""
    if envelope is None:
        return None
    try:
        signed = open_envelope(envelope, CatalogueHead, network=network)
    except (WireError, BadSignatureError) as error:
        message = f"a head that cannot count: {error}"
        raise PeerFaultError(message) from error
    if signed.signer != owner:
        message = "a head of another owner than the one that was asked for"
        raise PeerFaultError(message)
    return signed


def is_newer(one: Signed[CatalogueHead], other: Signed[CatalogueHead] | None) -> bool:
    """Tell whether one head replaces another of the same owner; of two with one sequence all keep the same."""
    return other is None or (one.record.sequence, one.digest) > (other.record.sequence, other.digest)


def newest(heads: Iterable[Signed[CatalogueHead] | None]) -> Signed[CatalogueHead] | None:
    """Return the head that replaces all others, None when there is none."""
    best: Signed[CatalogueHead] | None = None
    for each in heads:
        if each is not None and is_newer(each, best):
            best = each
    return best

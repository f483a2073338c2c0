"""How all that an owner ever signed for one target comes to one end: renewals prolong, tombstones end. Pure.

The outcome depends on what arrived, never on its order: a lease counts until its end, or until the moment of a
tombstone of the same owner that ends it, whichever comes first, and the latest of these ends holds. So a renewal with a
higher sequence replaces an earlier lease only if it ends no earlier: a holder has signed for the longer one, and no
renewal takes a promise back. Whoever wants data to go sooner signs a tombstone.

A key that has succeeded another acts for it (`successions.py`), and comes after it whatever the sequences: `heirs` are
the successors of the key that signed the lease, as far as they are known here.
"""

from __future__ import annotations

from collections.abc import Collection

from crypto.signing import BadSignatureError
from p2pnode.protocols.refusal import RefusalError
from wire import limits
from wire.errors import WireError
from wire.ids import PublicKey
from wire.messages import RefusalCode
from wire.records import Envelope, Lease, LeaseKind, Tombstone
from wire.signed import Signed, open_envelope


def open_tombstone(envelope: Envelope, *, network: str, wall: float) -> Signed[Tombstone]:
    """Check a tombstone's signature and time. Raises `RefusalError`.

    One from the future is refused: it would have to be kept until a time that its signer chose.
    """
    try:
        tombstone = open_envelope(envelope, Tombstone, network=network)
    except (WireError, BadSignatureError) as error:
        raise RefusalError(RefusalCode.LEASE, f"the tombstone is not valid: {error}") from error
    if tombstone.record.time > wall + limits.CLOCK_SKEW_SECONDS:
        text = f"the tombstone is {tombstone.record.time - wall:.0f} s in the future; check the clocks of both nodes"
        raise RefusalError(RefusalCode.LEASE, text)
    return tombstone


def is_ended_by(lease: Signed[Lease], tombstone: Signed[Tombstone], heirs: Collection[PublicKey] = ()) -> bool:
    """Tell whether a tombstone ends a lease: of its own signer or an heir, on its target, no earlier, and deletable."""
    is_later = tombstone.signer in heirs or (
        lease.signer == tombstone.signer and lease.record.sequence <= tombstone.record.sequence
    )
    return is_later and lease.record.target == tombstone.record.target and lease.record.is_deletable


def end_of(lease: Signed[Lease], tombstone: Signed[Tombstone] | None, heirs: Collection[PublicKey] = ()) -> int:
    """Return when a lease ends, in seconds since 1970; at least 1, because 0 stands for a lease that never was."""
    end = lease.record.end
    if tombstone is not None and is_ended_by(lease, tombstone, heirs):
        end = min(end, tombstone.record.time)
    return max(1, end)


def outlasts(tombstone: Signed[Tombstone]) -> int:
    """Return until when a tombstone must be kept: no lease that was signed before it ends later.

    A lease that ends later than this began after the tombstone, by more than clocks may differ.
    """
    return tombstone.record.time + limits.LEASE_SECONDS_MAX + limits.CLOCK_SKEW_SECONDS


def later_tombstone(one: Signed[Tombstone], other: Signed[Tombstone]) -> Signed[Tombstone]:
    """Return which of two tombstones of one owner for one target stands: that with the larger (sequence, time)."""
    return max(one, other, key=lambda each: (each.record.sequence, each.record.time, each.digest))


def renews(lease: Signed[Lease], earlier: Signed[Lease], heirs: Collection[PublicKey] = ()) -> bool:
    """Tell whether a final lease is the renewal of an earlier one."""
    return _is_later(lease, earlier, heirs) and lease.record.kind == LeaseKind.FINAL


def replaces(lease: Signed[Lease], earlier: Signed[Lease], heirs: Collection[PublicKey] = ()) -> bool:
    """Tell whether nothing is lost by forgetting an earlier lease: the same owner's, and it does not end later."""
    return _is_later(lease, earlier, heirs) and lease.record.end >= earlier.record.end


def _is_later(lease: Signed[Lease], earlier: Signed[Lease], heirs: Collection[PublicKey]) -> bool:
    one, other = lease.record, earlier.record
    is_later = lease.signer in heirs or (lease.signer == earlier.signer and one.sequence > other.sequence)
    return is_later and one.target == other.target and one.kind == other.kind

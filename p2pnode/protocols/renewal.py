"""When a lease is renewed, for how long, when its owner is warned, and how a tombstone ends it."""

from __future__ import annotations

import enum

from crypto.keys import SigningKey
from p2pnode.protocols.catalogue import NOT_YET_OURS
from wire import limits
from wire.ids import LeaseTarget
from wire.ownership import OwnedRecord
from wire.records import Tombstone
from wire.signed import Signed, sign_record

WARNED_BEFORE_S = 7 * 24 * 3600
"""How long before the end of a lease its owner is warned (PROTOCOL section 5)."""

RENEWED_AT = 0.5
"""What is left of a lease when it is renewed at the latest, as a part of its length: a daemon may be away for weeks."""

JITTER = 0.25
"""Renewals are due earlier by up to this part of a lease, each at its own time: what was stored together must not all
be renewed together."""


class OwnedState(enum.StrEnum):
    """What `ls` says of a thing."""

    KEPT = "kept"
    ENDS_SOON = "ends soon"
    ENDED = "ended"
    REMOVED = "removed"


def lease_end(*, start: int, longest_s: int, wanted_until: int) -> int:
    """Return the end of a lease that starts now: as far as one may go, and not beyond what its owner wants."""
    end = start + min(longest_s, limits.LEASE_SECONDS_MAX)
    return min(end, wanted_until) if wanted_until else end


def renewal_is_due(record: OwnedRecord, *, now: float, longest_s: int) -> bool:
    """Tell whether the lease on this thing should be renewed now.

    Its own jitter follows from what it is, so that it is due at one moment, on whichever machine one asks. A lease
    that a predecessor of the owner key signed is renewed at once, so that it is the new key's.
    """
    if is_of_predecessor(record, now=now):
        return True
    if record.removed_at or 0 < record.wanted_until <= max(now, record.lease_end):
        return False
    early = int.from_bytes(record.target[:4], "big") / 2**32 * JITTER
    return record.lease_end - now < longest_s * (RENEWED_AT + early)


def is_of_predecessor(record: OwnedRecord, *, now: float) -> bool:
    """Tell whether the lease on a thing that is wanted is still that of an earlier owner key."""
    is_wanted = not record.removed_at and not 0 < record.wanted_until <= now
    return is_wanted and record.lease_sequence == NOT_YET_OURS


def state_of(record: OwnedRecord, *, now: float) -> OwnedState:
    """Return what to tell the owner."""
    if record.removed_at:
        return OwnedState.REMOVED
    if record.lease_end <= now:
        return OwnedState.ENDED
    return OwnedState.ENDS_SOON if record.lease_end - now < WARNED_BEFORE_S else OwnedState.KEPT


def make_tombstone(
    key: SigningKey, target: LeaseTarget, *, sequence: int, time: int, network: str
) -> Signed[Tombstone]:
    """Sign the end of our own lease on a target; the sequence is above that of the lease."""
    return sign_record(Tombstone(target=target, sequence=sequence, time=time), key=key, network=network)

"""The member table: the newest record of each node that we know of, and when we last heard from it.

Rules: a record is taken when its signature was checked, its time is not in the future beyond the tolerated skew, and
its sequence is above the one known; it never removes a newer one. Freshness counts from when a higher sequence arrived
here, by our own monotonic clock, so that a skewed wall clock makes nobody stale. The table is bounded; when it is full,
members that are lost make room, and else a newcomer is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnode.config import Profile
from p2pnode.membership.liveness import Liveness, liveness
from wire import limits
from wire.ids import PeerId
from wire.records import MemberRecord, MemberState
from wire.signed import Signed


@dataclass(slots=True)
class Member:
    """One node as we know it."""

    signed: Signed[MemberRecord]
    renewed_at: float
    """Monotonic time at which its newest record came, minus the age that the record had by then."""
    contact_at: float | None = None
    """Monotonic time of the last contact, None when there was none yet."""
    address: str = ""
    """Where we really reached it."""

    @property
    def record(self) -> MemberRecord:
        """The newest record."""
        return self.signed.record


class MemberTable:
    """All members but ourselves."""

    def __init__(self, own: PeerId, profile: Profile, *, started_at: float) -> None:
        """Start empty; silence of a member never seen counts from `started_at`."""
        self._own = own
        self._profile = profile
        self._started_at = started_at
        self._members: dict[PeerId, Member] = {}

    def __len__(self) -> int:
        """Return how many members are known."""
        return len(self._members)

    def get(self, peer_id: PeerId) -> Member | None:
        """Return what is known of a peer."""
        return self._members.get(peer_id)

    def members(self) -> list[tuple[PeerId, Member]]:
        """Return all members in the order of their ids."""
        return sorted(self._members.items())

    def consider(self, signed: Signed[MemberRecord], *, now: float, wall: float) -> bool:
        """Take a checked record if it is news; return whether it was (and so should be passed on)."""
        peer_id = signed.signer_peer
        record = signed.record
        if peer_id == self._own or record.time > wall + limits.CLOCK_SKEW_SECONDS:
            return False
        known = self._members.get(peer_id)
        if known is not None and record.sequence <= known.record.sequence:
            return False
        # An age within the tolerated skew says nothing; an older record is as old as it says.
        age = wall - record.time
        renewed_at = now - (age if age > limits.CLOCK_SKEW_SECONDS else 0.0)
        if known is not None:
            known.signed, known.renewed_at = signed, renewed_at
            return True
        if len(self._members) >= limits.MEMBERS_KEPT_MAX and not self._make_room(now):
            return False
        self._members[peer_id] = Member(signed, renewed_at)
        return True

    def contact(self, peer_id: PeerId, *, now: float, address: str = "") -> None:
        """Note that a peer was heard from just now."""
        member = self._members.get(peer_id)
        if member is not None:
            member.contact_at = now
            member.address = address or member.address

    def silence(self, peer_id: PeerId, *, now: float) -> float:
        """Return the seconds since the last contact; of a peer that was never met, since we started."""
        member = self._members.get(peer_id)
        if peer_id == self._own:
            return 0.0
        contact_at = member.contact_at if member is not None else None
        return now - (contact_at if contact_at is not None else self._started_at)

    def liveness(self, peer_id: PeerId, *, now: float) -> Liveness:
        """Return a peer's state by its silence."""
        return liveness(self.silence(peer_id, now=now), self._profile)

    def is_fresh(self, peer_id: PeerId, *, now: float) -> bool:
        """Tell whether a member's record was renewed lately."""
        member = self._members.get(peer_id)
        return member is not None and now - member.renewed_at <= self._profile.member_stale_after_s

    def fresh(self, *, now: float) -> list[tuple[PeerId, Member]]:
        """Return the members whose record is fresh and says active: those that new data may go to, in id order."""
        return [
            (peer_id, member)
            for peer_id, member in self.members()
            if self.is_fresh(peer_id, now=now) and member.record.state == MemberState.ACTIVE
        ]

    def _make_room(self, now: float) -> bool:
        lost = [peer_id for peer_id in self._members if self.liveness(peer_id, now=now) is Liveness.LOST]
        if not lost:
            return False
        del self._members[max(lost, key=lambda peer_id: self.silence(peer_id, now=now))]
        return True

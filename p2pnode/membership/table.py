"""The member table: the newest record of each node that we know of, and when we last heard from it.

Rules: a record is taken when its signature was checked, its time is not in the future beyond the tolerated skew, and
its sequence is above the one known; it never removes a newer one. Freshness counts from when a higher sequence arrived
here, by our own monotonic clock, so that a skewed wall clock makes nobody stale. A new record is a sign of life of its
signer too, as old as the record is, whoever brings it. The table is bounded; when it is full, members that are lost
make room, then one of a crowd, anchors never, and else a newcomer is refused.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from operator import itemgetter
from statistics import median

from p2pnode.config import Profile
from p2pnode.membership.anchors import Acquaintance
from p2pnode.membership.contact import Contact, with_address
from p2pnode.membership.crowding import Seat, block_of, who_yields
from p2pnode.membership.domains import domains_of
from p2pnode.membership.freeze import Freeze
from p2pnode.membership.liveness import Event, Liveness, Pulse
from p2pnode.membership.summary import Summary
from p2pnode.membership.vetting import is_long_known, is_vetted, with_pass
from wire import limits
from wire.ids import PeerId
from wire.records import MemberRecord, MemberState
from wire.signed import Signed


@dataclass(slots=True)
class Member:
    """One node as we know it."""

    signed: Signed[MemberRecord]
    renewed_at: float
    """Monotonic time at which its newest record came, minus the age that it had by then beyond the tolerated skew."""
    heard_at: float
    """Monotonic time at which its newest record came."""
    pulse: Pulse
    """Its signs of life."""
    contact_at: float | None = None
    """Monotonic time of the last contact of ours with it, None when there was none yet."""
    source: str = ""
    """Where it reached us from, without a port: it tells the failure domain of a peer that we never dialled."""
    worked: tuple[str, ...] = ()
    """Where we reached it in this and earlier lives, the latest first."""
    met_at: float | None = None
    """Our wall clock at the first contact of all, None when there was none yet."""
    seen_at: float = 0.0
    """Our wall clock at the last contact."""
    audits_passed: int = 0
    """Audits of ours that it passed in this and earlier lives; no more than vetting asks for."""

    @property
    def record(self) -> MemberRecord:
        """The newest record."""
        return self.signed.record

    @property
    def whereabouts(self) -> str:
        """The address that tells its failure domain: where we reached it last, else where it came from.

        Of one that we never met it is where it says to be, for there we shall dial it; empty if it says nothing.
        """
        return next(iter(self.worked), "") or self.source or next(iter(self.record.addresses), "")


class MemberTable:
    """All members but ourselves."""

    def __init__(self, own: PeerId, profile: Profile, *, started_at: float, own_tag: str = "") -> None:
        """Start empty; silence of a member never seen counts from `started_at`. `own_tag` is our operator's."""
        self._own = own
        self._own_tag = own_tag
        self._profile = profile
        self._strangers = Pulse(started_at)
        """What is believed of peers that are no members."""
        self._members: dict[PeerId, Member] = {}
        self._in_order: list[tuple[PeerId, Member]] | None = []
        """All of them in the order of their ids; None when somebody went since it was made."""
        self.summary = Summary()
        """Of the records of all members; for comparing tables."""
        self.anchors: frozenset[PeerId] = frozenset()
        """Whom nobody displaces; set by whoever chooses them."""
        self.freeze = Freeze(profile)
        """Whether silence is our own fault."""
        self.changes = 0
        """Rises whenever a member comes in or goes."""
        self._domains: dict[PeerId, str] | None = None
        """The failure domains of all, once somebody has asked; None when somebody came, went or moved since."""
        self._counted_tags: tuple[PeerId, ...] = ()
        """Whose tags counted when they were worked out."""
        self.condemned: frozenset[PeerId] = frozenset()
        """Who counts as lost whatever it says, whether it is a member just now or not."""

    def __len__(self) -> int:
        """Return how many members are known."""
        return len(self._members)

    def get(self, peer_id: PeerId) -> Member | None:
        """Return what is known of a peer."""
        return self._members.get(peer_id)

    def members(self) -> list[tuple[PeerId, Member]]:
        """Return all members in the order of their ids; the list is ours, and not to be changed."""
        if self._in_order is None:
            self._in_order = sorted(self._members.items())
        return self._in_order

    def consider(self, signed: Signed[MemberRecord], *, now: float, wall: float) -> bool:
        """Take a checked record if it is news; return whether it was (and so should be passed on)."""
        peer_id = signed.signer_peer
        record = signed.record
        if peer_id == self._own or record.time > wall + limits.CLOCK_SKEW_SECONDS:
            return False
        known = self._members.get(peer_id)
        if known is not None and record.sequence <= known.record.sequence:
            return False
        # As much of an age as the tolerated skew says nothing, of an older record too: else a node whose clock is ahead
        # by nearly as much would call everybody stale whose record was some minutes on its way.
        renewed_at = now - max(0.0, wall - record.time - limits.CLOCK_SKEW_SECONDS)
        if known is not None:
            self.summary.flip(peer_id, known.record.sequence)
            self.summary.flip(peer_id, record.sequence)
            if (record.domain_tag, record.addresses) != (known.record.domain_tag, known.record.addresses):
                self._domains = None
            known.signed, known.renewed_at, known.heard_at = signed, renewed_at, now
            self._note_signs(known, now)
            return True
        if len(self._members) >= limits.MEMBERS_KEPT_MAX and not self._make_room(peer_id, record, now):
            return False
        self._members[peer_id] = member = Member(signed, renewed_at, now, Pulse(self._strangers.heard_at))
        self._domains = None
        self._note_signs(member, now)
        if peer_id in self.condemned:
            member.pulse.tell(Event.CONDEMNED)
        self.summary.flip(peer_id, record.sequence)
        if self._in_order is not None:  # Sorting them all for each newcomer would take most of a young node's time.
            self._in_order = self._in_order.copy()  # Whoever was given the list may still be going through it.
            bisect.insort(self._in_order, (peer_id, member), key=itemgetter(0))
        self.changes += 1
        return True

    def clock_was_set(self, *, now: float, wall: float) -> None:
        """Judge anew how old each record was when it came, by a wall clock that was wrong until now.

        Nobody gets older by it: what looked fresh then may have come before the clock went wrong.
        """
        for member in self._members.values():
            age_then_s = wall - (now - member.heard_at) - member.record.time - limits.CLOCK_SKEW_SECONDS
            member.renewed_at = max(member.renewed_at, member.heard_at - max(0.0, age_then_s))
            self._note_signs(member, now)

    def slept(self, seconds: float, *, now: float) -> None:
        """Go on after a sleep of this machine, in which its monotonic clock stood still, as after a restart.

        What others have said is older by so much. That nobody was heard meanwhile says nothing of anybody.
        """
        self._strangers = Pulse(now)
        for member in self._members.values():
            member.renewed_at -= seconds
            member.heard_at -= seconds
            member.contact_at = None
            member.pulse = member.pulse.awoke(now=now)
            self._note_signs(member, now)

    def contact(self, peer_id: PeerId, *, now: float, wall: float, address: str = "", source: str = "") -> bool:
        """Note that a peer was heard from just now; return whether this taught us a new best address of it."""
        member = self._members.get(peer_id)
        if member is None:
            return False
        member.contact_at = now
        member.pulse.heard(now)
        member.seen_at = wall
        member.met_at = wall if member.met_at is None else member.met_at
        if source and source != member.source:
            member.source, self._domains = source, None
        if not address or member.worked[:1] == (address,):
            return False  # Nearly always: every connection is looked at every two seconds.
        self._domains = None
        before, member.worked = member.worked, with_address(member.worked, address)
        return member.worked != before

    def remember(self, contacts: Collection[Contact]) -> None:
        """Take in what an earlier life knew of members; it is no contact of this one.

        Who was silent when others were heard last had been so since its own last contact or record. Else a node that
        is switched off every night would take nobody for lost, ever.
        """
        ended_at = max((each.seen_at for each in contacts), default=0)
        for contact in contacts:
            member = self._members.get(contact.peer_id)
            if member is None:
                continue
            member.met_at, member.seen_at, member.worked = contact.met_at, contact.seen_at, contact.addresses
            member.audits_passed, self._domains = contact.audits_passed, None
            member.pulse.was_silent(ended_at - max(contact.seen_at, member.record.time))
            if contact.is_anchor:
                self.anchors |= {contact.peer_id}

    def contacts(self) -> list[Contact]:
        """Return what the next life should know of those that we ever met, in id order."""
        return [
            Contact(
                peer_id=peer_id,
                met_at=int(member.met_at),
                seen_at=int(member.seen_at),
                is_anchor=peer_id in self.anchors,
                audits_passed=member.audits_passed,
                addresses=member.worked,
            )
            for peer_id, member in self.members()
            if member.met_at is not None
        ]

    def addresses(self, peer_id: PeerId) -> tuple[str, ...]:
        """Return where to dial a member: first where we reached it, then what it says of itself."""
        member = self._members.get(peer_id)
        return () if member is None else tuple(dict.fromkeys((*member.worked, *member.record.addresses)))

    def domains(self, *, wall: float) -> Mapping[PeerId, str]:
        """Return the failure domains of all members and of ourselves; they are worked out anew after a change only.

        Domains with one operator's tag are one. The tag of a newcomer waits until it is vetted, or anybody with a
        machine in each of many networks could make one domain of them all.
        """
        tagged = (peer_id for peer_id, member in self.members() if member.record.domain_tag)
        counted = tuple(peer_id for peer_id in tagged if self.is_vetted(peer_id, wall=wall))
        if self._domains is None or counted != self._counted_tags:
            tags = {peer_id: self._members[peer_id].record.domain_tag for peer_id in counted}
            others = [(peer_id, member.whereabouts, tags.get(peer_id, "")) for peer_id, member in self.members()]
            self._domains, self._counted_tags = domains_of([(self._own, "", self._own_tag), *others]), counted
        return self._domains

    def acquaintances(self, *, now: float, wall: float) -> list[Acquaintance]:
        """Return the members that we ever were in contact with: those who may be anchors."""
        domains = self.domains(wall=wall)
        return [
            Acquaintance(
                peer_id=peer_id,
                domain=domains[peer_id],
                met_at=member.met_at,
                is_vetted=self.is_vetted(peer_id, wall=wall),
                is_lost=self.liveness(peer_id, now=now).counts_as_lost,
            )
            for peer_id, member in self.members()
            if member.met_at is not None
        ]

    def audit_passed(self, peer_id: PeerId) -> None:
        """Note that a member has passed an audit of ours."""
        member = self._members.get(peer_id)
        if member is not None:
            member.audits_passed = with_pass(self._profile, member.audits_passed)

    def condemn(self, peer_id: PeerId) -> None:
        """Count a peer as lost, whatever it says, until it is pardoned; the caller bounds how many there are."""
        self.condemned |= {peer_id}
        if peer_id in self._members:
            self._members[peer_id].pulse.tell(Event.CONDEMNED)

    def pardon(self, peer_id: PeerId) -> None:
        """Let a condemned peer be judged by its signs of life again."""
        self.condemned -= {peer_id}
        if peer_id in self._members:
            self._members[peer_id].pulse.tell(Event.PARDONED)

    @property
    def has_vetting(self) -> bool:
        """Whether newcomers are told from others at all."""
        return bool(self._profile.vetting_s)

    def is_vetted(self, peer_id: PeerId, *, wall: float) -> bool:
        """Tell whether we rely on a peer; always on ourselves, and never on one that is no member."""
        if peer_id == self._own:
            return True
        member = self._members.get(peer_id)
        return member is not None and is_vetted(
            self._profile, met_at=member.met_at, audits_passed=member.audits_passed, wall=wall
        )

    def is_absent(self, peer_id: PeerId, *, now: float) -> bool:
        """Tell whether nobody has heard of a member for long: we have not, and its record is old as well."""
        is_silent = self.liveness(peer_id, now=now) not in (Liveness.ACTIVE, Liveness.SUSPECT)
        return is_silent and not self.is_fresh(peer_id, now=now)

    def silence(self, peer_id: PeerId, *, now: float) -> float:
        """Return the seconds since the last sign of life; of a peer that never gave one, since we started."""
        return 0.0 if peer_id == self._own else now - self._pulse(peer_id).heard_at

    def overdue(self, peer_id: PeerId, *, now: float) -> float:
        """Return the seconds of silence that no notice of maintenance excuses."""
        return 0.0 if peer_id == self._own else self._pulse(peer_id).overdue_s(now=now)

    def liveness(self, peer_id: PeerId, *, now: float) -> Liveness:
        """Return a peer's state; our own is always active."""
        if peer_id == self._own:
            return Liveness.ACTIVE
        if peer_id in self.condemned and peer_id not in self._members:
            return Liveness.CONDEMNED
        return self._pulse(peer_id).look(self._profile, now=now, is_frozen=self.freeze.is_frozen(now))

    def look_for_own_silence(self, *, now: float, wall: float) -> None:
        """Judge by the failure domains of long-known members whether it is our own link that is down."""
        heard_at: dict[str, float] = {}
        domains = self.domains(wall=wall)
        for peer_id, member in self.members():
            if member.contact_at is not None and is_long_known(self._profile, met_at=member.met_at, wall=wall):
                domain = domains[peer_id]
                heard_at[domain] = max(member.contact_at, heard_at.get(domain, -math.inf))
        self.freeze.look(heard_at.values(), now=now)

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

    def is_draining(self, peer_id: PeerId) -> bool:
        """Tell whether a member says that it leaves for good."""
        member = self._members.get(peer_id)
        return member is not None and member.record.state == MemberState.DRAINING

    def clock_lead(self, *, now: float, wall: float) -> float | None:
        """Return by how many seconds our wall clock is ahead of the others', None when there is nobody to ask.

        It is the median over the vetted members that we are in contact with, or over all of them while none is vetted,
        by the times in their fresh records. A record that was long on its way makes us seem ahead by that much.
        """
        leads: dict[bool, list[float]] = {True: [], False: []}
        for peer_id, member in self.members():
            if member.met_at is None or member.contact_at is None or not self.is_fresh(peer_id, now=now):
                continue
            if self.liveness(peer_id, now=now) is Liveness.ACTIVE:
                leads[self.is_vetted(peer_id, wall=wall)].append(wall - member.record.time - (now - member.heard_at))
        chosen = leads[True] or leads[False]
        return median(chosen) if chosen else None

    def _pulse(self, peer_id: PeerId) -> Pulse:
        member = self._members.get(peer_id)
        return self._strangers if member is None else member.pulse

    def _note_signs(self, member: Member, now: float) -> None:
        """Take a new record for what it says of its signer's life: that it lived then, and whether it will be away."""
        member.pulse.heard(member.renewed_at)
        record = member.record
        # Both times are by its own clock, so that no skew between it and ours matters.
        is_away = record.state == MemberState.MAINTENANCE
        until = member.renewed_at + max(0, record.state_until - record.time) if is_away else -math.inf
        member.pulse.announced(until, now=now)

    def _make_room(self, newcomer: PeerId, record: MemberRecord, now: float) -> bool:
        """Let the longest lost go, else one of a crowd, and never an anchor; return whether somebody went."""
        others = [(peer_id, self._members[peer_id]) for peer_id in self._members.keys() - self.anchors]
        lost = [peer_id for peer_id, _ in others if self.liveness(peer_id, now=now).counts_as_lost]
        if lost:
            leaving = max(lost, key=lambda peer_id: (self.silence(peer_id, now=now), peer_id))
        else:
            seats = [_seat(peer_id, member) for peer_id, member in others]
            found = who_yields(block_of(newcomer, next(iter(record.addresses), "")), seats)
            if found is None:
                return False
            leaving = found
        self.summary.flip(leaving, self._members.pop(leaving).record.sequence)
        self._in_order = None
        self.changes += 1
        return True


def _seat(peer_id: PeerId, member: Member) -> Seat:
    met_at = math.inf if member.met_at is None else member.met_at
    return Seat(peer_id, block_of(peer_id, member.whereabouts), met_at)

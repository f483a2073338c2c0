"""Staying a member: gossip our own record, learn the others', keep connections to them.

Records spread in two ways: by gossip, and when a connection is new (each side tells what the other does not know), so
that a node that reaches one member soon knows all. Who is kept connected: `contacts.py`.
"""

from __future__ import annotations

import bisect
import logging
from collections.abc import Mapping, Sequence

import trio

from crypto.signing import BadSignatureError
from crypto.work import BadWorkError
from p2pnode.errors import LocalStorageError, P2PNodeError
from p2pnode.membership.liveness import Liveness
from p2pnode.membership.newcomers import Newcomer
from p2pnode.membership.notice import Notice
from p2pnode.membership.refusals import Refused
from p2pnode.membership.summary import Summary, bucket_of, differing, within
from p2pnode.membership.table import MemberTable
from p2pnode.placement.rendezvous import Candidate
from p2pnode.protocols.gossip import MEMBERS, GossipGate
from p2pnode.protocols.members import (
    OwnFacts,
    check_admission_claim,
    check_member_record,
    make_candidates,
    members_page,
)
from p2pnode.protocols.refusal import RefusalError
from p2pnode.seams import OnRunning, Verdict
from p2pnode.services.admission import Admission, Admitted
from p2pnode.services.contacts import Contacts
from p2pnode.services.context import Context
from p2pnode.services.own_clock import OwnClock
from p2pnode.services.own_record import OwnMemberRecord
from p2pnode.services.peers import Answer
from p2pnode.services.restoring import ASKED_MAX, Restoration
from wire import limits
from wire.codec import encode
from wire.errors import WireError
from wire.ids import MembersSummary, PeerId
from wire.messages import ExchangeMembers, GetOwnRecord, Members, OwnRecord, RefusalCode
from wire.records import Envelope, MemberRecord, MemberState
from wire.signed import Signed, peer_of

log = logging.getLogger(__name__)

REQUESTS = (ExchangeMembers, GetOwnRecord)
"""The requests of the `members` protocol."""

PAGES_MAX = 1 + limits.MEMBERS_KEPT_MAX // limits.MEMBERS_PER_MESSAGE_MAX
"""Pages of member records taken from one peer: as many as the whole table has."""

ADDRESS_NEWS_EVERY_S = 10.0
"""The shortest time between two records that were signed because our addresses changed: a link that comes and goes
must not flood the network."""

ANCHORS_SAVED_WITHIN_S = 30.0
"""A change of the anchors is saved this soon: they are what a node needs most after a crash."""

OWN_LINK_LOOKS = 10
"""How often in one suspect time it is looked at whether our own link is down."""

TELL_TIMEOUT_S = 20.0
"""How long telling one peer of our new addresses may take."""

SAY_TIMEOUT_S = 1.0
"""How long a node that leaves waits for those that are slow to hear of it: gossip tells the others."""


class Membership:
    """This node's place among the others."""

    def __init__(self, context: Context, *, bootstrap: Sequence[str], facts: OwnFacts) -> None:
        """Start from the given addresses and from what was known before; nothing is sent yet."""
        self._context = context
        self._gate = GossipGate(MEMBERS, network=context.network_name)
        self._topic = context.names.topic(MEMBERS.topic)
        self.table = MemberTable(
            context.own, context.profile, started_at=context.clock.monotonic(), own_tag=facts.domain_tag
        )
        self._admission = Admission(context, self.table, welcome=self._welcome)
        self.has_record = trio.Event()
        """Set once our own record is signed, with a number that nobody has seen."""
        self._seeds = tuple(bootstrap)
        self.restoration = Restoration(context)
        self.own_record = OwnMemberRecord(context, facts, self.restoration)
        """Its notice may be set before the first one is signed; `say` it later."""
        self._own_clock = OwnClock(context, self.table, meet_anew=self._meet_anew)
        self.contacts = Contacts(context, self.table, bootstrap=bootstrap, greet=self._greet, on_look=self._look_around)
        self._has_news = trio.Event()
        self._meets_anew = False
        context.peers.on_answer = self.heard

    async def prepare(self) -> None:
        """Take part in the topic and load the members known before; call it before the network runs."""
        await self.restoration.prepare()
        self._context.network.subscribe(self._topic, self._on_gossip)
        for envelope in await self._context.store.load_members():
            signed = self._open(envelope)
            if signed is not None and self._is_claimed(signed):
                self._take(signed)  # Only what was checked is kept: a restart checks no work again.
        contacts = await self._context.store.load_contacts()
        self.table.remember(contacts)
        for contact in contacts:
            self._context.network.learn_addresses(contact.peer_id, self.table.addresses(contact.peer_id))

    async def run(self, *, task_status: OnRunning) -> None:
        """Publish, greet, dial and save until cancelled; started once our own record exists."""
        await self.restoration.ask(self._whom_to_ask())
        await self.own_record.renew()
        self.has_record.set()
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._publish_regularly)
            nursery.start_soon(self.contacts.run)
            nursery.start_soon(self._save_regularly)
            nursery.start_soon(self._admission.run)
            nursery.start_soon(self._watch_own_link)

    @property
    def own(self) -> Signed[MemberRecord]:
        """Our own record, as last signed."""
        return self.own_record.signed

    @property
    def is_restored(self) -> bool:
        """Whether others have seen newer records of ours than our own disk knows of."""
        return self.restoration.is_restored

    def is_frozen(self) -> bool:
        """Tell whether our own link seems to be down, so that nobody is declared lost and scores stand still."""
        return self.table.freeze.is_frozen(self._now())

    def heard(self, peer_id: PeerId) -> None:
        """Note an exchange with a peer, of whatever protocol and whoever asked: it is alive."""
        self.table.contact(peer_id, now=self._now(), wall=self._context.clock.wall())

    def candidates(self) -> list[Candidate]:
        """Return who may be given new data: all fresh active members that keep what they promise, and ourselves alike.

        Their weights are those among everyone known: what we saw of members leaves some out, and ranks nobody.
        """
        fresh = {peer_id for peer_id, _ in self.table.fresh(now=self._now())}
        fresh |= {self._context.own} if self.own.record.state == MemberState.ACTIVE else set()
        trusted = {peer_id for peer_id in fresh - self.table.condemned if self._context.scores.of(peer_id).is_trusted}
        return [each for each in self.known_candidates() if each.peer_id in trusted]

    def known_candidates(self) -> list[Candidate]:
        """Return everyone known, however long silent: who may keep what was placed earlier."""
        wall = self._context.clock.wall()
        return make_candidates(
            self.own,
            self.table.members(),
            domains=self.table.domains(wall=wall),
            is_vetted=lambda peer_id: self.table.is_vetted(peer_id, wall=wall),
        )

    def liveness(self, peer_id: PeerId) -> Liveness:
        """Return the state of a peer by its silence."""
        return self.table.liveness(peer_id, now=self._now())

    def domains(self) -> Mapping[PeerId, str]:
        """Return the failure domains of all members and of ourselves."""
        return self.table.domains(wall=self._context.clock.wall())

    def fresh_count(self) -> int:
        """Return how many other members have a fresh record."""
        return len(self.table.fresh(now=self._now()))

    async def answer(self, peer_id: PeerId, message: object, payload: bytes) -> Answer:
        """Answer a question about member records. Raises `RefusalError`."""
        del payload
        match message:
            case ExchangeMembers():
                await self.has_record.wait()
                return self._answer_exchange(peer_id, message), ()
            case GetOwnRecord():
                member = self.table.get(peer_id)
                return OwnRecord(record=None if member is None else member.signed.envelope), ()
            case _:
                raise RefusalError(RefusalCode.INVALID, f"{type(message).__name__} is no request about members")

    def _answer_exchange(self, peer_id: PeerId, message: ExchangeMembers) -> Members:
        self._consider(message.record, via=peer_id)
        buckets = differing(self._summary_with(), message.known)
        if not buckets:
            self.contacts.knows_the_same(peer_id)
        news = [(each, member.signed.envelope) for each, member in within(buckets, self.table.members())]
        if bucket_of(self._context.own) in buckets:
            bisect.insort(news, (self._context.own, self.own.envelope), key=lambda row: row[0])
        return members_page(news, after=message.after)

    def _summary_with(self, *others: Summary) -> MembersSummary:
        """Return the summary of all that we know, our own record included, with what other summaries have."""
        own = Summary()
        own.flip(self._context.own, self.own.record.sequence)
        return self.table.summary.digests(own, *others)

    def _now(self) -> float:
        """Return the time, after a sleep once it was noticed: else what comes now would be aged by it as well."""
        self._own_clock.look_for_sleep()
        return self._context.clock.monotonic()

    def _consider(self, envelope: Envelope, *, via: PeerId) -> bool:
        """Take a record that a peer told us, if it is valid and news; return whether it was checked. Never raises."""
        known = self.table.get(peer_of(envelope.signer))
        if known is not None and known.signed.envelope == envelope:
            return False  # Every new neighbour tells us mostly what we know: it need not be checked again.
        signed = self._open(envelope)
        if signed is None or self._is_our_own(signed):
            return True
        # Of one that brings itself we may be the only acquaintance; two that came at once learn of each other from us.
        is_for_others = signed.signer_peer == via
        if self._admission.admit(signed, via=via, is_for_others=is_for_others) is Admitted.YES:
            self._take(signed)
        return True

    def _open(self, envelope: Envelope) -> Signed[MemberRecord] | None:
        try:
            return check_member_record(envelope, network=self._context.network_name)
        except (WireError, BadSignatureError) as error:
            log.info("a bad member record: %s", error)
            self._context.refusals.count(Refused.BAD_RECORD)
            return None

    def _is_our_own(self, signed: Signed[MemberRecord]) -> bool:
        """Tell whether a checked record is one of ours, which is news only to a node that was restored."""
        if signed.signer_peer != self._context.own:
            return False
        self.restoration.saw(signed)
        if self.restoration.is_behind:
            self._has_news.set()
        return True

    def _is_claimed(self, signed: Signed[MemberRecord]) -> bool:
        """Tell whether a record that was kept has the work that our profile asks for today."""
        context = self._context
        try:
            check_admission_claim(signed, network=context.network_name, cost=context.profile.admission_work)
        except BadWorkError:
            return False
        return True

    async def _welcome(self, newcomer: Newcomer) -> None:
        """Take a newcomer whose work was just found good; pass on what gossip could not before."""
        self._take(newcomer.signed)
        known = self.table.get(newcomer.signed.signer_peer)
        # It need not be news: another copy may have come by a greeting while this one waited.
        if newcomer.is_for_others and known is not None and known.signed == newcomer.signed:
            await self._context.network.publish(self._topic, encode(newcomer.signed.envelope))

    def _take(self, signed: Signed[MemberRecord]) -> bool:
        """Put a checked record into the table; return whether it is news there."""
        is_news = self.table.consider(signed, now=self._now(), wall=self._context.clock.wall())
        if is_news:
            self.contacts.has_news_of(signed.signer_peer)
        elif self.table.get(signed.signer_peer) is None and signed.signer_peer != self._context.own:
            is_future = signed.record.time > self._context.clock.wall() + limits.CLOCK_SKEW_SECONDS
            self._context.refusals.count(Refused.FUTURE_RECORD if is_future else Refused.CROWDED)
        return is_news

    def _on_gossip(self, via: PeerId, data: bytes) -> Verdict:
        """Take a gossiped record. What a greeting told us already is passed on all the same: others wait for it."""
        checked = self._gate.check(data, now=self._now(), wall=self._context.clock.wall())
        if checked.refused is not None:
            self._context.refusals.count(checked.refused)
        if checked.verdict is Verdict.REJECT:
            log.info("a bad member record came by way of %s: %s", via, checked.reason)
        if checked.is_notable:
            log.warning("a member record was not passed on: %s", checked.reason)
        if checked.signed is None or self._is_our_own(checked.signed):
            return checked.verdict
        known = self.table.get(checked.signed.signer_peer)
        if known is not None and known.record.sequence > checked.signed.record.sequence:
            return Verdict.IGNORE
        match self._admission.admit(checked.signed, via=via, is_for_others=True):
            case Admitted.YES:
                self._take(checked.signed)
                return checked.verdict
            case Admitted.WAITS:
                return Verdict.LATER  # Once it is checked it is passed on: `_welcome`.
            case Admitted.NO:
                return Verdict.REJECT

    async def say(self, notice: Notice) -> None:
        """Tell all others at once that we shall be away, leave, or are here after all. Raises `LocalStorageError`."""
        self.own_record.notice = notice
        await self.own_record.renew()
        with trio.move_on_after(SAY_TIMEOUT_S):
            await self._context.network.publish(self._topic, encode(self.own.envelope))
            await self._tell_everybody()

    async def _publish_regularly(self) -> None:
        while True:
            await self._context.network.publish(self._topic, encode(self.own.envelope))
            has_news = await self._wait_for_renewal()
            try:
                await self.own_record.renew()
            except LocalStorageError as error:
                # The old record goes on; a node that signs nothing new soon counts as stale, and gets no new data.
                log.warning("the member record cannot be renewed until the disk works again: %s", error)
            if has_news:
                log.info("our addresses are now %s", ", ".join(self.own.record.addresses) or "none")
                await self._tell_everybody()
                await self._context.clock.sleep(ADDRESS_NEWS_EVERY_S)

    async def _wait_for_renewal(self) -> bool:
        """Wait until it is time for a new record; return whether that is because something of it is wrong by now."""
        self._has_news = trio.Event()
        if self.restoration.is_behind or self._meets_anew:
            self._meets_anew = False
            return True
        with trio.move_on_after(self._context.profile.member_record_every_s):
            await self._has_news.wait()
            self._meets_anew = False
            return True
        return False

    def _look_around(self) -> None:
        """Look at what may have changed without anybody saying so: our clocks, and our addresses."""
        self._own_clock.look()
        if self.own_record.is_wrong:
            self._has_news.set()

    def _meet_anew(self) -> None:
        """Renew our record, also if one is being signed just now, and ask all neighbours for theirs."""
        self._meets_anew = True
        self._has_news.set()
        self.contacts.greet_anew()

    async def _tell_everybody(self) -> None:
        """Give our new record to all connected peers, besides gossip: its mesh reaches only some of them at once."""
        async with trio.open_nursery() as nursery:
            for each in self._context.network.connected():
                nursery.start_soon(self._tell, each.peer_id)

    async def _tell(self, peer_id: PeerId) -> None:
        try:
            with trio.fail_after(TELL_TIMEOUT_S):
                # Asking for what comes after everybody that we know makes the answer short.
                await self._exchange(peer_id, after=max((each for each, _ in self.table.members()), default=None))
        except (P2PNodeError, trio.TooSlowError) as error:
            log.debug("%s was not told of our new addresses: %r", peer_id, error)

    async def _save_regularly(self) -> None:
        """Keep what is known for the next start; a crash loses at most one period of news."""
        every_s = self._context.profile.member_record_every_s
        saved_at, saved_anchors = self._now(), self.table.anchors
        while True:
            await self._context.clock.sleep(min(every_s, ANCHORS_SAVED_WITHIN_S))
            is_time = self._now() - saved_at >= every_s
            if not is_time and saved_anchors == self.table.anchors:
                continue
            saved_at, saved_anchors = self._now(), self.table.anchors
            envelopes = [member.signed.envelope for _, member in self.table.members()]
            try:
                await self._context.store.save_members(envelopes, self.table.contacts())
            except LocalStorageError as error:
                log.warning("the members cannot be saved until the disk works again: %s", error)

    async def _watch_own_link(self) -> None:
        while True:
            await self._context.clock.sleep(self._context.profile.suspect_after_s / OWN_LINK_LOOKS)
            self.table.look_for_own_silence(now=self._now(), wall=self._context.clock.wall())

    def _whom_to_ask(self) -> list[PeerId | str]:
        """Return who may know our newest record: anchors, then those heard of last, and some addresses from outside."""
        known = sorted(self.table.contacts(), key=lambda each: (not each.is_anchor, -each.seen_at, each.peer_id))
        return [*(each.peer_id for each in known[: ASKED_MAX - 1]), *self._seeds]

    async def _exchange(self, peer_id: PeerId, *, after: PeerId | None) -> Members:
        """Give a peer our record, and return a page of what it knows."""
        known = self._summary_with(self._admission.summary)  # Else each neighbour tells of all whom we still check.
        request = ExchangeMembers(record=self.own.envelope, after=after, known=known)
        reply = await self._context.peers.ask(peer_id, "members", request, expect=(Members,))
        assert isinstance(reply.message, Members)
        return reply.message

    async def _greet(self, peer_id: PeerId) -> None:
        """Exchange records with a new connection: ours for all that the peer knows better, page by page."""
        after: PeerId | None = None
        for _ in range(PAGES_MAX):
            page = await self._exchange(peer_id, after=after)
            for envelope in page.records:
                if self._consider(envelope, via=peer_id):
                    await trio.lowlevel.checkpoint()  # A signature check each: let others run between two.
            if not page.has_more or not page.records:
                break
            after = peer_of(page.records[-1].signer)

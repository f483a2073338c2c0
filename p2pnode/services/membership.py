"""Staying a member: gossip our own record, learn the others', keep connections to them.

Records spread in two ways: by gossip, and whole when a connection is new (each side tells all that it knows), so that a
node that reaches one member soon knows all. Everyone that is known and not lost is kept connected, up to a limit.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from crypto.peer_id import peer_id_of
from crypto.signing import BadSignatureError
from p2pnode.errors import CallerError, LocalStorageError, P2PNodeError
from p2pnode.membership.liveness import Liveness
from p2pnode.membership.table import MemberTable
from p2pnode.placement.rendezvous import Candidate
from p2pnode.protocols.members import check_member_record, make_candidates, make_member_record, members_page
from p2pnode.protocols.refusal import RefusalError
from p2pnode.seams import OnRunning, Verdict
from p2pnode.services.context import Context
from p2pnode.services.peers import Answer
from wire import limits
from wire.codec import decode, encode
from wire.errors import WireError
from wire.ids import PeerId
from wire.messages import ExchangeMembers, Members, RefusalCode
from wire.records import Envelope, MemberRecord
from wire.signed import Signed

log = logging.getLogger(__name__)

REQUESTS = (ExchangeMembers,)
"""The requests of the `members` protocol."""

TEND_EVERY_S = 0.5
"""How often connections are looked at: a new one is greeted within this time."""

CONNECTIONS_WANTED = 64
"""Beyond this many connections members are dialled only when something is asked of them."""

DIALS_AT_ONCE = 8
"""Dials and greetings under way at a time, so that a large network does not stall a small node."""

CONTACT_TIMEOUT_S = 120.0
"""The longest dial or greeting: enough for all pages of a full table over a slow line."""

PAGES_MAX = 1 + limits.MEMBERS_KEPT_MAX // limits.MEMBERS_PER_MESSAGE_MAX
"""Pages of member records taken from one peer: as many as the whole table has."""

BACKOFF_FACTOR_MAX = 4
"""The pause between two dials of a silent peer grows to this many reconnect times: a healed link is found soon."""

LOST_FACTOR = 60
"""A lost member is dialled this much more rarely."""

Target = PeerId | str
"""Whom to dial: a member, or a bootstrap address."""


@dataclass(slots=True)
class _Redial:
    """When a peer is dialled next, and the pause after that."""

    at: float
    pause_s: float


class Membership:
    """This node's place among the others."""

    def __init__(self, context: Context, *, bootstrap: Sequence[str], software: str) -> None:
        """Start from the given addresses and from what was known before; nothing is sent yet."""
        self._context = context
        self._bootstrap = tuple(bootstrap)
        self._software = software
        self._topic = context.names.topic("members")
        self.table = MemberTable(context.own, context.profile, started_at=context.clock.monotonic())
        self._own: Signed[MemberRecord] | None = None
        self._greeted: set[PeerId] = set()
        self._redials: dict[Target, _Redial] = {}
        self._slots = trio.Semaphore(DIALS_AT_ONCE)
        self._busy: set[Target] = set()

    async def prepare(self) -> None:
        """Take part in the topic and load the members known before; call it before the network runs."""
        self._context.network.subscribe(self._topic, self._on_gossip)
        for envelope in await self._context.store.load_members():
            self._consider(envelope)

    async def run(self, *, task_status: OnRunning) -> None:
        """Publish, greet, dial and save until cancelled; started once our own record exists."""
        await self._renew_own_record()
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._publish_regularly)
            nursery.start_soon(self._tend_regularly, nursery)
            nursery.start_soon(self._save_regularly)

    @property
    def own(self) -> Signed[MemberRecord]:
        """Our own record, as last signed."""
        assert self._own is not None
        return self._own

    def candidates(self) -> list[Candidate]:
        """Return who may be given new data: ourselves and all fresh active members."""
        return make_candidates(self.own, self.table.fresh(now=self._now()))

    def known_candidates(self) -> list[Candidate]:
        """Return everyone known, however long silent: who may keep what was placed earlier."""
        return make_candidates(self.own, self.table.members())

    def liveness(self, peer_id: PeerId) -> Liveness:
        """Return the state of a peer by its silence."""
        return self.table.liveness(peer_id, now=self._now())

    def fresh_count(self) -> int:
        """Return how many other members have a fresh record."""
        return len(self.table.fresh(now=self._now()))

    async def answer(self, peer_id: PeerId, message: object, payload: bytes) -> Answer:
        """Answer an exchange of member records. Raises `RefusalError`."""
        del payload
        if not isinstance(message, ExchangeMembers):
            raise RefusalError(RefusalCode.INVALID, f"{type(message).__name__} is no request about members")
        if self._consider(message.record) is not Verdict.ACCEPT:
            log.debug("nothing new in the record of %s", peer_id)
        self.table.contact(peer_id, now=self._now())
        everyone = [(each, member.signed.envelope) for each, member in self.table.members()]
        everyone.append((self._context.own, self.own.envelope))
        return members_page(sorted(everyone, key=lambda row: row[0]), after=message.after), ()

    def _now(self) -> float:
        return self._context.clock.monotonic()

    def _consider(self, envelope: Envelope) -> Verdict:
        """Take a record if it is valid and news; then its addresses count too. Never raises for bad records."""
        try:
            signed = check_member_record(envelope, network=self._context.network_name)
        except (WireError, BadSignatureError) as error:
            log.info("a bad member record: %s", error)
            return Verdict.REJECT
        if not self.table.consider(signed, now=self._now(), wall=self._context.clock.wall()):
            return Verdict.IGNORE
        self._context.network.learn_addresses(signed.signer_peer, signed.record.addresses)
        return Verdict.ACCEPT

    def _on_gossip(self, via: PeerId, data: bytes) -> Verdict:
        """Take a gossiped record; only news is passed on."""
        try:
            envelope = decode(data, Envelope, bytes_max=limits.GOSSIP_BYTES_MAX)
        except WireError as error:
            log.info("a bad member record came by way of %s: %s", via, error)
            return Verdict.REJECT
        return self._consider(envelope)

    async def _renew_own_record(self) -> None:
        context = self._context
        usage = context.store.usage()
        self._own = make_member_record(
            context.identity,
            network=context.network_name,
            sequence=await context.store.next_sequence("member record"),
            time=context.wall_seconds(),
            addresses=context.network.addresses(),
            capacity_bytes=usage.quota_bytes,
            free_bytes=usage.quota_bytes - usage.used_bytes - usage.reserved_bytes,
            software=self._software,
        )

    async def _publish_regularly(self) -> None:
        while True:
            await self._context.network.publish(self._topic, encode(self.own.envelope))
            await self._context.clock.sleep(self._context.profile.member_record_every_s)
            try:
                await self._renew_own_record()
            except LocalStorageError as error:
                # The old record goes on; a node that signs nothing new soon counts as stale, and gets no new data.
                log.warning("the member record cannot be renewed until the disk works again: %s", error)

    async def _save_regularly(self) -> None:
        """Keep what is known for the next start; a crash loses at most one period of news."""
        while True:
            await self._context.clock.sleep(self._context.profile.member_record_every_s)
            envelopes = [member.signed.envelope for _, member in self.table.members()]
            try:
                await self._context.store.save_members(envelopes)
            except LocalStorageError as error:
                log.warning("the members cannot be saved until the disk works again: %s", error)

    async def _tend_regularly(self, nursery: trio.Nursery) -> None:
        while True:
            self._tend(nursery)
            await self._context.clock.sleep(TEND_EVERY_S)

    def _tend(self, nursery: trio.Nursery) -> None:
        """Note who is connected, greet who is new, dial who is missing."""
        now = self._now()
        connected = {each.peer_id: each.address for each in self._context.network.connected()}
        for peer_id, address in connected.items():
            self.table.contact(peer_id, now=now, address=address)
            self._redials.pop(peer_id, None)
            if peer_id not in self._greeted and peer_id not in self._busy:
                self._spawn(nursery, peer_id, self._greet)
        self._greeted &= connected.keys()
        if not connected:
            for address in self._bootstrap:
                self._redial(nursery, address, now)
        missing = CONNECTIONS_WANTED - len(connected)
        for peer_id, _ in self.table.members():
            if missing <= 0:
                break
            if peer_id not in connected:
                missing -= 1
                self._redial(nursery, peer_id, now)

    def _redial(self, nursery: trio.Nursery, target: Target, now: float) -> None:
        every_s = self._context.profile.reconnect_every_s
        if target not in self._redials:
            # The one with the smaller id dials first, or both sides would dial at the same moment.
            is_first = isinstance(target, str) or self._context.own < target
            self._redials[target] = _Redial(now if is_first else now + every_s, every_s)
        redial = self._redials[target]
        if now < redial.at or target in self._busy:
            return
        is_lost = isinstance(target, PeerId) and self.liveness(target) is Liveness.LOST
        most_s = every_s * (LOST_FACTOR if is_lost else BACKOFF_FACTOR_MAX)
        redial.pause_s = min(redial.pause_s * self._context.rng.uniform(1.2, 2.0), most_s)
        redial.at = now + redial.pause_s
        self._spawn(nursery, target, self._dial)

    def _spawn(self, nursery: trio.Nursery, target: Target, action: Callable[[Target], Awaitable[None]]) -> None:
        self._busy.add(target)
        nursery.start_soon(self._guarded, target, action)

    async def _guarded(self, target: Target, action: Callable[[Target], Awaitable[None]]) -> None:
        """Run a dial or a greeting within the slots; a peer that fails is nobody's fault and tried again later."""
        try:
            async with self._slots:
                # What never ends would keep this peer from ever being tried again.
                with trio.fail_after(CONTACT_TIMEOUT_S):
                    await action(target)
        except CallerError as error:
            log.warning("cannot use the address %s: %s", target, error)
        except (P2PNodeError, trio.TooSlowError) as error:
            log.debug("no contact with %s: %r", target, error)
        finally:
            self._busy.discard(target)

    async def _dial(self, target: Target) -> None:
        network = self._context.network
        if isinstance(target, PeerId):
            if self.liveness(target) is Liveness.LOST:
                found = await network.find_addresses(target)  # It may have moved while nobody saw it.
                if found:
                    network.learn_addresses(target, found)
            await network.connect(target)
        else:
            await network.bootstrap(target)

    async def _greet(self, target: Target) -> None:
        """Exchange records with a new connection: ours for all that the peer knows, page by page."""
        assert isinstance(target, PeerId)
        after: PeerId | None = None
        for _ in range(PAGES_MAX):
            request = ExchangeMembers(record=self.own.envelope, after=after)
            reply = await self._context.peers.ask(target, "members", request, expect=(Members,))
            assert isinstance(reply.message, Members)
            for envelope in reply.message.records:
                self._consider(envelope)
                await trio.lowlevel.checkpoint()  # A signature check each: let others run between two.
            self._greeted.add(target)
            if not reply.message.has_more or not reply.message.records:
                break
            after = PeerId(peer_id_of(reply.message.records[-1].signer))
        self.table.contact(target, now=self._now())

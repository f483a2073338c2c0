"""Being connected with the right peers: who is dialled, when, at which addresses, and what if nobody answers.

Kept connected are the anchors and a circle of others (everybody, in a network of at most CONNECTIONS_WANTED members).
A member that nobody has heard of for hours is absent: some absent ones are tried in turns, for ever, so that the halves
of a network that was cut find each other again whenever that may be. Its first answer brings news of all the others,
and whoever is in the news is dialled at once.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence

import trio

from crypto.peer_id import BadPeerIdError, peer_id_from_text
from p2pnode.errors import CallerError, P2PNodeError
from p2pnode.membership.anchors import choose_anchors
from p2pnode.membership.circle import fill_circle
from p2pnode.membership.redials import Redials, Target
from p2pnode.membership.table import MemberTable
from p2pnode.seams import Connected
from p2pnode.services.context import Context
from wire.ids import PeerId

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
"""How often connections are looked at while something changes: a new one is greeted within this time."""

LOOK_SELDOM_S = 2.0
"""How often they are looked at when the last look found nothing new."""

CHOOSE_EVERY_S = 30.0
"""How often it is thought over whom to be connected with; a new member while there are places left, or a sign of life
of an absent one, does it at once."""

CONNECTIONS_WANTED = 64
"""How many members are kept connected, anchors included; others are dialled when something is asked of them."""

DIALS_AT_ONCE = 24
"""Dials and greetings under way at a time: below `network.limits.DIALS_MAX`, so that requests still get through."""

LOOKUPS_AT_ONCE = 4
"""Look-ups in the DHT under way at a time; each asks some tens of peers."""

GREET_AGAIN_S = 10.0
"""When a connected peer is greeted again whose greeting came to nothing."""

CONTACT_TIMEOUT_S = 120.0
"""The longest dial or greeting: enough for all pages of a full table over a slow line."""

PAUSE_FACTOR_MAX = 3
"""The pause between two dials grows to this many reconnect times: 15 s, so that a healed link is used within 30 s."""

ABSENT_EVERY_FACTOR = 2
"""One absent member is tried in each span of this many reconnect times (10 s)."""

ABSENT_WHEN_ALONE = 8
"""So many are tried in each such span by a node that has no connection, and nothing else to do."""

SEED_EVERY_S = 300.0
"""How often an address from the settings is dialled while there are other connections: two halves of a network that
know each other by nothing else have to meet."""

GIVE_UP_DIALS = 10
"""Dials that come to nothing (two minutes) before a member with an old record loses its place in the circle to another,
where there are more members than places: after a week's absence most of the circle may be gone."""

GIVE_UP_DIALS_WHEN_ALONE = 3
"""The same for a node without any connection (half a minute): it goes through all that it knows until one answers."""

HINTS_MAX = 64
"""Addresses from the local network that are kept; the oldest makes room."""

JITTER = (0.6, 1.0)
"""What a pause is multiplied with, so that nodes which lost each other at one moment do not dial at one moment."""


class Contacts:
    """The connections of one node that are kept for their own sake."""

    def __init__(
        self,
        context: Context,
        table: MemberTable,
        *,
        bootstrap: Sequence[str],
        greet: Callable[[PeerId], Awaitable[None]],
        on_look: Callable[[], None],
    ) -> None:
        """Dial what `table` has, and `bootstrap`; `greet` runs once for each new connection, `on_look` regularly."""
        self._context = context
        self._table = table
        self._greet = greet
        self._on_look = on_look
        self._seeds = {address: _peer_of(address) for address in bootstrap}
        self._hints: dict[str, PeerId | None] = {}
        self._every_s = context.profile.reconnect_every_s
        self._redials = Redials(every_s=self._every_s)
        self._circle: frozenset[PeerId] = frozenset()
        self._absent: dict[PeerId, None] = {}
        """The absent members, in the order in which they are tried."""
        self._absent_turn = 0
        self._absent_at = 0.0
        self._choose_at = -1.0
        self._seen_changes = -1
        self._greet_at: dict[PeerId, float] = {}
        """When each connected peer is greeted: never again once it has been, later when it failed."""
        self._connected: frozenset[PeerId] = frozenset()
        self._slots = trio.Semaphore(DIALS_AT_ONCE)
        self._busy: set[Target] = set()
        self._looking: set[PeerId] = set()

    async def run(self) -> None:
        """Look after the connections until cancelled."""
        self._context.network.protect(self._table.anchors)
        async with trio.open_nursery() as nursery:
            while True:
                self._on_look()
                is_quiet = self._look(nursery)
                await self._context.clock.sleep(LOOK_SELDOM_S if is_quiet else LOOK_EVERY_S)

    def hint(self, address: str) -> None:
        """Dial an address, with the peer id at its end, as if it stood in the settings; it may be forgotten again."""
        self._hints.pop(address, None)
        self._hints[address] = _peer_of(address)
        while len(self._hints) > HINTS_MAX:
            del self._hints[next(iter(self._hints))]

    def greet_anew(self) -> None:
        """Greet all that are connected as if they were new: something may have passed us by."""
        self._greet_at.clear()

    def knows_the_same(self, peer_id: PeerId) -> None:
        """Take note that a peer has greeted us and knows what we know: it has nothing to answer a greeting of ours.

        Two that meet greet each other at one moment; in a quiet network the second greeting would tell nothing.
        """
        self._greet_at[peer_id] = math.inf

    def has_news_of(self, peer_id: PeerId) -> None:
        """Take note of a member's new record: it is alive somewhere, perhaps elsewhere than we thought."""
        self._context.network.learn_addresses(peer_id, self._table.addresses(peer_id))
        if peer_id not in self._connected:
            self._redials.hasten(peer_id)
        if peer_id in self._absent:
            self._choose_at = self._now()

    def _now(self) -> float:
        return self._context.clock.monotonic()

    def _look(self, nursery: trio.Nursery) -> bool:
        """Note who is connected, greet who is new, dial who is missing; return whether nothing was new."""
        now = self._now()
        connected = self._context.network.connected()
        is_new = self._note(connected, now)
        due = [each for each in self._connected if now >= self._greet_at.get(each, now) and each not in self._busy]
        for peer_id in sorted(due):  # Mostly none: all have been greeted.
            is_new = True
            self._greet_at[peer_id] = now + GREET_AGAIN_S
            self._spawn(nursery, peer_id, self._greet_once)
        has_news = self._table.changes != self._seen_changes and len(self._circle) < CONNECTIONS_WANTED
        if now >= self._choose_at or has_news:  # A full circle has no place for a newcomer, and thinking takes long.
            self._choose(now)
        for target, pause_max_s in self._targets():
            is_new |= self._redial(nursery, target, now, pause_max_s)
        self._try_absent(nursery, now)
        return not is_new

    def _note(self, connected: Sequence[Connected], now: float) -> bool:
        """Tell the table who is there; return whether that is news."""
        wall = self._context.clock.wall()
        for each in connected:
            if self._table.contact(each.peer_id, now=now, wall=wall, address=each.address, source=each.source):
                self._context.network.learn_addresses(each.peer_id, self._table.addresses(each.peer_id))
            self._redials.forget(each.peer_id)
        now_connected = frozenset(each.peer_id for each in connected)
        if now_connected == self._connected:
            return False
        self._connected = now_connected
        self._greet_at = {peer_id: at for peer_id, at in self._greet_at.items() if peer_id in self._connected}
        return True

    # Whom.

    def _choose(self, now: float) -> None:
        """Think over who the anchors, the circle and the absent are."""
        table, wall = self._table, self._context.clock.wall()
        self._choose_at, self._seen_changes = now + CHOOSE_EVERY_S, table.changes
        anchors = choose_anchors(table.anchors, table.acquaintances(now=now, wall=wall))
        if anchors != table.anchors:
            table.anchors = anchors
            self._context.network.protect(anchors)
        everyone = [peer_id for peer_id, _ in table.members()]
        absent = {peer_id for peer_id in everyone if self._is_absent(peer_id, now)} - self._connected
        domains, elsewhere = table.domains(wall=wall), absent | anchors
        present = [(peer_id, domains[peer_id]) for peer_id in everyone if peer_id not in elsewhere]
        size = CONNECTIONS_WANTED - len(anchors)
        self._circle = fill_circle(self._circle, self._context.rng.shuffled(present), size=size) | (anchors - absent)
        kept = [each for each in self._absent if each in absent]
        self._absent = dict.fromkeys([*kept, *self._context.rng.shuffled(sorted(absent.difference(kept)))])
        self._redials.keep_only({*self._circle, *absent, *self._seeds, *self._hints})

    def _is_absent(self, peer_id: PeerId, now: float) -> bool:
        if len(self._table) > CONNECTIONS_WANTED and not self._table.is_fresh(peer_id, now=now):
            dials_max = GIVE_UP_DIALS if self._connected else GIVE_UP_DIALS_WHEN_ALONE
            return self._redials.dials(peer_id) >= dials_max or self._table.is_absent(peer_id, now=now)
        return self._table.is_absent(peer_id, now=now)

    def _targets(self) -> list[tuple[Target, float]]:
        """Return whom to dial, the most important first, and how long each may wait."""
        soon_s = self._every_s * PAUSE_FACTOR_MAX
        missing = self._circle - self._connected
        here = self._connected | {self._context.own}
        seeds = [address for address, peer_id in (self._hints | self._seeds).items() if peer_id not in here]
        seed_s = SEED_EVERY_S if self._connected else soon_s
        return [
            *((peer_id, soon_s) for peer_id in sorted(missing & self._table.anchors)),
            *((address, seed_s) for address in seeds),
            *((peer_id, soon_s) for peer_id in sorted(missing - self._table.anchors)),
        ]

    def _try_absent(self, nursery: trio.Nursery, now: float) -> None:
        """Try the next of the absent; every second time the next anchor among them, while there is one."""
        if now < self._absent_at or not self._absent:
            return
        self._absent_at = now + self._every_s * ABSENT_EVERY_FACTOR * self._context.rng.uniform(*JITTER)
        for _ in range(1 if self._connected else min(ABSENT_WHEN_ALONE, len(self._absent))):
            self._absent_turn += 1
            anchors = [each for each in self._absent if each in self._table.anchors]
            target = anchors[0] if anchors and self._absent_turn % 2 else next(iter(self._absent))
            del self._absent[target]
            self._absent[target] = None
            self._redial(nursery, target, now, 0.0)

    # Dialling.

    def _redial(self, nursery: trio.Nursery, target: Target, now: float, pause_max_s: float) -> bool:
        """Dial a target if it is due, and ask others about it if it has not answered for long; whether it was due."""
        if isinstance(target, PeerId):
            if target in self._connected:
                return False
            # The one with the smaller id dials first, or both sides would dial at the same moment.
            wait_s = 0.0 if self._context.own < target else min(1.0, self._every_s)
            self._redials.add(target, now=now, wait_s=wait_s)
            self._look_up(nursery, target, now)
        if target in self._busy or not self._redials.is_due(target, now=now, pause_max_s=pause_max_s):
            return False
        self._redials.dialled(target, now=now, jitter=self._context.rng.uniform(*JITTER))
        self._spawn(nursery, target, self._dial)
        return True

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
            self._seeds.pop(str(target), None)
            self._hints.pop(str(target), None)
        except (P2PNodeError, trio.TooSlowError) as error:
            log.debug("no contact with %s: %r", target, error)
        finally:
            self._busy.discard(target)

    async def _dial(self, target: Target) -> None:
        network = self._context.network
        if isinstance(target, PeerId):
            await network.connect(target)
        else:
            await network.bootstrap(target)
            self._redials.forget(target)

    async def _greet_once(self, target: Target) -> None:
        assert isinstance(target, PeerId)
        await self._greet(target)
        self._greet_at[target] = math.inf

    def _look_up(self, nursery: trio.Nursery, target: PeerId, now: float) -> None:
        is_possible = self._connected and len(self._looking) < LOOKUPS_AT_ONCE and target not in self._looking
        if is_possible and self._redials.wants_lookup(target, now=now):
            self._looking.add(target)
            nursery.start_soon(self._find, target)

    async def _find(self, target: PeerId) -> None:
        """Ask the DHT where a member is now; what it says is tried beside what we knew."""
        try:
            known = self._table.addresses(target)
            found = await self._context.network.find_addresses(target)
            if not set(found) <= set(known):
                # The newly heard ones first: those that we know have just failed.
                self._context.network.learn_addresses(target, tuple(dict.fromkeys((*found, *known))))
                self._redials.hasten(target)
        except P2PNodeError as error:
            log.debug("nobody could be asked about %s: %r", target, error)
        finally:
            self._looking.discard(target)


def _peer_of(address: str) -> PeerId | None:
    """Return the peer id at the end of an address; None when there is none, which whoever dials it will say."""
    try:
        return PeerId(peer_id_from_text(address.rpartition("/p2p/")[2]))
    except BadPeerIdError:
        return None

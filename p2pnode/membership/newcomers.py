"""Newcomers: nodes whose admission work nobody here has checked yet, and whose turn it is to be checked.

To check a solution costs as much as one try of it: a fifth of a second of a processor and 64 MiB. So checks run one at
a time, and the question is whose record comes next while somebody floods us with false ones. Until then a newcomer is
no member: it is no candidate, is not passed on, and takes no place in the table.

Rules: who is to blame for a false solution is whoever *brought* it, for an honest node passes on only what it checked.
Bringers are of two kinds, and the kinds take turns. *Chosen* are members, who have paid the work themselves, and peers
that we dialled. All others are *strangers*, told apart by the failure domain that they come from, because a key costs
nothing and a network of one's own does. Within a kind bringers take turns too. Whoever brought a false solution is not
heard for BARRED_S, so a network costs us one check in that time, and a member who lies spends its whole admission work
on a handful of them. Every queue is bounded; what finds no place is told again with the next record of its signer.

Of all that one bringer brought a random one is next. A node that is new fills its circle of neighbours with those whom
it has checked first, and answers about members are in the order of ids: were they checked in that order, all nodes
would be neighbours of the same few, and whoever makes himself a small id would be among them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from p2pnode.membership.summary import Summary
from wire.ids import PeerId
from wire.records import MemberRecord
from wire.signed import Signed

CHOSEN_WAITING_MAX = 4_096
"""Newcomers that wait for all whom we chose together: all members of a network of some thousands. Each takes 1 to 10
KB."""

STRANGERS_WAITING_MAX = 256
"""The same of strangers, who mostly bring themselves: as many blocks of addresses may wait at a time."""

BROUGHT_BY_CHOSEN_MAX = 2_048
"""Of one peer that we chose: four whole answers about members, when we are new and it knows everybody. What finds no
place is told again by each neighbour that we meet, and read and refused again: with 512 that was most of what a node
did that came to a network of eight hundred."""

BROUGHT_BY_BLOCK_MAX = 8
"""From one failure domain of strangers: a household's machines may come at once."""

BARRED_S = 600.0
"""How long nothing unchecked is taken from whoever brought a false solution: one record period."""

BARRED_MAX = 1_024
"""Bringers that are barred; of too many the one that was barred first is free again."""


@dataclass(frozen=True, slots=True)
class Bringer:
    """Who brought a record."""

    name: str
    """A peer, or the block of addresses that a stranger comes from."""
    is_chosen: bool


@dataclass(slots=True)
class Newcomer:
    """A record that waits; its signature is checked, and its solution has the right form."""

    signed: Signed[MemberRecord]
    bringer: Bringer
    is_for_others: bool
    """Whether we pass it on once it is checked: it came by gossip, or from the newcomer itself."""


Pick = Callable[[int], int]
"""Returns one of so many numbers, from 0, at random."""

_Key = tuple[PeerId, bytes]
"""Who waits, and with which solution."""


class _Lane:
    """The bringers of one kind, each with those that it brought, in turns."""

    def __init__(self, pick: Pick, *, waiting_max: int, brought_max: int) -> None:
        self._pick = pick
        self._waiting_max = waiting_max
        self._brought_max = brought_max
        self._queues: OrderedDict[str, list[_Key]] = OrderedDict()
        self._count = 0

    def push(self, name: str, key: _Key) -> tuple[bool, _Key | None]:
        """Put somebody in; return whether there was room, and who had to leave for it."""
        mine = len(self._queues.get(name, ()))
        if mine >= self._brought_max:
            return False, None
        leaving = None
        if self._count >= self._waiting_max:
            longest = max(self._queues.values(), key=len)
            if len(longest) <= mine + 1:
                return False, None
            leaving = longest.pop()
            self._count -= 1
        self._queues.setdefault(name, []).append(key)
        self._count += 1
        return True, leaving

    def pop(self) -> _Key | None:
        """Return whose turn it is; its bringer's next one comes after those of all others."""
        if not self._queues:
            return None
        name, queue = self._queues.popitem(last=False)
        key = queue.pop(self._pick(len(queue)))
        self._count -= 1
        if queue:
            self._queues[name] = queue
        return key

    def drop(self, name: str) -> list[_Key]:
        """Let all go that somebody brought."""
        dropped = list(self._queues.pop(name, ()))
        self._count -= len(dropped)
        return dropped


class Newcomers:
    """Who waits, in which order, and whom nobody may bring any more for a while."""

    def __init__(self, pick: Pick) -> None:
        """Nobody waits."""
        self._waiting: dict[_Key, Newcomer] = {}
        self.summary = Summary()
        """Of the records that wait: what we have heard need not be told again."""
        self._lanes = {
            True: _Lane(pick, waiting_max=CHOSEN_WAITING_MAX, brought_max=BROUGHT_BY_CHOSEN_MAX),
            False: _Lane(pick, waiting_max=STRANGERS_WAITING_MAX, brought_max=BROUGHT_BY_BLOCK_MAX),
        }
        self._barred: OrderedDict[str, float] = OrderedDict()
        self._is_turn_of_chosen = True

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def offer(self, signed: Signed[MemberRecord], bringer: Bringer, *, now: float, is_for_others: bool = False) -> bool:
        """Let a record wait for its check; return whether there is room for it.

        A newer record of somebody who waits with the same solution takes the place of the older one.
        """
        key = (signed.signer_peer, signed.record.work)
        known = self._waiting.get(key)
        if known is not None:
            if signed.record.sequence > known.signed.record.sequence:
                self._flip(known)
                known.signed = signed
                self._flip(known)
            known.is_for_others |= is_for_others
            return True
        if self._barred.get(bringer.name, now) > now:
            return False
        has_room, leaving = self._lanes[bringer.is_chosen].push(bringer.name, key)
        if leaving is not None:
            self._let_go(leaving)
        if has_room:
            self._waiting[key] = newcomer = Newcomer(signed, bringer, is_for_others)
            self._flip(newcomer)
        return has_room

    def next(self) -> Newcomer | None:
        """Return who is to be checked now, and let it wait no longer; None when nobody waits."""
        for is_chosen in (self._is_turn_of_chosen, not self._is_turn_of_chosen):
            key = self._lanes[is_chosen].pop()
            if key is not None:
                self._is_turn_of_chosen = not is_chosen
                return self._let_go(key)
        return None

    def failed(self, newcomer: Newcomer, *, now: float) -> None:
        """Take note of a false solution: whoever brought it is not heard for a while."""
        bringer = newcomer.bringer
        self._barred.pop(bringer.name, None)
        self._barred[bringer.name] = now + BARRED_S
        if len(self._barred) > BARRED_MAX:
            self._barred.popitem(last=False)
        for key in self._lanes[bringer.is_chosen].drop(bringer.name):
            self._let_go(key)

    def _let_go(self, key: _Key) -> Newcomer:
        newcomer = self._waiting.pop(key)
        self._flip(newcomer)
        return newcomer

    def _flip(self, newcomer: Newcomer) -> None:
        self.summary.flip(newcomer.signed.signer_peer, newcomer.signed.record.sequence)

"""Relaying: when a node wants to be reached through others, and through whom.

A relay is asked only when no address of ours can be dialled: it pays for every byte. Places are taken with members that
we dialled ourselves, so that others can dial them too; with those first that we have known longest, which nobody can
buy, and in distinct failure domains.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from p2pnode.protocols.reach import Reach
from wire.ids import PeerId

RELAYS_WANTED = 2
"""Relays that a node which nobody can dial keeps: the other one holds while the first is replaced."""

RENEW_S = 1800.0
"""How often a place is asked for again: half of the hour for which it is granted."""

ASK_AGAIN_S = 600.0
"""When a member is asked again that did not want to relay for us."""


class Wish(enum.Enum):
    """What to do about relays."""

    HAVE = "have some"
    KEEP = "keep those that there are"
    NONE = "have none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayCandidate:
    """A connected member at an address that we dialled."""

    peer_id: PeerId
    domain: str
    met_at: float
    """Our wall clock at the first contact."""


def wish_of(reach: Reach, *, has_own_address: bool) -> Wish:
    """Return what to do; `has_own_address` is whether we say to be anywhere without a relay."""
    if not has_own_address or reach is Reach.NO:
        return Wish.HAVE
    return Wish.NONE if reach is Reach.YES else Wish.KEEP


def choose_relays(
    held: Collection[PeerId], candidates: Iterable[RelayCandidate], *, refused: Collection[PeerId]
) -> list[PeerId]:
    """Return whom to ask, in this order, until RELAYS_WANTED are held; `refused` are not asked now.

    Those of a domain that no held one has come first, then those that we met first.
    """
    known = list(candidates)
    taken = {each.domain for each in known if each.peer_id in held}
    rest = [each for each in known if each.peer_id not in held and each.peer_id not in refused]
    first: list[PeerId] = []
    later: list[PeerId] = []
    for each in sorted(rest, key=lambda each: (each.met_at, each.peer_id)):
        (later if each.domain in taken else first).append(each.peer_id)
        taken.add(each.domain)
    return [*first, *later]

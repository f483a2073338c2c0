"""Anchors: the few long-lived peers of distinct failure domains that a node stays with (PROTOCOL section 2).

What they defend against: a node whose every neighbour is a newcomer sees only the network that its attacker shows to
it. So an anchor is chosen by how long we have known it, which nobody can buy, and whoever comes later takes no seat
from it. A seat is free again only when its peer is lost, and somebody else is there to take it.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from wire.ids import PeerId

ANCHORS_WANTED = 8
"""Seats: enough that one of them answers after a week, few enough to be kept connected always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquaintance:
    """A member that we were in contact with, as far as it matters here."""

    peer_id: PeerId
    domain: str
    met_at: float
    """Our wall clock at the first contact."""
    is_vetted: bool
    is_lost: bool


class _Claim(enum.IntEnum):
    """Who is seated before whom."""

    VETTED_ANCHOR = 0
    VETTED = 1
    UNVETTED_ANCHOR = 2
    UNVETTED = 3
    """A young network has nobody else yet; it yields the seat to the first that is vetted."""
    LOST_ANCHOR = 4
    """Better than an empty seat: it is where a node that was away for long looks first."""


def choose_anchors(current: Collection[PeerId], known: Iterable[Acquaintance]) -> frozenset[PeerId]:
    """Return who are the anchors from now on, ANCHORS_WANTED at most and no two of one domain.

    Of two with equal claims the one that we have known for longer comes first.
    """
    claims = [(_claim(each, is_anchor=each.peer_id in current), each) for each in known]
    rows = [(claim, each.met_at, each.peer_id, each.domain) for claim, each in claims if claim is not None]
    seated: dict[str, PeerId] = {}
    for _, _, peer_id, domain in sorted(rows):
        if len(seated) == ANCHORS_WANTED:
            break
        seated.setdefault(domain, peer_id)
    return frozenset(seated.values())


def _claim(each: Acquaintance, *, is_anchor: bool) -> _Claim | None:
    if each.is_lost:
        return _Claim.LOST_ANCHOR if is_anchor else None
    if each.is_vetted:
        return _Claim.VETTED_ANCHOR if is_anchor else _Claim.VETTED
    return _Claim.UNVETTED_ANCHOR if is_anchor else _Claim.UNVETTED

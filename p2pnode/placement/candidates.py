"""Who is asked to keep a blob, and who is asked for it, by how many members are known (PROTOCOL section 3).

While a node knows all members, all are candidates. Beyond FULL_VIEW_MAX nobody knows all, and two nodes that know
different parts would rank different candidates. So then the candidates are the nearest members to the seed: near the
seed every node looks more closely, and two views differ little there.

Nobody else has to agree: a committee is what its writer proposes, and receipts say who really holds what.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from p2pnode.placement.rendezvous import Candidate, Committee, assign, lookup_order
from p2pnode.placement.shape import SHARDS_DEFAULT_MAX

FULL_VIEW_MAX = 5_000
"""Up to so many members all are candidates: half of what a node keeps of them, so that the view is whole."""

NEAREST_PER_SHARD = 4
"""Candidates of a neighbourhood for each shard: one that holds it, and three in reserve for domains and failures."""

NEAREST_MIN = NEAREST_PER_SHARD * SHARDS_DEFAULT_MAX
"""A neighbourhood has at least so many, whatever n is: a reader who knows no n must look at the same one."""

BORDER = 2
"""A reader who knows up to so many times more or fewer members than FULL_VIEW_MAX reckons with both kinds of view."""


class CandidateSource(Protocol):
    """Where the candidates for a seed come from."""

    def near(self, seed: bytes, *, n: int) -> Sequence[Candidate]:
        """Return the candidates for the n shards of a blob or file with this seed."""


@dataclass(frozen=True, slots=True)
class FullView:
    """All members that are known."""

    members: Sequence[Candidate]

    def near(self, seed: bytes, *, n: int) -> Sequence[Candidate]:
        """Return all of them, for every seed."""
        del seed, n
        return self.members


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Those of the known members that are nearest to the seed."""

    members: Sequence[Candidate]

    def near(self, seed: bytes, *, n: int) -> Sequence[Candidate]:
        """Return NEAREST_PER_SHARD times n of them, or NEAREST_MIN if that is more."""
        return nearest(seed, self.members, count=max(NEAREST_MIN, NEAREST_PER_SHARD * n))


def source_of(members: Sequence[Candidate]) -> CandidateSource:
    """Return the source that fits to how many members are known."""
    return FullView(members) if len(members) <= FULL_VIEW_MAX else Neighbourhood(members)


def nearest(seed: bytes, members: Sequence[Candidate], *, count: int) -> list[Candidate]:
    """Return so many members, the nearest to the seed first.

    The distance is the exclusive or of two SHA-256, of the seed and of the placement key. Where the placement key is
    the peer id, that is the distance of the DHT, so that its lookups find the same neighbourhood.
    """
    target = _position(seed)
    return heapq.nsmallest(count, members, key=lambda each: (_position(each.placement_key) ^ target, each.peer_id))


def propose(seed: bytes, n: int, members: Sequence[Candidate]) -> Committee:
    """Propose a committee of the known members for n shards. Raises `ValueError` when there is none."""
    return assign(seed, n, source_of(members).near(seed, n=n))


def order_of_asking(seed: bytes, members: Sequence[Candidate]) -> list[Candidate]:
    """Return the known members in the order in which a reader who knows only the seed asks them.

    Near FULL_VIEW_MAX the writer may have had the other kind of view: then the orders for both take turns.
    """
    sources: list[CandidateSource] = []
    if len(members) <= FULL_VIEW_MAX * BORDER:
        sources.append(FullView(members))
    if len(members) * BORDER > FULL_VIEW_MAX:
        sources.append(Neighbourhood(members))
    orders = [lookup_order(seed, source.near(seed, n=SHARDS_DEFAULT_MAX)) for source in sources]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*orders))
    return list(dict.fromkeys(each for each in turns if each is not None))


def _position(name: bytes) -> int:
    return int.from_bytes(hashlib.sha256(name).digest(), "big")

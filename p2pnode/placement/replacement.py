"""Who comes next for a shard whose pair is missing: the same order for everyone who sees the same members and holders.

Whoever held the shard and has lost its own pair comes first: it was chosen once, and has the room. Then those that hold
no shard of the blob, so that one machine does not take two with it; only then those that hold fewest. Domains that hold
few come before others, and within all that the numbers of the shard decide, as in `rendezvous`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from p2pnode.placement.candidates import source_of
from p2pnode.placement.rendezvous import Candidate, rank
from p2pnode.placement.spread import caps_of
from wire.ids import PeerId, ShardIndex


def replacements(
    seed: bytes,
    shard: ShardIndex,
    members: Sequence[Candidate],
    *,
    n: int,
    held: Mapping[PeerId, int],
    former: Collection[PeerId] = (),
) -> list[Candidate]:
    """Return who may rebuild a shard, best first. `held` says how many shards of the blob each live holder has.

    Where newcomers have their share of the blob, none of them is named, except one that held this shard before.
    """
    near = source_of(members).near(seed, n=n)
    candidates = {each.peer_id: each for each in near}
    candidates |= {each.peer_id: each for each in members if each.peer_id in former}
    caps = caps_of(n, list(candidates.values()))
    holders = [each for each in candidates.values() if held.get(each.peer_id)]
    in_domain, in_wide = Counter[str](), Counter[str]()
    for each in holders:
        in_domain[each.domain] += held[each.peer_id]
        in_wide[each.wide] += held[each.peer_id] if each.wide else 0
    unvetted = sum(held[each.peer_id] for each in holders if not each.is_vetted)
    has_room = caps.unvetted_max is None or unvetted < caps.unvetted_max
    left = [each for each in candidates.values() if each.is_vetted or has_room or each.peer_id in former]

    def order(each: Candidate) -> tuple[bool, int, bool, int]:
        is_wide_full = in_wide[each.wide] >= caps.prefix_max
        return each.peer_id not in former, held.get(each.peer_id, 0), is_wide_full, in_domain[each.domain]

    return sorted(rank(seed, shard, left), key=order)

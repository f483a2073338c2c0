"""How much of a holder newcomers may fill: all owners together that no vetted member stands for (PROTOCOL section 2).

Whoever would fill the network with rubbish needs owner keys, which cost nothing, so no cap on one owner helps. A member
record names its node's owner key; only the keys that vetted members name count as known, one for each such member. The
others share a small part of the quota, and may crowd out each other, but nobody else.

The cap binds while there are as many vetted members to store with as placement asks for at SMALL_SHARDS. Placement asks
for them at the n of the blob; here that would let the owner choose, by a large n, whether it is capped.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnode.membership.table import MemberTable
from p2pnode.placement.shape import SMALL_SHARDS
from p2pnode.placement.spread import are_enough_vetted
from wire.ids import PublicKey

NEWCOMERS_PERCENT_MAX = 5
"""Of the quota: enough to try the network out, and a holder whose newcomers all turn out rubbish hardly notices."""


@dataclass(frozen=True, slots=True)
class OwnersCap:
    """What a holder demands of whoever wants something kept, at one moment."""

    relied_on: frozenset[PublicKey]
    """Owners that are not capped: our own, and those of vetted members."""
    bytes_max: int
    """What all others may have kept here together."""


def owners_cap(
    table: MemberTable, *, own_owner: PublicKey, quota_bytes: int, now: float, wall: float
) -> OwnersCap | None:
    """Return the cap of this moment; None while none binds: vetting is off, or the network is young."""
    vetted = [(peer_id, member) for peer_id, member in table.members() if table.is_vetted(peer_id, wall=wall)]
    eligible = {peer_id for peer_id, _ in table.fresh(now=now)}
    here = 1 + sum(peer_id in eligible for peer_id, _ in vetted)  # We are one of them.
    if not table.has_vetting or not are_enough_vetted(SMALL_SHARDS, vetted=here):
        return None
    owners = frozenset({own_owner, *(member.record.owner for _, member in vetted)})
    return OwnersCap(owners, quota_bytes * NEWCOMERS_PERCENT_MAX // 100)

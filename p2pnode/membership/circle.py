"""The circle: with whom a node keeps connections when there are more members than it can be connected with.

It is a random sample that stays as it is while its members do, so that a network hangs together without anybody's plan.
A failure domain gets more than its part only when nobody else is left: an attacker with many peers on one network
would fill the sample else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from wire.ids import PeerId

CIRCLE_PER_DOMAIN_MAX = 2
"""Members of one failure domain that are taken before those of all other domains had their turn."""


def fill_circle(current: Collection[PeerId], present: Sequence[tuple[PeerId, str]], *, size: int) -> frozenset[PeerId]:
    """Return the circle: those of `current` that are still present, filled up from `present` as far as `size` allows.

    `present` has the members to choose from, each with its failure domain, in a random order.
    """
    if len(present) <= size:
        return frozenset(peer_id for peer_id, _ in present)
    chosen = {peer_id: domain for peer_id, domain in present if peer_id in current}
    chosen = dict(list(chosen.items())[:size])
    per_domain = Counter(chosen.values())
    passed_over = []
    for peer_id, domain in present:
        if peer_id in chosen or len(chosen) >= size:
            continue
        if per_domain[domain] < CIRCLE_PER_DOMAIN_MAX:
            chosen[peer_id] = domain
            per_domain[domain] += 1
        else:
            passed_over.append(peer_id)
    return frozenset([*chosen, *passed_over[: size - len(chosen)]])

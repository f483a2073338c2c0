"""Who of the candidates rebuilds a pair, and when: rank i waits i steps, so that mostly one begins and is seen."""

from __future__ import annotations

from collections.abc import Sequence

from wire.ids import PeerId

FIRST_RANKS = 3
"""Of an urgent blob so many ranks go ahead whatever others intend: an intent must not be able to lose data."""

LOSSES_TOLD = 2
"""Candidates without a part in the blob that one holder tells of a loss: if both are away, another holder's turn comes,
and the holders are candidates themselves."""


def ranks_honoured(missing: int) -> int:
    """Return from how many ranks an intent counts, for a blob with so many missing shards."""
    return 2 * missing + 4


def rank_of(order: Sequence[PeerId], peer_id: PeerId, *, missing: int) -> int | None:
    """Return a peer's rank among the candidates; None beyond those whose intents count."""
    within = order[: ranks_honoured(missing)]
    return within.index(peer_id) if peer_id in within else None


def whom_to_tell(
    order: Sequence[PeerId], *, holders: Sequence[PeerId], own: PeerId, waited_steps: float
) -> list[PeerId]:
    """Return which candidates we tell now of a loss that they cannot know of, because they hold nothing of the blob.

    Holder i of those who are here tells after i steps. `holders` stand in the order of their shards.
    """
    distinct = list(dict.fromkeys(holders))
    if own not in distinct or waited_steps < distinct.index(own):
        return []
    return [each for each in order if each not in distinct][:LOSSES_TOLD]

"""The shortest failing prefix: how few of a run's injections still make it fail in the same way."""

from __future__ import annotations

from testnet.sim.runner import FIRED, Outcome, play

TRIED_ONE_BY_ONE_MAX = 40
"""Up to so many injections every prefix is tried, the shortest first; of more, prefixes are halved first."""


def shortest_failing_prefix(outcome: Outcome) -> Outcome | None:
    """Return the outcome with the fewest injections that the same judge condemns; its `injected` says how many.

    None when no prefix fails like that: a fault that never fired has none. Where there are very many injections the
    prefix is short, but a shorter one may exist: failing with k of them need not mean failing with k + 1.
    """
    if outcome.judge in ("", FIRED):
        return None
    low, shortest = 0, _replay(outcome, outcome.injected)
    if shortest is None:
        return None
    high = outcome.injected
    while high - low > TRIED_ONE_BY_ONE_MAX:
        middle = (low + high) // 2
        found = _replay(outcome, middle)
        if found is None:
            low = middle + 1
        else:
            high, shortest = middle, found
    for count in range(low, high):
        found = _replay(outcome, count)
        if found is not None:
            return found
    return shortest


def _replay(outcome: Outcome, injections: int) -> Outcome | None:
    again = play(outcome.scenario, outcome.seed, nodes=outcome.nodes, injections_max=injections)
    return again if again.judge == outcome.judge else None

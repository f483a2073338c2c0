"""What repair may cost: rates with credit that carries over, and how often the same symbols are given to one node."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from p2pnode.protocols.receipt_set import Pair
from wire.ids import PeerId

TIMES_SERVED_MAX = 2
"""How often in a long grace one node is given the symbols of one pair: once, and once more because something failed."""

SERVED_MAX = 50_000
"""Nodes and pairs of which it is remembered, some 200 bytes each; who was served longest ago makes room."""


class Credit:
    """A rate at which something may be spent; what is not spent carries over, up to a bound.

    A spender may overdraw it once, and waits until that is paid: so a large pair is repaired at a low rate too.
    """

    def __init__(self, *, per_s: float, carried_s: float, now: float) -> None:
        """Begin with all the credit that can be carried over: `carried_s` seconds' worth."""
        self._per_s = per_s
        self._most = per_s * carried_s
        self._level = self._most
        self._at = now

    def wait_s(self, now: float) -> float:
        """Return how long until something may be spent; 0 when it may be now."""
        self._fill(now)
        return max(0.0, -self._level / self._per_s)

    def spend(self, amount: float, now: float) -> None:
        """Spend, whether there was credit or not."""
        self._fill(now)
        self._level -= amount

    def _fill(self, now: float) -> None:
        self._level = min(self._most, self._level + (now - self._at) * self._per_s)
        self._at = now


@dataclass(slots=True)
class _Served:
    since: float
    symbols: int = 0


class ServedSymbols:
    """How many symbols of which pair were given to whom. Times are monotonic, in seconds."""

    def __init__(self, *, for_s: float) -> None:
        """Nothing was given; what was is forgotten after `for_s`, the long grace."""
        self._for_s = for_s
        self._served: OrderedDict[tuple[PeerId, Pair], _Served] = OrderedDict()

    def __len__(self) -> int:
        """Return how many nodes and pairs are remembered."""
        return len(self._served)

    def take(self, node: PeerId, pair: Pair, symbols: int, *, of: int, now: float) -> bool:
        """Count symbols for a pair; False, and nothing is counted, beyond TIMES_SERVED_MAX times those there are."""
        served = self._served.pop((node, pair), None)
        if served is None or now - served.since >= self._for_s:
            served = _Served(now)
        self._served[node, pair] = served
        if len(self._served) > SERVED_MAX:
            self._served.popitem(last=False)
        if served.symbols + symbols > TIMES_SERVED_MAX * of:
            return False
        served.symbols += symbols
        return True

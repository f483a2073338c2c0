"""When a silent target is dialled again: soon at first, then ever later up to a bound, never at the same moment as all.

A target is a member, or an address from the settings or the local network. The time and the jitter come in as
arguments. The bound is an argument of each question, because it changes: an address from the settings may wait while
there are connections, and not when there is none.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from wire.ids import PeerId

GROWTH = 1.6
"""By how much the pause grows with each dial that came to nothing."""

LOOKUP_AFTER_DIALS = 2
"""Dials that come to nothing before we ask others whether a member has moved: the first may have met a restart."""

LOOKUP_PAUSE_S = 60.0
"""The pause before others are asked a second time; it doubles each time."""

LOOKUP_PAUSE_MAX_S = 3600.0
"""The longest pause between two look-ups of one member; each may cost many peers a message."""

Target = PeerId | str


@dataclass(slots=True)
class _Redial:
    """What is known of one target's dials."""

    dialled_at: float
    pause_s: float
    dials: int = 0
    lookups: int = 0
    looked_up_at: float = 0.0


class Redials:
    """The pauses of all targets that do not answer."""

    def __init__(self, *, every_s: float) -> None:
        """The first pause is about `every_s`."""
        self._every_s = every_s
        self._targets: dict[Target, _Redial] = {}

    def __len__(self) -> int:
        """Return how many targets are remembered."""
        return len(self._targets)

    def add(self, target: Target, *, now: float, wait_s: float) -> None:
        """Plan the first dial of a target; one that is known stays as it is."""
        self._targets.setdefault(target, _Redial(now, wait_s))

    def is_due(self, target: Target, *, now: float, pause_max_s: float) -> bool:
        """Tell whether a target is to be dialled now, when it need not wait longer than `pause_max_s`."""
        redial = self._targets.get(target)
        return redial is None or now - redial.dialled_at >= min(redial.pause_s, pause_max_s)

    def dialled(self, target: Target, *, now: float, jitter: float) -> None:
        """Note that it is dialled now; `jitter` (up to 1) shortens the pause that follows."""
        redial = self._targets.setdefault(target, _Redial(now, 0.0))
        # The exponent is bounded because a float is.
        redial.pause_s = self._every_s * GROWTH ** min(redial.dials, 64) * jitter
        redial.dialled_at = now
        redial.dials += 1

    def dials(self, target: Target) -> int:
        """Return how many dials came to nothing since there was an answer, or news."""
        redial = self._targets.get(target)
        return 0 if redial is None else redial.dials

    def hasten(self, target: Target) -> None:
        """There is news of this target: let it wait no longer than the first pause since its last dial."""
        redial = self._targets.get(target)
        if redial is not None:
            redial.dials = 0
            redial.pause_s = min(redial.pause_s, self._every_s)

    def wants_lookup(self, target: Target, *, now: float) -> bool:
        """Tell whether to ask others where it is; a yes counts as asked."""
        redial = self._targets.get(target)
        if redial is None or redial.dials < LOOKUP_AFTER_DIALS:
            return False
        pause_s = min(LOOKUP_PAUSE_S * 2 ** min(redial.lookups - 1, 16), LOOKUP_PAUSE_MAX_S)
        if redial.lookups and now - redial.looked_up_at < pause_s:
            return False
        redial.lookups += 1
        redial.looked_up_at = now
        return True

    def forget(self, target: Target) -> None:
        """It answered: the next loss starts from the first pause."""
        self._targets.pop(target, None)

    def keep_only(self, targets: Collection[Target]) -> None:
        """Forget all others, so that this never grows beyond who is wanted."""
        for target in [each for each in self._targets if each not in targets]:
            del self._targets[target]

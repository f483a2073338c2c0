"""The freeze: for a while silence is held against nobody, because our own link seems to be down (PROTOCOL section 7).

Many peers of many failure domains do not fail within minutes of each other; our router does. So when of many domains
that were heard all but one fall silent, nobody is declared lost for at most the short grace. It ends early when two
domains answer. Whoever cuts us off could also make us wait, which is why there is no second freeze within the long
grace: by then it is better to copy too much. Why it is not 30 % of the domains that start it: ADR 0010.

Only peers that we have known for longer than the vetting time count, and one for each domain: a crowd of newcomers
neither starts a freeze by leaving nor ends one by talking.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from p2pnode.config import Profile

DOMAINS_MIN = 8
"""With fewer domains chance alone silences nearly all of them."""

ANSWERS_ENOUGH = 2
"""Domains that answer and so prove that our link works: one may be a machine beside ours."""


class Freeze:
    """Decides from look to look, in monotonic seconds."""

    def __init__(self, profile: Profile) -> None:
        """Start unfrozen."""
        self._profile = profile
        self._started_at = -math.inf
        self._ends_at = -math.inf

    def is_frozen(self, now: float) -> bool:
        """Tell whether silence is held against nobody at this moment."""
        return now < self._ends_at

    def look(self, heard_at: Collection[float], *, now: float) -> None:
        """Start or end a freeze. `heard_at` has the last contact with each domain of long-known peers."""
        if self.is_frozen(now):
            if sum(each > self._started_at for each in heard_at) >= ANSWERS_ENOUGH:
                self._ends_at = now
        elif now - self._started_at >= self._profile.long_grace_s and self._is_cut_off(heard_at, now):
            self._started_at = now
            self._ends_at = now + self._profile.short_grace_s

    def _is_cut_off(self, heard_at: Collection[float], now: float) -> bool:
        """Tell whether many domains were heard one suspect time ago and hardly any is heard since.

        Who fell silent before that is no sign of anything that happens now, and counts neither way.
        """
        quiet_since = now - self._profile.suspect_after_s
        lately = [each for each in heard_at if each > quiet_since - self._profile.suspect_after_s]
        return len(lately) >= DOMAINS_MIN and sum(each > quiet_since for each in lately) < ANSWERS_ENOUGH

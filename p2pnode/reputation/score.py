"""A peer's score: how likely it is to keep a promise, by what our own audits have seen (PROTOCOL section 9).

A beta score: passes and failures are summed, older ones weigh less by LAMBDA each time. Everybody begins as one who has
passed 95 of 100, with the weight of 50 observations: a single failure condemns nobody, three in a row keep new slivers
away, nine put in quarantine. Nothing is for ever: ten passes in a row give a peer the least trust back.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

LAMBDA = 0.98
"""What is left of the weight of an observation with each one after it: 50 of them count, about a day of audits."""

START = 0.95
START_WEIGHT = 50.0

TRUSTED_FROM = 0.90
"""Below it a peer is given no new slivers."""

QUARANTINE_BELOW = 0.80
"""Below it a peer is in quarantine: it is still read from, and told apart in what we show."""

REDEEMED_AFTER = 10
"""Passes in a row that raise a score to TRUSTED_FROM at least."""


class Trust(enum.StrEnum):
    """What a score means, in words."""

    FULL = "full"
    NO_NEW_DATA = "no new data"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What we have seen of one peer."""

    passed: float = START * START_WEIGHT
    failed: float = (1 - START) * START_WEIGHT
    streak: int = 0
    """Passes since the last failure, at most REDEEMED_AFTER."""

    @property
    def value(self) -> float:
        """From 0 to 1."""
        return self.passed / (self.passed + self.failed)

    @property
    def is_trusted(self) -> bool:
        """Whether the peer may be given new slivers."""
        return self.value >= TRUSTED_FROM

    @property
    def is_quarantined(self) -> bool:
        """Whether so much went wrong that the peer counts for little."""
        return self.value < QUARANTINE_BELOW

    @property
    def trust(self) -> Trust:
        """What follows from the value."""
        if self.is_quarantined:
            return Trust.QUARANTINE
        return Trust.FULL if self.is_trusted else Trust.NO_NEW_DATA

    def after(self, *, passed: bool) -> Score:
        """Return the score after one more audit."""
        good = self.passed * LAMBDA + passed
        bad = self.failed * LAMBDA + (not passed)
        streak = min(self.streak + 1, REDEEMED_AFTER) if passed else 0
        weight = good + bad
        if streak == REDEEMED_AFTER and good / weight < TRUSTED_FROM:
            good = TRUSTED_FROM * weight
            bad = weight - good
        return Score(passed=good, failed=bad, streak=streak)


NEW = Score()
"""The score of a peer that was never audited."""

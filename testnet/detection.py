"""How many audits find a cheat: adversaries against the code that asks and checks, beside what theory gives.

`python -m testnet.detection` prints the table that `docs/THREATS.md` has, and with `--plot` draws its picture. Each
adversary is a holder of which is known, for each question, whether what it kept gives the answer; what it could say
else is refused by the check, as the tests of `protocols/challenge.py` hold. The questions are drawn by the real `draw`,
and the score is the real score.
"""

from __future__ import annotations

import abc
import argparse
import math
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from p2pnode import bft
from p2pnode.protocols.challenge import Draw, draw
from p2pnode.reputation.score import NEW, Score
from testnet.detection_plot import Curves
from testnet.detection_plot import draw as draw_plot
from wire import limits
from wire.ids import Axis

SYMBOL_BYTES = 100
"""Short symbols: four are asked for."""

PAIRS = 200
"""Pairs that a holder has signed for."""

AUDITS_MAX = 20_000
"""After so many audits an adversary counts as never found."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to a holder."""

    pair: int
    what: Draw


class Adversary(abc.ABC):
    """A holder that keeps less than it has signed for."""

    name = ""

    def __init__(self, n: int, rng: random.Random) -> None:
        """Sign for PAIRS pairs of blobs with n shards."""
        self.n = n
        self.rng = rng

    @abc.abstractmethod
    def can_answer(self, asked: Asked) -> bool:
        """Tell whether what it kept gives a true answer to this very question."""

    @abc.abstractmethod
    def failure_rate(self) -> float:
        """Return the probability that it cannot answer, by theory."""


class DropsEverything(Adversary):
    """Keeps nothing, or hashes only: no symbol follows from them."""

    name = "keeps nothing, or hashes only"

    def can_answer(self, asked: Asked) -> bool:
        """Never."""
        del asked
        return False

    def failure_rate(self) -> float:
        """Each question fails."""
        return 1.0


class DropsATenth(Adversary):
    """Drops one pair in ten."""

    name = "drops a tenth of the pairs"

    def can_answer(self, asked: Asked) -> bool:
        """When the pair is one of the others."""
        return asked.pair % 10 != 0

    def failure_rate(self) -> float:
        """A question is about any pair alike."""
        return 0.1


class HalfSlivers(Adversary):
    """Keeps half of the source symbols of each sliver, and the hashes of all n."""

    name = "keeps half of each sliver, and all hashes"

    def can_answer(self, asked: Asked) -> bool:
        """When all asked symbols are among those kept; no other one follows from fewer than all source symbols."""
        return all(index < self._kept(asked.what.axis) for index in asked.what.indices)

    def failure_rate(self) -> float:
        """Four of n are drawn, of either sliver alike."""
        passes = [math.comb(self._kept(axis), 4) / math.comb(self.n, 4) for axis in Axis]
        return 1 - statistics.fmean(passes)

    def _kept(self, axis: Axis) -> int:
        source = bft.secondary_source(self.n) if axis is Axis.PRIMARY else bft.primary_source(self.n)
        return source // 2


class KeepsWhatWasAsked(Adversary):
    """Drops everything, and keeps each answer that it could get somewhere, in case it is asked the same again."""

    name = "keeps only what was asked before"

    def __init__(self, n: int, rng: random.Random) -> None:
        """Nothing was asked yet."""
        super().__init__(n, rng)
        self._known: dict[tuple[int, Axis], set[int]] = {}

    def can_answer(self, asked: Asked) -> bool:
        """When all four symbols were asked for before, in whichever questions."""
        known = self._known.setdefault((asked.pair, asked.what.axis), set())
        is_known = known.issuperset(asked.what.indices)
        known.update(asked.what.indices)
        return is_known

    def failure_rate(self) -> float:
        """The first questions fail; it is found long before any comes again."""
        return 1.0


class Guesses(Adversary):
    """Precomputes answers to a thousand questions about each pair, drops the slivers, and hopes for one of them.

    Grinding is the same: whatever a holder chooses (its key, the number and the time of its receipt), it chooses before
    it hears the secret. A thousand answers take more room than the pair, and are few of all sets of four.
    """

    name = "precomputes or grinds for a thousand questions a pair"

    GUESSES = 1_000

    def __init__(self, n: int, rng: random.Random) -> None:
        """Guess once for all pairs; which ones it guesses for which pair makes no difference."""
        super().__init__(n, rng)
        self._ready = {_key(draw(rng.randbytes(32), n=n, symbol_size=SYMBOL_BYTES)) for _ in range(self.GUESSES)}

    def can_answer(self, asked: Asked) -> bool:
        """When this very question was guessed."""
        return _key(asked.what) in self._ready

    def failure_rate(self) -> float:
        """As many guesses as it has, of all sets of four on two slivers."""
        return 1 - len(self._ready) / (2 * math.comb(self.n, limits.CHALLENGE_SYMBOLS_MAX))


def _key(what: Draw) -> tuple[Axis, frozenset[int]]:
    return what.axis, frozenset(what.indices)


ADVERSARIES: tuple[type[Adversary], ...] = (
    DropsEverything,
    KeepsWhatWasAsked,
    Guesses,
    HalfSlivers,
    DropsATenth,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How an adversary fared against one asker."""

    first_failure: int
    """Audits up to and with the first one that failed."""
    distrusted: int
    """Audits until it was given nothing new."""


def play(adversary: Adversary, rng: random.Random) -> Finding:
    """Audit one adversary until it is distrusted."""
    return _until_distrusted(lambda: adversary.can_answer(_question(adversary.n, rng)))


def play_coin(failure_rate: float, rng: random.Random) -> Finding:
    """Do the same with a coin that fails as often as theory says."""
    return _until_distrusted(lambda: rng.random() >= failure_rate)


def _question(n: int, rng: random.Random) -> Asked:
    return Asked(rng.randrange(PAIRS), draw(rng.randbytes(32), n=n, symbol_size=SYMBOL_BYTES))


def _until_distrusted(passes: Callable[[], bool]) -> Finding:
    score: Score = NEW
    first = 0
    for count in range(1, AUDITS_MAX + 1):
        passed = passes()
        first = first or (0 if passed else count)
        score = score.after(passed=passed)
        if not score.is_trusted:
            return Finding(first_failure=first, distrusted=count)
    return Finding(first_failure=first or AUDITS_MAX, distrusted=AUDITS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; audits are means, `_95` what 95 of 100 runs need at most."""

    name: str
    failure_rate: float
    first_theory: float
    first_seen: float
    first_seen_95: int
    distrusted_theory: float
    distrusted_seen: float
    distrusted_seen_95: int
    curves: Curves
    """All runs, to be drawn."""

    def text(self) -> str:
        """Return the line as Markdown."""
        return (
            f"| {self.name} | {self.failure_rate:.3f} | {self.first_theory:.1f} / {self.first_seen:.1f} |"
            f" {self.first_seen_95} | {self.distrusted_theory:.1f} / {self.distrusted_seen:.1f} |"
            f" {self.distrusted_seen_95} |"
        )


HEAD = (
    "| adversary | share of audits that fail | audits to the first failure, theory / seen | 95 of 100 within |"
    " audits until it gets nothing new, theory / seen | 95 of 100 within |\n|---|---|---|---|---|---|"
)


def measure(kind: type[Adversary], *, n: int, runs: int, rng: random.Random) -> Row:
    """Play an adversary so often, and a coin with its failure rate as often."""
    rate = kind(n, rng).failure_rate()
    seen = [play(kind(n, rng), rng) for _ in range(runs)]
    coin = [play_coin(rate, rng) for _ in range(runs)]
    firsts = [each.first_failure for each in seen]
    ends = [each.distrusted for each in seen]
    return Row(
        name=kind.name,
        failure_rate=rate,
        first_theory=1 / rate,
        first_seen=statistics.fmean(firsts),
        first_seen_95=_within(firsts),
        distrusted_theory=statistics.fmean(each.distrusted for each in coin),
        distrusted_seen=statistics.fmean(ends),
        distrusted_seen_95=_within(ends),
        curves=Curves(
            name=kind.name,
            failure_rate=rate,
            firsts=firsts,
            ends=ends,
            ends_theory=[each.distrusted for each in coin],
        ),
    )


def _within(counts: Sequence[int]) -> int:
    return sorted(counts)[math.ceil(0.95 * len(counts)) - 1]


def main(words: Sequence[str] | None = None) -> None:
    """Print the table, and draw the picture where it is wanted."""
    parser = argparse.ArgumentParser(prog="python -m testnet.detection", description=__doc__)
    parser.add_argument("--n", type=int, default=100, help="shards of each blob")
    parser.add_argument("--runs", type=int, default=1_000, help="how often each adversary is played")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw detection against theory there, as SVG")
    arguments = parser.parse_args(words)
    rng = random.Random(arguments.seed)
    print(HEAD)
    rows = []
    for kind in ADVERSARIES:
        rows.append(measure(kind, n=arguments.n, runs=arguments.runs, rng=rng))
        print(rows[-1].text())
    if arguments.plot is not None:
        try:
            arguments.plot.write_text(draw_plot([row.curves for row in rows]), encoding="utf-8")
        except OSError as error:
            sys.exit(f"the picture cannot be written: {error}; name a file in a directory that there is")


if __name__ == "__main__":
    main()

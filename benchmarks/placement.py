"""Benchmark: what placement moves when one member joins or leaves, how far views may differ, and what it costs.

Nothing is sent: placement is a function of the members, so this runs in one process and repeats exactly. Times are CPU
time of the process, for other programs do not change it much. Run: `make bench-placement`.
"""

from __future__ import annotations

import argparse
import math
import random
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.placement_plot import Point, draw
from p2pnode.bft import quorum
from p2pnode.placement.assignment import numbers
from p2pnode.placement.candidates import order_of_asking, propose
from p2pnode.placement.rendezvous import Candidate, assign
from p2pnode.placement.shape import SIZE_THAT_DECIDES, default_shards
from p2pnode.services.lookup import ASKED_MAX
from wire.ids import PeerId

MEMBERS = (10, 13, 20, 32, 50, 80, 100, 125, 200, 320, 500, 1000)
"""Members before one joins, about evenly on a logarithmic scale, and a hundred."""

SEED_BYTES = 32

Holders = Sequence[Candidate]
Place = Callable[[bytes, int, Sequence[Candidate]], Holders]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What the members of a table's line are like."""

    name: str
    weights: Sequence[float] = (1.0,)
    domains: int = 0
    """Members are spread over so many failure domains at random; 0 means that each is its own."""

    def members(self, count: int, chance: random.Random) -> list[Candidate]:
        """Return so many members with random keys."""
        rows = []
        for at in range(count):
            key = chance.randbytes(PeerId.length)
            domain = chance.randrange(self.domains) if self.domains else at
            rows.append(Candidate(PeerId(key), key, chance.choice(self.weights), str(domain)))
        return rows


ALIKE = Crowd(name="all alike")
CROWDS = (
    ALIKE,
    Crowd(name="weights 1/4, 1, 4", weights=(0.25, 1.0, 4.0)),
    Crowd(name="1,000 domains at random", domains=1000),
    Crowd(name="200 domains at random", domains=200),
    Crowd(name="50 domains at random", domains=50),
    Crowd(name="50 domains, weights 1/4, 1, 4", weights=(0.25, 1.0, 4.0), domains=50),
)


def matched(seed: bytes, n: int, members: Sequence[Candidate]) -> Holders:
    """Place as nodes do."""
    return assign(seed, n, members).holders


def in_turn(seed: bytes, n: int, members: Sequence[Candidate]) -> Holders:
    """Place one shard after the other, each at the best member that is left: the way that was rejected.

    It knows no weights and no domains.
    """
    rows = [(struct.unpack(f">{n}I", numbers(seed, each, count=n)), each) for each in members]
    holders = []
    for shard in range(n):
        best = max(range(len(rows)), key=lambda at: rows[at][0][shard])
        holders.append(rows.pop(best)[1])
    return holders


def expected_moves(n: int, members: int) -> float:
    """Return how many of n shards move on average when one more joins so many alike members, each its own domain.

    `members` is at least n. The smallest numbers win one after the other, so with u shards and v members left, every
    pair of them is equally likely to be next. `ahead` is what will move while the newcomer, or whom it replaced, is
    still to be placed; `behind` the same while a shard is placed already that was not without the newcomer.
    """
    ahead = behind = 0.0
    for left in range(1, n + 1):
        others = members - n + left
        behind = ahead / left + behind * (1 - 1 / left)
        ahead = (1 + behind) / (others + 1) + ahead * others / (others + 1)
    return ahead


def expected_moves_in_turn(n: int, members: int) -> float:
    """Return the same for `in_turn`: each shard in turn goes to the extra member with the chance of one among all."""
    return sum(1 / (members - shard + 1) for shard in range(n))


def moved_by_a_leaver(place: Place, crowd: Crowd, *, n: int, members: int, trials: int, chance: random.Random) -> float:
    """Return how many shards move on average when a member leaves that held one; one at least.

    Joining is the same backwards. A member that holds nothing moves nothing (tests/placement/test_movement.py).
    """
    moved = 0
    for _ in range(trials):
        known = crowd.members(members, chance)
        seed = chance.randbytes(SEED_BYTES)
        before = place(seed, n, known)
        leaver = chance.choice(before)
        after = place(seed, n, [each for each in known if each is not leaver])
        moved += sum(one is not other for one, other in zip(before, after, strict=True))
    return moved / trials


def movement(trials: int, chance: random.Random) -> list[Point]:
    """Measure what moves when one joins, for the default n of large blobs."""
    points = []
    for members in MEMBERS:
        n = default_shards(members=members, size=SIZE_THAT_DECIDES)
        shares = [
            moved_by_a_leaver(place, ALIKE, n=n, members=members + 1, trials=trials, chance=chance) / (members + 1)
            for place in (matched, in_turn)
        ]
        points.append(
            Point(
                members=members,
                n=n,
                least=1 / (members + 1),
                theory=expected_moves(n, members) / n,
                theory_in_turn=expected_moves_in_turn(n, members) / n,
                matched=shares[0],
                in_turn=shares[1],
            )
        )
    return points


def show_movement(points: Sequence[Point]) -> None:
    """Print a table of what moves."""
    _show("| members | n | least | theory | measured | in turn, theory | in turn, measured |")
    _show("|---:|---:|---:|---:|---:|---:|---:|")
    for each in points:
        shares = (each.least, each.theory, each.matched, each.theory_in_turn, each.in_turn)
        _show(f"| {each.members:,} | {each.n} | " + " | ".join(f"{share:.2%}" for share in shares) + " |")


def show_crowds(trials: int, chance: random.Random) -> None:
    """Print what moves among members of other kinds."""
    _show("\n| 400 members | n = 31 | n = 100 |\n|---|---:|---:|")
    for crowd in CROWDS:
        moves = [moved_by_a_leaver(matched, crowd, n=n, members=400, trials=trials, chance=chance) for n in (31, 100)]
        _show(f"| {crowd.name} | {moves[0]:.2f} | {moves[1]:.2f} |")


def show_views(blobs: int, chance: random.Random) -> None:
    """Print how many holders a reader asks when writer and reader each miss some members."""
    _show("\n| members | each knows | n | n - f | both propose | theory | reader asks, mean | least |")
    _show("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for members in (1_000, 12_000):
        known = ALIKE.members(members, chance)
        for share in (0.99, 0.95, 0.9, 0.8):
            for n in (10, 100):
                proposed, asked = [], []
                for _ in range(blobs):
                    seed = chance.randbytes(SEED_BYTES)
                    writers, readers = (chance.sample(known, int(members * share)) for _ in range(2))
                    holders = set(propose(seed, n, writers).holders)
                    proposed.append(len(holders & set(propose(seed, n, readers).holders)))
                    asked.append(len(holders & set(order_of_asking(seed, readers)[:ASKED_MAX])))
                theory = n * share / (2 - share)
                _show(
                    f"| {members:,} | {share:.0%} | {n} | {quorum(n)} | {sum(proposed) / blobs:.1f} | {theory:.1f} "
                    f"| {sum(asked) / blobs:.1f} | {min(asked)} |"
                )


def show_times(chance: random.Random) -> None:
    """Print the CPU time of one committee and of one reader's order."""
    _show("\n| members | n | committee, ms | order of asking, ms |\n|---:|---:|---:|---:|")
    crowd = Crowd(name="", weights=(0.25, 0.5, 1.0, 2.0, 4.0))
    for members, n in ((10, 10), (100, 79), (1_000, 100), (5_000, 100), (5_000, 1_000), (10_000, 100)):
        known = crowd.members(members, chance)
        times = [_cpu_ms(work, known, n) for work in (_propose, _order)]
        _show(f"| {members:,} | {n:,} | {times[0]:.1f} | {times[1]:.1f} |")


def _show(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _propose(seed: bytes, n: int, known: Sequence[Candidate]) -> None:
    propose(seed, n, known)


def _order(seed: bytes, n: int, known: Sequence[Candidate]) -> None:
    del n
    order_of_asking(seed, known)


def _cpu_ms(work: Callable[[bytes, int, Sequence[Candidate]], None], known: Sequence[Candidate], n: int) -> float:
    best = math.inf
    for number in range(3):
        started = time.process_time()
        work(bytes([number]) * SEED_BYTES, n, known)
        best = min(best, time.process_time() - started)
    return best * 1000


def main() -> None:
    """Measure, print the tables, draw the plot."""
    parser = argparse.ArgumentParser(description="Measure what placement moves and what it costs.")
    parser.add_argument("--trials", type=int, default=200, help="members that leave, for each figure")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="where to write the picture, as SVG")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)  # noqa: S311 - measurements need chance that repeats, not secrets
    points = movement(arguments.trials, chance)
    show_movement(points)
    show_crowds(arguments.trials, chance)
    show_views(max(arguments.trials // 40, 1), chance)
    show_times(chance)
    if arguments.plot is not None:
        arguments.plot.write_text(draw(points))


if __name__ == "__main__":
    main()

"""The disk harness: what a store loses, serves or forgets when its disk fails at the worst moment; it shall be nothing.

`python -m testnet.sim.disk_harness --images 100000 --seed S` tries so many crash images of random histories, fails each
call of some of these histories, flips one bit in every byte of the files, and cuts deletion, trash, collection and
migration short at each operation. It ends with 1 at the first finding, with what repeats it: `--history NAME`, or
`--endings NAME`.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial

import trio

from testnet.sim.disk_harness_checks import DiskHarnessError
from testnet.sim.disk_harness_crashes import PowerLosses
from testnet.sim.disk_harness_endings import live_through_endings
from testnet.sim.disk_harness_failures import FailingCalls
from testnet.sim.disk_harness_flips import Flip, Flipped
from testnet.sim.disk_harness_lives import live_through
from testnet.spread import spread

SHARE_IMAGES = 10_000
"""Crash images of one piece of work for a process."""

ENDINGS = 3
"""Histories of how things end beside them."""

FLIP_SHARES = 64
"""Pieces of work that the flips are dealt to."""

FOUND, ALL_WELL = 1, 0
"""How the command ends."""


@dataclass(slots=True)
class Tally:
    """What was tried, and the first thing that was found."""

    histories: int = 0
    moments: int = 0
    drawn: int = 0
    """Crash images that were tried."""
    images: int = 0
    """Those of them that had to be looked at: what holds the same as another one of its step is as good as that."""
    calls: int = 0
    flips: int = 0
    noticed: int = 0
    endings: int = 0
    """How often a step of how things end was cut short."""
    finding: str = ""

    def add(self, other: Tally) -> None:
        """Add what another piece of work has tried."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def lines(self) -> list[str]:
        """Return what is printed."""
        return [
            f"histories: {self.histories}",
            f"crash images: {self.drawn} at {self.moments} moments, {self.images} of them different",
            f"failing calls: {self.calls}",
            f"flipped bits: {self.flips}, {self.noticed} of them noticed, the others harmless",
            f"endings cut short: {self.endings}",
        ]


@dataclass(frozen=True, slots=True)
class Share:
    """A piece of work: histories until so many images were tried, or every so many-th flip from one of them on.

    With `has_failing_calls` each call of its first history fails as well, which costs as much as its images do, and so
    many histories of how things end are tried too.
    """

    seed: str
    number: int
    images: int = 0
    flips_apart: int = 0
    has_failing_calls: bool = False
    endings: int = 0


def work_off(share: Share) -> Tally:
    """Do a piece of work; a finding is in the tally."""
    logging.disable(logging.CRITICAL)  # A damaged disk is what stores tell of here, thousands of times.
    try:
        return trio.run(partial(_try_flips if share.flips_apart else _try_images, share))
    finally:
        logging.disable(logging.NOTSET)


async def _try_images(share: Share) -> Tally:
    tally = Tally()
    for number in range(share.endings):
        await try_endings(f"{share.seed}/{share.number}/{number}", tally)
    for number in itertools.count():
        if tally.drawn >= share.images or tally.finding:
            return tally
        name = f"{share.seed}/{share.number}/{number}"
        await try_history(name, tally, has_failing_calls=share.has_failing_calls and number == 0)
    raise AssertionError("counting never ends")


async def try_history(name: str, tally: Tally, *, has_failing_calls: bool) -> None:
    """Live through one history and lose power everywhere; then, if wanted, let each of its calls fail."""
    losses = PowerLosses(name)
    calls = FailingCalls(random.Random(f"{name}/calls"))
    tally.histories += 1
    try:
        await live_through(name, losses)
        if has_failing_calls:
            await live_through(name, calls)
    except DiskHarnessError as error:
        tally.finding = str(error)
    tally.moments += losses.tally.moments
    tally.drawn += losses.tally.drawn
    tally.images += losses.tally.images
    tally.calls += calls.calls


async def try_endings(name: str, tally: Tally) -> None:
    """Live through one history of how things end."""
    try:
        tally.endings += await live_through_endings(name)
    except DiskHarnessError as error:
        tally.finding = tally.finding or str(error)


async def _try_flips(share: Share) -> Tally:
    tally = Tally()
    rng = random.Random(f"{share.seed}/flips")
    flipped = await Flipped.prepare(rng)
    for flip in itertools.islice(flipped.flips(rng), share.number, None, share.flips_apart):
        await try_flip(flipped, flip, tally)
        if tally.finding:
            break
    return tally


async def try_flip(flipped: Flipped, flip: Flip, tally: Tally) -> None:
    """Try one flip."""
    tally.flips += 1
    try:
        tally.noticed += await flipped.try_flip(flip, random.Random(0))
    except DiskHarnessError as error:
        tally.finding = str(error)


def shares(seed: str, images: int) -> Iterator[Share]:
    """Yield the work: the images, then all flips, in small pieces that keep every core at work to the end."""
    for number, start in enumerate(range(0, images, SHARE_IMAGES)):
        yield Share(seed, number, images=min(SHARE_IMAGES, images - start), has_failing_calls=True, endings=ENDINGS)
    if images:
        yield from (Share(seed, number, flips_apart=FLIP_SHARES) for number in range(FLIP_SHARES))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m testnet.sim.disk_harness", description=__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="crash images to try (default: 20000)")
    parser.add_argument("--seed", default="1", help="what everything is drawn from (default: 1)")
    parser.add_argument("--processes", type=int, default=None, help="processes (default: one for each core)")
    parser.add_argument("--history", default=None, metavar="NAME", help="try this history alone, as a finding names it")
    parser.add_argument("--endings", default=None, metavar="NAME", help="try how these things end alone")
    chosen = parser.parse_args(arguments)
    started = time.monotonic()
    tally = Tally()
    if chosen.endings is not None:
        trio.run(partial(try_endings, chosen.endings, tally))
    elif chosen.history is not None:
        trio.run(partial(try_history, chosen.history, tally, has_failing_calls=True))
    else:
        for found in spread(work_off, shares(chosen.seed, chosen.images), processes=chosen.processes):
            tally.add(found)
            if tally.finding:
                break
    print(*tally.lines(), f"seconds: {time.monotonic() - started:.0f}", sep="\n")
    if tally.finding:
        print(f"FOUND with seed {chosen.seed}: {tally.finding}")
        return FOUND
    return ALL_WELL


if __name__ == "__main__":
    sys.exit(main())

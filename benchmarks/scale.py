"""Benchmark: what each node keeps, sends and computes as the network grows, and what a store with many pairs takes.

Networks of 10, 100 and 1,000 members are simulated whole, one of 10,000 as a sample (see `scale_network.py`); stores
are filled on real files. Beyond that lines are extrapolated, and say so. Ends with 1 when a gate falls short: a node of
a thousand that does nothing sends less than 4 KB a second, and a thousand members know each other within two record
periods. Run: `make bench-scale`, about three quarters of an hour on an idle core and 5 GB of memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.scale_member import MemberFigures, measure_member
from benchmarks.scale_network import Figures, measure, measure_sample
from benchmarks.scale_plot import Axis, Line, draw
from benchmarks.scale_store import StoreFigures, measure_store
from testnet.sim.admission import SIMULATED

WHOLE = (10, 100, 1000)
SAMPLE, SAMPLED = 200, 10_000
SAMPLE_WINDOW_S = 60.0
"""Records of a sample's members come evenly, so a minute tells as much as a period."""

PAIRS = (10_000, 100_000)

GATED_MEMBERS = 1000
SENT_PER_S_MAX = 4_000.0
PERIODS_MAX = 2

EXTRAPOLATED = (10_000, 100_000, 1_000_000)
PAIRS_EXTRAPOLATED = 1_000_000
BLUE, ORANGE, GREY = "#1f5a8c", "#d9822b", "#777777"
_MEMBERS_AXIS = Axis(
    text="members",
    marks=[
        (10, "10"),
        (100, "100"),
        (1000, "1,000"),
        (10_000, "10,000"),
        (100_000, "100,000"),
        (1_000_000, "1 million"),
    ],
)


def bytes_per_record(figures: Figures) -> float:
    """Return what a node sends for each record that any member signs, in all kinds of traffic but pings."""
    return (figures.sent - figures.pings) * SIMULATED.member_record_every_s / figures.members


def sent_at(members: float, largest: Figures) -> float:
    """Return what a node would send a second among so many members, by the largest network that was measured."""
    return bytes_per_record(largest) * members / SIMULATED.member_record_every_s + largest.pings


def show_networks(networks: Sequence[Figures]) -> None:
    """Print what networks did."""
    _show("| members | whole nodes | all know all, s | connections | mesh | sent, B/s | most | pings | received, B/s |")
    _show("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for each in networks:
        converged = f"{each.converged_s:.0f}" if each.whole == each.members else "-"
        _show(
            f"| {each.members:,} | {each.whole:,} | {converged} | {each.connections:.0f} | {each.mesh:.1f} "
            f"| {each.sent:,.0f} | {each.sent_max + each.pings:,.0f} | {each.pings:.0f} | {each.received:,.0f} |"
        )
    _show("\n| members | copies of each record | sent for each, B | CPU, s in an hour | not the newest |")
    _show("|---:|---:|---:|---:|---:|")
    for each in networks:
        _show(
            f"| {each.members:,} | {each.copies:.2f} | {bytes_per_record(each):,.0f} | {each.cpu_s_per_hour:.1f} "
            f"| {each.behind:.3%} |"
        )
    _show("\n| members | kind | sent, B/s | received, B/s | frames sent a second | duplicates a second |")
    _show("|---:|---|---:|---:|---:|---:|")
    for each in networks:
        for kind in (one for one in each.kinds if one.sent):  # Others only opened or closed something.
            _show(
                f"| {each.members:,} | {kind.kind.rpartition('/')[2]}, {'stream' if kind.kind[0] == '/' else 'gossip'} "
                f"| {kind.sent:,.1f} | {kind.received:,.1f} | {kind.messages:.3f} | {kind.duplicates:.3f} |"
            )


def show_member(member: MemberFigures) -> None:
    """Print what one member takes."""
    _show(
        f"\nA gossiped record has {member.record_bytes} bytes; a member takes {member.memory_bytes:,} bytes of memory."
    )


def show_stores(stores: Sequence[StoreFigures]) -> None:
    """Print what stores took, and what a million pairs would: memory does not grow, so it is not extrapolated."""
    _show("\n| pairs | index, MB | open, s | CPU, s | rows, s | files, s | memory at the peak, MB | kept, MB |")
    _show("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for each in stores:
        _show(_store_row(f"{each.pairs:,}", each, 1.0))
    largest = stores[-1]
    factor = PAIRS_EXTRAPOLATED / largest.pairs
    _show(_store_row(f"{PAIRS_EXTRAPOLATED:,}, extrapolated", largest, factor))


def _store_row(name: str, store: StoreFigures, factor: float) -> str:
    opened = store.opened
    times = (opened.seconds, opened.cpu_seconds, opened.rows_seconds, opened.files_seconds)
    sizes = (opened.memory_bytes, opened.kept_bytes)
    return (
        f"| {name} | {store.index_bytes * factor / 1e6:,.0f} | "
        + " | ".join(f"{each * factor:.1f}" for each in times)
        + " | "
        + " | ".join(f"{each / 1e6:.0f}" for each in sizes)
        + " |"
    )


def draw_traffic(networks: Sequence[Figures]) -> str:
    """Return the plot of what a node sends and receives."""
    largest = networks[-1]
    further = [each for each in EXTRAPOLATED if each > largest.members]
    sent = [(float(each), sent_at(each, largest)) for each in further]
    least = largest.kinds and (largest.sent - largest.pings) / largest.copies
    factor = (least or 0.0) / largest.members
    return draw(
        "What an idle node sends, a second",
        [
            Line(
                name="in all, measured (dots) and extrapolated",
                colour=BLUE,
                measured=[(each.members, each.sent) for each in networks],
                extrapolated=sent,
            ),
            Line(
                name="if every record came exactly once",
                colour=GREY,
                measured=[(each.members, each.members * factor + each.pings) for each in networks],
                extrapolated=[(each, each * factor + largest.pings) for each in further],
            ),
            Line(
                name="the gate: 4 KB/s among a thousand",
                colour=ORANGE,
                measured=[(GATED_MEMBERS, SENT_PER_S_MAX)],
            ),
        ],
        right=_MEMBERS_AXIS,
        up=Axis(
            text="bytes/s",
            marks=[
                (10, "10"),
                (100, "100"),
                (1e3, "1 KB"),
                (1e4, "10 KB"),
                (1e5, "100 KB"),
                (1e6, "1 MB"),
                (1e7, "10 MB"),
            ],
        ),
    )


def draw_store(stores: Sequence[StoreFigures]) -> str:
    """Return the plot of the time to open a store."""
    largest = stores[-1]
    factor = PAIRS_EXTRAPOLATED / largest.pairs
    return draw(
        "Opening a store",
        [
            Line(
                name="CPU time, seconds",
                colour=BLUE,
                measured=[(each.pairs, each.opened.cpu_seconds) for each in stores],
                extrapolated=[(PAIRS_EXTRAPOLATED, largest.opened.cpu_seconds * factor)],
            ),
            Line(
                name="size of the index, MB",
                colour=ORANGE,
                measured=[(each.pairs, each.index_bytes / 1e6) for each in stores],
                extrapolated=[(PAIRS_EXTRAPOLATED, largest.index_bytes * factor / 1e6)],
            ),
        ],
        right=Axis(text="pairs", marks=[(1e3, "1,000"), (1e4, "10,000"), (1e5, "100,000"), (1e6, "1 million")]),
        up=Axis(
            text="s, MB", marks=[(0.1, "0.1"), (1, "1"), (10, "10"), (100, "100"), (1e3, "1,000"), (1e4, "10,000")]
        ),
    )


def failed_gates(networks: Sequence[Figures]) -> list[str]:
    """Return in words which gates fall short."""
    (gated,) = (each for each in networks if each.members == GATED_MEMBERS)
    failed = []
    if gated.sent >= SENT_PER_S_MAX:
        failed.append(f"an idle node among {GATED_MEMBERS:,} sends {gated.sent:,.0f} B/s")
    if gated.converged_s > PERIODS_MAX * SIMULATED.member_record_every_s:
        failed.append(f"{GATED_MEMBERS:,} members know each other after {gated.converged_s:.0f} s only")
    return failed


def _show(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _write(path: Path | None, picture: Callable[[], str]) -> None:
    if path is not None:
        path.write_text(picture())


def main() -> int:
    """Measure, print the tables, draw the plots; return the exit code."""
    parser = argparse.ArgumentParser(description="Measure what nodes keep and send as the network grows.")
    parser.add_argument("--quick", action="store_true", help="leave the largest networks and store out, and the gates")
    parser.add_argument("--plot-traffic", type=Path, help="where to write the plot of what nodes send, as SVG")
    parser.add_argument("--plot-store", type=Path, help="where to write the plot of opening a store, as SVG")
    arguments = parser.parse_args()
    sizes = WHOLE[:-1] if arguments.quick else WHOLE
    networks = [measure(nodes, window_s=SIMULATED.member_record_every_s) for nodes in sizes]
    if not arguments.quick:
        networks.append(measure_sample(SAMPLE, SAMPLED, window_s=SAMPLE_WINDOW_S))
    show_networks(networks)
    show_member(measure_member())
    stores = [measure_store(pairs) for pairs in (PAIRS[:-1] if arguments.quick else PAIRS)]
    show_stores(stores)
    _write(arguments.plot_traffic, lambda: draw_traffic(networks))
    _write(arguments.plot_store, lambda: draw_store(stores))
    failed = [] if arguments.quick else failed_gates(networks)
    for each in failed:
        _show(f"FAILED: {each}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

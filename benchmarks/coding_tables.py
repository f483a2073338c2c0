"""The tables of `benchmarks/coding.py`: rows of text once, for the terminal and for a page."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.coding_questions import MB, WORKS, Scenario
from benchmarks.coding_results import GATE_SCENARIOS, Results


@dataclass(frozen=True, slots=True)
class Rows:
    """A table of text; the first row has the names of the columns."""

    title: str
    rows: list[list[str]]


def show(console: Console, results: Results, *, rounds: int) -> None:
    """Print all tables."""
    console.print(", ".join(f"{name}: {value}" for name, value in results.machine.items()))
    console.print(f"kernels here: {', '.join(results.available)}; medians of {rounds} rounds")
    for rows in all_tables(results):
        table = Table(*rows.rows[0], title=rows.title)
        for row in rows.rows[1:]:
            table.add_row(*row)
        console.print(table)


def all_tables(results: Results) -> list[Rows]:
    """Return all tables, the gates first."""
    works = [work for work in WORKS if any(line.work == work for line in results.lines)]
    return [gates(results), *(speeds(results, work) for work in works), memory(results), node(results), limits(results)]


def gates(results: Results) -> Rows:
    """Return what is demanded, what was measured, and the verdict."""
    rows = [["gate", "demanded", "measured", ""]]
    for gate in results.gates():
        measured = "-" if gate.measured is None else number(gate.measured)
        rows.append([gate.claim, f"{'≥' if gate.is_least else '≤'} {gate.wanted:g}", measured, gate.verdict])
    return Rows("The gates", rows)


def speeds(results: Results, work: str) -> Rows:
    """Return the rates of one work, and in parentheses how many times as fast as the base that is."""
    lines = [line for line in results.lines if line.work == work]
    names = list(dict.fromkeys(line.contestant for line in lines if line.rounds))
    base = results.base(work)
    scenarios = dict.fromkeys(line.scenario for line in lines)
    rows = [[each.name, *(_speed(results, work, each, name, base) for name in names)] for each in scenarios]
    return Rows(f"{WORKS[work]}. MB/s, and as a multiple of {base}", [["", *names], *rows])


def _speed(results: Results, work: str, scenario: Scenario, name: str, base: str) -> str:
    line = results.line(work, scenario, name)
    if line is None:
        return "-"
    ratio = results.ratio(work, scenario, name, base)
    return number(line.mb_per_s) + ("" if ratio is None or name == base else f" ({number(ratio)}x)")


def memory(results: Results) -> Rows:
    """Return the peaks of memory."""
    names = list(dict.fromkeys(name for name, _ in results.peaks))
    rows = [["", *names]]
    for scenario in GATE_SCENARIOS[1:]:
        peaks = {name: results.peaks.get((name, scenario), 0) for name in names}
        rows.append([scenario.name, *(f"{peak / MB:.0f} MB ({peak / scenario.size:.1f}x)" for peak in peaks.values())])
    return Rows(
        "Peak memory that one encode adds in a fresh process, the blob included; as a multiple of the blob", rows
    )


def node(results: Results) -> Rows:
    """Return what a node notices: the event loop, and the start."""
    rows = [["", "median", "p99", "largest"]]
    names = {"quiet": "a 2 ms ticker is late, nothing else done, ms", "busy": "the same while 32 MB are encoded, ms"}
    for name, text in names.items():
        late = results.lateness[name]
        rows.append([text, *(f"{late[key] * 1000:.2f}" for key in ("p50_s", "p99_s", "max_s"))])
    seconds, counts = zip(*results.loads, strict=True)
    rows.append(
        ["loading the kernel, ms", f"{statistics.median(seconds) * 1000:.2f}", "", f"{max(seconds) * 1000:.2f}"]
    )
    rows.append(["loading the kernel, MB", f"{statistics.median(counts) / MB:.2f}", "", f"{max(counts) / MB:.2f}"])
    return Rows("What a node notices of it", rows)


def limits(results: Results) -> Rows:
    """Return where the time of an encode goes, and what this machine's limits would allow."""
    rows = [["one thread", "rows", "columns", "rest", "together", "hashing alone", "copying alone", "of the limit"]]
    for scenario, stage in results.stages.items():
        together = stage["rows_s"] + stage["columns_s"] + stage["finish_s"]
        hashing, copying = least_seconds(results, scenario)
        times = [stage["rows_s"], stage["columns_s"], stage["finish_s"], together, hashing, copying]
        cells = [f"{number(each * 1000)} ms" for each in times]
        rows.append([scenario.name, *cells, f"{(hashing + copying) / together:.0%}"])
    return Rows(f"Where the time of an encode goes ({results.kernel}), and the limits of one core", rows)


def least_seconds(results: Results, scenario: Scenario) -> tuple[float, float]:
    """Return the seconds that hashing alone takes at the measured rate, and writing the slivers by memcpy."""
    stage, limit = results.stages[scenario], results.limits
    is_short = stage["leaf_blocks"] <= scenario.n * scenario.n  # A leaf of one block costs what a node does.
    leaves = stage["leaf_blocks"] * limit["node_s" if is_short else "block_s"]
    return leaves + stage["nodes"] * limit["node_s"], stage["stored_bytes"] * limit["copy_s"]


def number(value: float) -> str:
    """Return three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits

"""Benchmark: our erasure coding against the public Walrus encoder and a wheel, in rounds where all take turns.

In a round each contestant does the same work once, long enough to be measured, and the order changes from round to
round: whatever else the machine does falls on all of them alike. Shown are medians, and medians of the ratios within a
round. Before anything is measured all contestants must give the blob the same id.

Run: `make bench-coding`, or `python -m benchmarks.coding --help`. It ends with 1 when a gate falls short.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks import coding_page, coding_plot, coding_tables
from benchmarks.coding_peers import Contestant, Process, SetupError, install_walrus, install_wheel, ours
from benchmarks.coding_questions import SCENARIOS, WORKS, Question, Scenario
from benchmarks.coding_results import GATE_SCENARIOS, Line, Results
from p2pnode.coding import choice

SECONDS_MIN = 0.2
"""Short work is repeated within a measurement until it takes about this long."""

LOADS = 5
ROUNDS, ROUNDS_QUICK = 5, 3
WIDTH = 150
"""Of the tables in a file or a pipe."""
WORKS_QUICK = ("encode", "decode")


@dataclass(slots=True)
class Benchmark:
    """One run."""

    folder: Path
    seed: str
    rounds: int
    console: Console
    contestants: list[Contestant]
    results: Results
    processes: list[Process] = field(default_factory=list)

    def run(self, scenarios: Sequence[Scenario], works: Sequence[str]) -> None:
        """Measure everything."""
        self._measure_fresh_processes()
        with ExitStack() as stack:
            self.processes = [stack.enter_context(Process(each)) for each in self.contestants]
            for scenario in scenarios:
                self._check_ids(scenario)
                for work in works:
                    self.console.print(f"[dim]{scenario.name}: {work}[/dim]")
                    self._take_turns(work, scenario)

    def file_of(self, scenario: Scenario) -> str:
        """Return the file with the scenario's blob."""
        path = self.folder / f"blob-{scenario.size}"
        if not path.exists():
            rng = random.Random(f"{self.seed} {scenario.size}")  # noqa: S311 - a benchmark repeats its data.
            path.write_bytes(rng.randbytes(scenario.size))
        return str(path)

    def _check_ids(self, scenario: Scenario) -> None:
        """Stop when contestants do not compute the same thing."""
        question = Question(work="id", file=self.file_of(scenario), n=scenario.n)
        ids = {process.name: process.ask(question).get("id") for process in self.processes}
        if len(set(ids.values())) != 1:
            sys.exit(f"{scenario.name}: the contestants disagree: {ids}")

    def _take_turns(self, work: str, scenario: Scenario) -> None:
        question = Question(
            work=work, file=self.file_of(scenario), n=scenario.n, chosen=scenario.chosen(self.seed), repeat=1
        )
        repeats: dict[str, int] = {}
        for process in self.processes:
            seconds = process.ask(question).get("seconds")
            if isinstance(seconds, float):
                repeats[process.name] = max(1, math.ceil(SECONDS_MIN / seconds))
        taken: dict[str, list[float]] = {process.name: [] for process in self.processes}
        for number in range(self.rounds):
            start = number % len(self.processes)
            for process in (*self.processes[start:], *self.processes[:start]):
                if process.name in repeats:
                    taken[process.name].append(_ask(process, question, repeats[process.name]))
        self.results.lines += [
            Line(work=work, scenario=scenario, contestant=name, rounds=tuple(rounds)) for name, rounds in taken.items()
        ]

    def _measure_fresh_processes(self) -> None:
        """Measure what needs a process that has done nothing else."""
        self.console.print("[dim]start, memory, event loop, limits of this machine[/dim]")
        fastest = next(each for each in self.contestants if each.name == self.results.kernel)
        for _ in range(LOADS):
            with Process(fastest) as process:
                answer = process.ask(Question(work="load"))
                self.results.loads.append((_number(answer, "seconds"), int(_number(answer, "bytes"))))
        for scenario in GATE_SCENARIOS[1:]:
            for contestant in self.contestants:
                peak = self._peak(contestant, scenario) if contestant.name != self.results.in_threads else 0
                if peak > 0:
                    self.results.peaks[contestant.name, scenario] = peak
        with Process(fastest) as process:
            question = Question(work="lateness", file=self.file_of(GATE_SCENARIOS[1]), n=GATE_SCENARIOS[1].n)
            self.results.lateness = {name: _figures(each) for name, each in process.ask(question).items()}
            self.results.limits = _figures(process.ask(Question(work="limits")))
            for scenario in GATE_SCENARIOS:
                question = Question(work="stages", file=self.file_of(scenario), n=scenario.n)
                self.results.stages[scenario] = _figures(process.ask(question))

    def _peak(self, contestant: Contestant, scenario: Scenario) -> int:
        with Process(contestant) as process:
            process.ask(Question(work="ready"))
            before, _ = process.memory_bytes()
            process.ask(Question(work="encode", file=self.file_of(scenario), n=scenario.n, repeat=0))
            return process.memory_bytes()[1] - before


def _ask(process: Process, question: Question, repeat: int) -> float:
    again = Question(work=question.work, file=question.file, n=question.n, chosen=question.chosen, repeat=repeat)
    return _number(process.ask(again), "seconds")


def _number(answer: dict[str, object], name: str) -> float:
    value = answer.get(name)
    if not isinstance(value, int | float):
        sys.exit(f"no {name} in {answer}")
    return float(value)


def _figures(answer: object) -> dict[str, float]:
    assert isinstance(answer, dict)
    return {name: _number(answer, name) for name in answer}


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    try:
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False, timeout=10)  # noqa: S607
        node_version = node.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        node_version = "none"
    return {
        "date": dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_version()}, numpy {np.__version__}",
        "node": node_version,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def contestants_here(console: Console, results: Results, *, is_quick: bool) -> list[Contestant]:
    """Install the peers; return who takes part. A peer that cannot be had is left out, with a note."""
    found = [ours(kernel) for kernel in results.available if not (is_quick and kernel == "scalar")]
    found.append(ours(results.kernel, threads=2))
    for install in (install_walrus,) if is_quick else (install_walrus, install_wheel):
        try:
            found.append(install())
        except SetupError as error:
            results.notes.append(str(error))
            console.print(f"[yellow]{error}[/yellow]")
    return found


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description="our erasure coding against the public encoders")
    parser.add_argument("--quick", action="store_true", help="only what the gates need, in three rounds")
    parser.add_argument("--rounds", type=int, help=f"{ROUNDS}, or {ROUNDS_QUICK} with --quick")
    parser.add_argument("--seed", default="benchmark")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the encoding rates there, as SVG")
    parser.add_argument("--page", type=Path, metavar="FILE", help="replace the figures in this page")
    options = parser.parse_args()
    # Of another kernel than the fastest nothing would be learnt here: each contestant has its own.
    available = choice().available
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    results = Results(machine=machine(), kernel=available[-1], available=available)
    contestants = contestants_here(console, results, is_quick=options.quick)
    scenarios, works = (GATE_SCENARIOS, WORKS_QUICK) if options.quick else (SCENARIOS, tuple(WORKS))
    rounds = options.rounds or (ROUNDS_QUICK if options.quick else ROUNDS)
    with tempfile.TemporaryDirectory(prefix="p2pnode-benchmark-coding-") as folder:
        Benchmark(Path(folder), options.seed, rounds, console, contestants, results).run(scenarios, works)
    coding_tables.show(console, results, rounds=rounds)
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=1) + "\n", "utf-8")
    if options.plot:
        options.plot.write_text(coding_plot.draw(results), "utf-8")
    if options.page:
        coding_page.replace_figures(options.page, results, rounds=rounds)
    return 0 if all(gate.verdict == "passed" for gate in results.gates()) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Hunting planted bugs: play scenarios with a bug in the node's code until a judge objects, then without the bug.

A bug counts as found only where the same scenario and seed pass without it.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path

from testnet.sim.mutants.fresh import Ended, fresh_calls
from testnet.sim.mutants.planting import Mutant, plant, require_planted
from testnet.spread import processes_default

RECORDED = Path(__file__).with_name("found.json")

ATTEMPTS_PER_CALL = 10
"""Attempts in one process: few enough that the last bugs are hunted on all cores."""

CONTROLS_PER_CALL = 4
"""Attempts without a bug in one process: more save imports, fewer end on all cores at once."""

CPU_SECONDS_PER_ATTEMPT = 60
"""Many times what a scenario takes: a bug that makes one run for ever is found by that."""

SCENARIO_IS_NOT_ITSELF = "faults-fired"
"""What the runner says when a scenario's faults met nobody: that is no objection to what a node does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One play of a scenario."""

    scenario: str
    seed: int
    nodes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Where a planted bug was found, and by whom."""

    scenario: str
    seed: int
    judge: str
    """A judge's name, or the type of an error."""
    error: str = ""
    """What the judge said; not recorded."""


@dataclass(frozen=True, slots=True)
class Task:
    """Attempts to make in one process, with a bug or without."""

    mutant: Mutant | None
    attempts: tuple[Attempt, ...]


def first_failure(task: Task) -> tuple[int, Finding] | None:
    """Make the attempts until one fails; return its position. For a fresh process. Raises `PlantingError`."""
    if task.mutant is not None:
        plant(task.mutant.module, task.mutant.source())
    gc.disable()  # What an import makes stays: to look for garbage meanwhile takes a quarter of its time.
    runner = import_module("testnet.sim.runner")  # It imports the node, so it must come after the planting.
    gc.enable()
    for position, attempt in enumerate(task.attempts):
        outcome = runner.play(attempt.scenario, attempt.seed, nodes=attempt.nodes)
        if task.mutant is not None:
            require_planted(task.mutant.module)
        if outcome.judge not in {"", SCENARIO_IS_NOT_ITSELF}:
            error = "".join(_causes(outcome.error))
            return position, Finding(scenario=attempt.scenario, seed=attempt.seed, judge=outcome.judge, error=error)
    return None


def _causes(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{type(error).__name__}: {error}"
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
        if error is not None:
            yield " <- "


def attempts_at(mutant: Mutant, seeds: int) -> list[Attempt]:
    """Return all attempts: every scenario with the first seed, then with the second, and so on."""
    return [
        Attempt(scenario=scenario, seed=seed, nodes=mutant.nodes)
        for seed in range(seeds)
        for scenario in mutant.scenarios
    ]


@dataclass(slots=True)
class _Prey:
    """A bug that is still at large."""

    mutant: Mutant
    waiting: list[Attempt]

    def take(self, chunks: int) -> list[Task]:
        """Take the next attempts out, for so many calls."""
        taken = []
        for _ in range(chunks):
            chunk, self.waiting = self.waiting[:ATTEMPTS_PER_CALL], self.waiting[ATTEMPTS_PER_CALL:]
            if chunk:
                taken.append(Task(self.mutant, tuple(chunk)))
        return taken


def hunt(
    mutants: Iterable[Mutant], *, seeds: int, processes: int | None = None
) -> Iterator[tuple[Mutant, Finding | None]]:
    """Yield each bug with where it was found, None when it was not, as they become known.

    In rounds: some attempts at every bug that is still at large; then what failed is tried without the bug, all at
    once, so that no core waits for one of them.
    """
    count = processes or processes_default()
    at_large = {mutant.name: _Prey(mutant, attempts_at(mutant, seeds)) for mutant in mutants}
    while at_large:
        chunks = max(1, count // len(at_large))
        tasks = [task for prey in at_large.values() for task in prey.take(chunks)]
        suspects = list(_suspects(tasks, count))
        passing = passing_without_a_bug([task.attempts[position] for task, (position, _) in suspects], count)
        for task, (position, finding) in suspects:
            assert task.mutant is not None
            prey = at_large.get(task.mutant.name)
            if prey is None:  # Another call of this round has found it.
                continue
            if task.attempts[position] in passing:
                del at_large[task.mutant.name]
                yield task.mutant, finding
            else:
                prey.waiting[:0] = task.attempts[position + 1 :]
        for name, prey in list(at_large.items()):
            if not prey.waiting:
                del at_large[name]
                yield prey.mutant, None


def _suspects(tasks: list[Task], processes: int) -> Iterator[tuple[Task, tuple[int, Finding]]]:
    """Yield the tasks in which something failed. Of a call that was ended each attempt is made again by itself."""
    alone: list[Task] = []
    for task, result in _calls(tasks, processes):
        if isinstance(result, Ended) and len(task.attempts) > 1:
            alone += [Task(task.mutant, (attempt,)) for attempt in task.attempts]
        elif isinstance(result, Ended):
            (attempt,) = task.attempts
            yield task, (0, Finding(scenario=attempt.scenario, seed=attempt.seed, judge="ended", error=result.reason))
        elif result is not None:
            yield task, result
    if alone:
        yield from _suspects(alone, processes)


def _calls(tasks: list[Task], processes: int) -> Iterator[tuple[Task, tuple[int, Finding] | Ended | None]]:
    longest = max((len(task.attempts) for task in tasks), default=0)
    cpu_seconds_max = CPU_SECONDS_PER_ATTEMPT * longest
    yield from fresh_calls(first_failure, tasks, cpu_seconds_max=cpu_seconds_max, processes=processes)


def passing_without_a_bug(attempts: Iterable[Attempt], processes: int | None = None) -> set[Attempt]:
    """Return those of the attempts that the node as it ships passes."""
    waiting = list(dict.fromkeys(attempts))  # Several bugs may be found in the same run.
    passing = set(waiting)
    while waiting:
        starts = range(0, len(waiting), CONTROLS_PER_CALL)
        tasks = [Task(None, tuple(waiting[start : start + CONTROLS_PER_CALL])) for start in starts]
        waiting = []
        for task, (position, _) in _suspects(tasks, processes or processes_default()):
            passing.remove(task.attempts[position])
            waiting += task.attempts[position + 1 :]
    return passing


# ---------------------------------------------------------------------------------------------- recorded findings


def read_recorded() -> dict[str, Finding]:
    """Return where each planted bug was found last, by its name."""
    if not RECORDED.exists():
        return {}
    return {name: Finding(**fields) for name, fields in json.loads(RECORDED.read_text(encoding="utf-8")).items()}


def record(findings: dict[str, Finding]) -> None:
    """Replace what is recorded of these bugs; what is recorded of others stays."""
    everything = {**read_recorded(), **findings}
    fields = {name: asdict(replace(everything[name], error="")) for name in sorted(everything)}
    for each in fields.values():
        del each["error"]
    RECORDED.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")

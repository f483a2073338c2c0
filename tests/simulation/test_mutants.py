"""Planted bugs: each fits the source that it is planted in, and is found again where it was found before."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace

import pytest

from testnet.sim.many import Job, Played, play_job
from testnet.sim.mutants.catalogue import all_mutants
from testnet.sim.mutants.fresh import Ended, fresh_calls
from testnet.sim.mutants.hunt import (
    Attempt,
    Finding,
    Task,
    first_failure,
    hunt,
    passing_without_a_bug,
    read_recorded,
)
from testnet.sim.mutants.planting import Edit, Mutant, PlantingError, plant, require_planted, source_path
from testnet.sim.runner import all_scenarios
from testnet.spread import spread

MUTANTS_MIN = 12
CPU_SECONDS_MAX = 60

RECORD_ANEW = (
    "if a scenario, a judge or the simulator has changed, so that chance takes another way: "
    "python -m testnet.sim.mutants --record finds all of them again, or says what is not found any more"
)

HARMLESS = Mutant(
    name="harmless",
    module="p2pnode.services.put",
    edits=(Edit("SEGMENTS_IN_FLIGHT = 2\n", "SEGMENTS_IN_FLIGHT = 1 + 1\n"),),
    breaks="Nothing.",
    scenarios=("one-node-too-many-is-gone",),
    nodes=4,
)


# ------------------------------------------------------------------------------------------------ the catalogue


def test_there_are_planted_bugs_and_each_was_found() -> None:
    assert len(all_mutants()) >= MUTANTS_MIN
    assert set(read_recorded()) == set(all_mutants())


@pytest.mark.parametrize("mutant", all_mutants().values(), ids=lambda mutant: mutant.name)
def test_each_planted_bug_fits_the_source_and_names_scenarios_that_there_are(mutant: Mutant) -> None:
    changed = mutant.source()
    compile(changed, mutant.name, "exec")
    assert changed != source_path(mutant.module).read_text(encoding="utf-8")
    assert mutant.breaks.endswith(".")
    assert mutant.scenarios
    assert set(mutant.scenarios) <= set(all_scenarios())


@pytest.fixture(scope="module")
def replayed() -> dict[str, tuple[int, Finding] | Ended | None]:
    """Every recorded finding, played with its bug in a process of its own."""
    mutants = all_mutants()
    tasks = [
        Task(
            mutants[name],
            (Attempt(scenario=finding.scenario, seed=finding.seed, nodes=mutants[name].nodes),),
        )
        for name, finding in read_recorded().items()
    ]
    calls = fresh_calls(first_failure, tasks, cpu_seconds_max=CPU_SECONDS_MAX)
    return {task.mutant.name: result for task, result in calls if task.mutant is not None}


@pytest.fixture(scope="module")
def without_bugs() -> dict[str, Played]:
    """The same runs of the node as it ships."""
    recorded = read_recorded()
    jobs = [Job(each.scenario, each.seed, all_mutants()[name].nodes) for name, each in recorded.items()]
    return dict(zip(recorded, spread(play_job, jobs), strict=True))


@pytest.mark.timeout(900)  # The first of them waits for all replays: more than a second of each core for each bug.
@pytest.mark.parametrize("name", all_mutants())
def test_each_planted_bug_is_found_again_by_the_same_judge_and_only_with_the_bug(
    name: str, replayed: dict[str, tuple[int, Finding] | Ended | None], without_bugs: dict[str, Played]
) -> None:
    recorded = read_recorded()[name]
    result = replayed[name]
    assert isinstance(result, tuple), f"{result}; {RECORD_ANEW}"
    assert result[1].judge == recorded.judge, RECORD_ANEW
    assert without_bugs[name].judge == ""


# ------------------------------------------------------------------------------------------------ the hunt


def test_a_patch_that_breaks_nothing_is_not_found() -> None:
    ((mutant, finding),) = hunt([HARMLESS], seeds=1)
    assert (mutant, finding) == (HARMLESS, None)


def test_what_fails_without_the_bug_too_is_no_finding() -> None:
    """With three nodes no put can succeed, whatever is planted."""
    too_few = Mutant(
        name="too-few", module=HARMLESS.module, edits=HARMLESS.edits, breaks="-", scenarios=HARMLESS.scenarios, nodes=3
    )
    attempt = Attempt(scenario="one-node-too-many-is-gone", seed=0, nodes=3)
    fair = replace(attempt, nodes=4)
    assert passing_without_a_bug([attempt, fair, attempt]) == {fair}
    assert first_failures([Task(too_few, (attempt,))]) != [None]
    ((_, finding),) = hunt([too_few], seeds=1)
    assert finding is None


def first_failures(tasks: list[Task]) -> list[object]:
    return [result for _, result in fresh_calls(first_failure, tasks, cpu_seconds_max=CPU_SECONDS_MAX)]


# ------------------------------------------------------------------------------------------------ planting


@pytest.mark.parametrize("old", ["this stands nowhere in it\n", "        self._context = context\n"])
def test_a_patch_whose_old_text_is_not_there_exactly_once_is_an_error(old: str) -> None:
    mutant = Mutant(name="x", module=HARMLESS.module, edits=(Edit(old, ""),), breaks="-", scenarios=("-",))
    with pytest.raises(PlantingError, match="not once"):
        mutant.source()


def test_planting_comes_before_the_import_or_not_at_all() -> None:
    assert "p2pnode.bft" in sys.modules
    with pytest.raises(PlantingError, match="imported already"):
        plant("p2pnode.bft", "")
    with pytest.raises(PlantingError, match="never imported"):
        require_planted("p2pnode.bft")


# ------------------------------------------------------------------------------------------------ fresh processes


def _end_or_answer(number: int) -> int:
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 1:
        message = "as it should"
        raise PlantingError(message)
    while number == 2:
        pass
    return number * (1 if "p2pnode.node" in sys.modules else 10)


def test_a_process_that_dies_ends_its_own_call_only() -> None:
    results = dict(fresh_calls(_end_or_answer, [0, 3, 4], cpu_seconds_max=CPU_SECONDS_MAX))
    assert isinstance(results.pop(0), Ended)
    assert set(results) == {3, 4}


def test_a_call_that_runs_for_ever_is_ended() -> None:
    ((_, result),) = fresh_calls(_end_or_answer, [2], cpu_seconds_max=1)
    assert isinstance(result, Ended)


def test_what_a_call_raises_is_raised_where_its_result_is_awaited() -> None:
    with pytest.raises(PlantingError, match="as it should"):
        list(fresh_calls(_end_or_answer, [1], cpu_seconds_max=CPU_SECONDS_MAX))

"""`python -m testnet sim`: what it prints, how it ends, and that a failure is told so that it can be mended."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from typer.testing import CliRunner

from testnet import cli
from testnet.sim import command, many, scenarios
from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.many import SAME, Job, Played, agreed, play_job
from testnet.sim.run import Run
from testnet.sim.runner import FIRED, all_scenarios, play, the_cause
from testnet.sim.scenarios import SCENARIOS, Scenario
from testnet.sim.shrink import shortest_failing_prefix
from testnet.sim.story import LINES_MAX, tell
from testnet.spread import twice

REPOSITORY = Path(__file__).parents[2]
PROCESS_TIMEOUT_S = 120
"""It takes three seconds on an idle machine."""

CHEAP = "the-writer-never-comes-back"

Item = TypeVar("Item")


@pytest.fixture
def planted() -> Iterator[None]:
    """Three scenarios that fail, each in its own way."""
    before = dict(SCENARIOS)
    scenarios.scenario(FaultKind.KILL, nodes=4)(planted_failure)
    scenarios.scenario(FaultKind.CUT, nodes=4)(planted_silence)
    scenarios.scenario(nodes=4)(planted_bug)
    yield
    SCENARIOS.clear()
    SCENARIOS.update(before)


async def planted_failure(run: Run) -> None:
    """Fail from the second of three injections on."""
    await run.start()
    await run.put("n1")
    for name in ("n2", "n3", "n0"):
        run.inject.kill(name)
        await run.restart(name)
    if run.log.injected > 1:
        raise JudgementError("planted", "two were killed", node="n3", subject=run.shelf[0].id)


async def planted_silence(run: Run) -> None:
    """Name a fault and never inject it."""
    await run.start()


async def planted_bug(run: Run) -> None:
    """Raise what no judge raises, inside a nursery as the world's tasks do."""
    async with run.load():
        raise LookupError("planted")


def _sim(*options: str) -> tuple[int, str]:
    done = CliRunner().invoke(command.app, [*options])
    return done.exit_code, done.output


def test_the_list_has_one_name_a_line() -> None:
    code, output = _sim("--list")
    assert code == 0
    assert output.splitlines() == list(all_scenarios())


def test_a_run_prints_faults_checks_and_its_trace() -> None:
    code, output = _sim("--scenario", CHEAP, "--seed", "7")
    assert code == 0, output
    assert f"scenario: {CHEAP}, seed 7, 4 nodes" in output
    assert re.search(r"^faults fired: left-for-ever 1\b.*\(1 injections\)$", output, re.MULTILINE)
    assert re.search(r"^invariants checked: .*\bprogress 1\b.*\bpromises-kept [1-9]", output, re.MULTILINE)
    assert re.search(r"^CPU: \d+\.\d\d s$", output, re.MULTILINE)
    assert re.search(r"^virtual time: \d+\.\d{3} s, \d+ events$", output, re.MULTILINE)
    assert re.findall(r"^trace: (.*)$", output, re.MULTILINE) == [play(CHEAP, 7).trace_hash]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--scenario", "no-such"], "there is no scenario 'no-such'", id="unknown-scenario"),
        pytest.param([], "--scenario", id="nothing-named"),
        pytest.param(["--scenario", CHEAP, "--seed", "x"], "--seed", id="seed-is-no-number"),
        pytest.param(["--scenario", CHEAP, "--seed", "-1"], "--seed", id="seed-below-0"),
        pytest.param(["--scenario", CHEAP, "--nodes", "3"], "--nodes", id="too-few-nodes"),
        pytest.param(["--seeds", "0"], "--seeds", id="no-seeds"),
    ],
)
def test_a_bad_call_ends_with_2_and_says_why(options: list[str], message: str) -> None:
    code, output = _sim(*options)
    assert code == 2
    assert message in output
    assert "Traceback" not in output


@pytest.mark.usefixtures("planted")
def test_a_failure_names_seed_judge_prefix_and_story() -> None:
    code, output = _sim("--scenario", "planted-failure", "--seed", "5")
    assert code == 1
    stored = play("planted-failure", 5).error
    assert isinstance(stored, JudgementError)
    assert "FAILED: planted-failure, seed 5" in output
    assert "judge: planted" in output
    assert f"node: n3, subject: {stored.subject}" in output
    assert "shortest failing prefix: the first 2 of 3 injections (--injections 2)" in output
    story = output.partition("story:\n")[2]
    assert re.search(r"inject kill n2\n(.*\n)*.*inject kill n3\n(.*\n)*.*kill n3 process", story), story
    assert f"put n1 {stored.subject}" in story
    assert re.search(rf"answer n\d to n1: StorePair Stored {stored.subject} shard \d", story)
    assert "inject kill n0" not in story, "the third injection is not in the shortest prefix"
    assert "planted-failure 5 planted:" in output.partition("regressions.txt")[2]


@pytest.mark.usefixtures("planted")
def test_a_prefix_can_be_played_by_itself() -> None:
    assert _sim("--scenario", "planted-failure", "--seed", "5", "--injections", "1")[0] == 0
    assert _sim("--scenario", "planted-failure", "--seed", "5", "--injections", "2")[0] == 1


@pytest.mark.usefixtures("planted")
def test_the_shortest_prefix_is_the_same_where_prefixes_are_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testnet.sim.shrink.TRIED_ONE_BY_ONE_MAX", 1)
    shortest = shortest_failing_prefix(play("planted-failure", 5))
    assert shortest is not None
    assert shortest.injected == 2


@pytest.mark.usefixtures("planted")
def test_a_scenario_whose_fault_never_fired_fails_and_has_no_failing_prefix() -> None:
    outcome = play("planted-silence", 1)
    assert outcome.judge == FIRED
    assert "cut" in str(outcome.error)
    assert shortest_failing_prefix(outcome) is None


@pytest.mark.usefixtures("planted")
def test_an_error_that_no_judge_raised_is_a_failure_with_its_traceback() -> None:
    code, output = _sim("--scenario", "planted-bug")
    assert code == 1
    assert "judge: LookupError" in output
    assert "in planted_bug" in output


@pytest.mark.usefixtures("planted")
def test_a_story_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = play("planted-failure", 5)
    assert len(tell(outcome)) <= LINES_MAX + 1
    monkeypatch.setattr("testnet.sim.story.LINES_MAX", 16)
    lines = tell(outcome)
    assert len(lines) == 17
    assert re.fullmatch(r"\.\.\. \d+ more lines \.\.\.", lines[15])


def test_an_interruption_is_no_outcome() -> None:
    judgement = JudgementError("planted", "x")
    assert the_cause(BaseExceptionGroup("", [LookupError(), ExceptionGroup("", [judgement])])) is judgement
    with pytest.raises(KeyboardInterrupt):
        the_cause(BaseExceptionGroup("", [judgement, KeyboardInterrupt()]))


def _play_in_its_process(job: Job) -> tuple[int, Played]:
    return os.getpid(), play_job(job)


def _play_unjudged_in_its_process(job: Job) -> tuple[int, Played]:
    return os.getpid(), play_job(job, is_judged=False)


def test_many_seeds_are_played_in_two_processes_each_and_the_judges_change_nothing() -> None:
    jobs = [Job(CHEAP, 3), Job(CHEAP, 4)]
    runs = twice(_play_in_its_process, _play_unjudged_in_its_process, jobs)
    for job, ((one_pid, one), (other_pid, other)) in zip(jobs, runs, strict=True):
        assert one.job == other.job == job
        assert one_pid != other_pid
        assert one.trace_hash == other.trace_hash
        assert "promises-kept" in one.checked
        assert "promises-kept" not in other.checked


def _twice_here(
    function: Callable[[Item], Played], other_function: Callable[[Item], Played], items: Iterable[Item]
) -> Iterator[tuple[Played, Played]]:
    return ((function(item), other_function(item)) for item in items)


def test_the_summary_of_many_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "twice", _twice_here)
    code, output = _sim("--scenario", CHEAP, "--seeds", "2", "--seed", "11")
    assert code == 0, output
    assert re.search(rf"^{CHEAP}: 2 seeds, 0 failed; fired: .*left-for-ever 2", output, re.MULTILINE)
    assert "2 runs in two processes each, 0 failed" in output


def test_of_many_runs_each_is_judged_once_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[list[bool]] = []

    def note(
        function: Callable[[Item], Played], other: Callable[[Item], Played], items: Iterable[Item]
    ) -> Iterator[tuple[Played, Played]]:
        for one, two in _twice_here(function, other, items):
            judged.append(["promises-kept" in each.checked for each in (one, two)])
            yield one, two

    monkeypatch.setattr(many, "twice", note)
    assert all("promises-kept" in each.checked for each in many.play_many([Job(CHEAP, 5), Job(CHEAP, 6)]))
    assert judged == [[True, False], [False, True]]


@pytest.mark.usefixtures("planted")
def test_each_failing_seed_of_many_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "twice", _twice_here)
    code, output = _sim("--scenario", "planted-failure", "--seeds", "2")
    assert code == 1
    for seed in (0, 1):
        assert f"FAILED: --scenario planted-failure --seed {seed}: planted: planted: n3: two were killed" in output
    assert "2 runs in two processes each, 2 failed" in output


def test_two_processes_that_disagree_are_a_failure() -> None:
    one = play_job(Job(CHEAP, 3))
    assert agreed(one, one) is one
    other = Played(
        job=one.job, trace_hash="other", judge="", message="", fired={}, checked={}, cpu_seconds=one.cpu_seconds
    )
    assert agreed(one, other).judge == SAME
    condemned = replace(one, judge="promises-kept", trace_hash="short")
    assert agreed(condemned, one) is condemned
    assert agreed(one, condemned).judge == SAME


def test_large_scenarios_are_played_only_when_named(monkeypatch: pytest.MonkeyPatch) -> None:
    large = Scenario(name="large", play=planted_silence, faults=frozenset(), nodes=4, is_large=True)
    small = Scenario(name="small", play=planted_silence, faults=frozenset(), nodes=4)
    monkeypatch.setattr(command, "all_scenarios", lambda: {"large": large, "small": small})
    monkeypatch.setattr(command, "play_many", lambda jobs: iter([play_job_stub(job) for job in jobs]))
    output = _sim("--seeds", "1")[1]
    assert "small: 1 seeds" in output
    assert "large" not in output


def play_job_stub(job: Job) -> Played:
    """Return a run that went well, without playing it."""
    return Played(job=job, trace_hash="", judge="", message="", fired={}, checked={}, cpu_seconds=0.0)


def _trace_in_a_new_process(seed: int, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "testnet", "sim", "--scenario", CHEAP, "--seed", str(seed)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=PROCESS_TIMEOUT_S,
    )
    (trace,) = re.findall(r"^trace: (.*)$", done.stdout, re.MULTILINE)
    return str(trace)


def test_the_same_seed_gives_the_same_trace_in_two_processes_and_another_seed_another_one() -> None:
    one = _trace_in_a_new_process(21, "1")
    assert _trace_in_a_new_process(21, "2") == one
    assert play(CHEAP, 21).trace_hash == one
    assert play(CHEAP, 22).trace_hash != one


def test_the_command_is_part_of_the_testnet_command() -> None:
    done = CliRunner().invoke(cli.app, ["sim", "--list"])
    assert done.exit_code == 0
    assert CHEAP in done.output.splitlines()
    assert CliRunner().invoke(cli.app, ["sim", "--scenario", "no-such"]).exit_code == 2

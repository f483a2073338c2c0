"""Many runs, spread over the cores: each job is played in two processes, and what comes back is plain and small.

One of the two plays without judges: they only look on, so everything must go as it does with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testnet.sim.runner import play
from testnet.spread import twice

SAME = "same-trace"
"""The judge of determinism: same seed, same hash."""

_MESSAGE_MAX = 300


@dataclass(frozen=True, slots=True)
class Job:
    """One run that is asked for."""

    scenario: str
    seed: int
    nodes: int | None = None
    injections: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One run that was made; an `Outcome` without what only its own process has."""

    job: Job
    trace_hash: str
    judge: str
    """Empty when all is well."""
    message: str
    fired: dict[str, int]
    checked: dict[str, int]
    cpu_seconds: float

    @property
    def command(self) -> str:
        """Return the options that repeat it."""
        nodes = f" --nodes {self.job.nodes}" if self.job.nodes else ""
        injections = "" if self.job.injections is None else f" --injections {self.job.injections}"
        return f"--scenario {self.job.scenario} --seed {self.job.seed}{nodes}{injections}"


def play_many(jobs: Sequence[Job]) -> Iterator[Played]:
    """Play every job in two processes; yield the judged run, or one that SAME condemns, in the jobs' order.

    Each process judges every second run, so that none has less to do than the other and waits for it.
    """
    for number, (one, other) in enumerate(twice(_play_and_judge_even, _play_and_judge_odd, enumerate(jobs))):
        yield agreed(other, one) if number % 2 else agreed(one, other)


def _play_and_judge_even(numbered: tuple[int, Job]) -> Played:
    number, job = numbered
    return play_job(job, is_judged=number % 2 == 0)


def _play_and_judge_odd(numbered: tuple[int, Job]) -> Played:
    number, job = numbered
    return play_job(job, is_judged=number % 2 == 1)


def play_job(job: Job, *, is_judged: bool = True) -> Played:
    """Play one job in this process, with the judges of every run or without."""
    outcome = play(job.scenario, job.seed, nodes=job.nodes, injections_max=job.injections, is_judged=is_judged)
    return Played(
        job=job,
        trace_hash=outcome.trace_hash,
        judge=outcome.judge,
        message=" ".join(str(outcome.error or "").split())[:_MESSAGE_MAX],
        fired={kind.value: count for kind, count in outcome.fired.items()},
        checked=outcome.checked,
        cpu_seconds=outcome.cpu_seconds,
    )


def agreed(one: Played, other: Played) -> Played:
    """Return the judged one of two runs of one job; a failed one when their traces differ.

    A run that a judge has ended is as long as that: the other one knows nothing of it, and goes on.
    """
    if one.judge or one.trace_hash == other.trace_hash:
        return one
    disagreement = f"two processes disagree: {one.trace_hash} and {other.trace_hash}"
    return Played(
        job=one.job,
        trace_hash=one.trace_hash,
        judge=SAME,
        message=f"{disagreement}; {other.judge} {other.message}".strip(),
        fired=one.fired,
        checked=one.checked,
        cpu_seconds=one.cpu_seconds,
    )

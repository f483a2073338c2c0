"""Many runs, spread over the cores: each job is played in two processes, and what comes back is plain and small."""

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
    """Play every job in two processes; yield the first one's run, or one that SAME condemns, in the jobs' order."""
    for one, other in twice(play_job, jobs):
        yield agreed(one, other)


def play_job(job: Job) -> Played:
    """Play one job in this process."""
    outcome = play(job.scenario, job.seed, nodes=job.nodes, injections_max=job.injections)
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
    """Return the first of two runs of one job; a failed one when their traces differ."""
    if one.trace_hash == other.trace_hash:
        return one
    return Played(
        job=one.job,
        trace_hash=one.trace_hash,
        judge=SAME,
        message=f"two processes disagree: {one.trace_hash} and {other.trace_hash}; {one.judge} {one.message}".strip(),
        fired=one.fired,
        checked=one.checked,
        cpu_seconds=one.cpu_seconds,
    )

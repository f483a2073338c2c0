"""`python -m testnet.fuzz`: fuzz targets in several processes, print what came of each, keep what broke a promise."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testnet.fuzz.campaign import Campaign, Finding, Report
from testnet.fuzz.corpus import read_corpus, write_finding
from testnet.fuzz.targets import all_targets
from testnet.spread import spread

INPUTS_DEFAULT = 50_000
SHARE_MIN = 0.2
"""At least so many inputs must get past the outer framing, else hardly anything is tried but the framing."""

INPUTS_PER_JOB = 25_000
"""A longer campaign is cut into several with seeds of their own, so that the last target does not hold up the end."""

_FINDINGS = Path("fuzz-findings")


@dataclass(frozen=True, slots=True)
class Job:
    """One campaign to be run in some process."""

    target: str
    seed: int
    inputs: int
    counts_lines: bool


def run_job(job: Job) -> Report:
    """Run one campaign, with the inputs of the corpus."""
    target = all_targets()[job.target]
    corpus = read_corpus(job.target)
    return Campaign(target, seed=job.seed, corpus=corpus).run(job.inputs, counts_lines=job.counts_lines)


def jobs_of(names: Sequence[str], *, inputs: int, seed: int) -> list[Job]:
    """Cut the campaigns of some targets into jobs; the first of each target counts lines."""
    known = all_targets()
    jobs = []
    for name in names:
        left = min(inputs, known[name].inputs_max or inputs)
        for part in range(max(1, -(-left // INPUTS_PER_JOB))):
            jobs.append(Job(name, seed + part, min(left, INPUTS_PER_JOB), counts_lines=part == 0))
            left -= INPUTS_PER_JOB
    return jobs


def merged(reports: Sequence[Report]) -> Report:
    """Return the reports of one target's jobs as one."""
    first = reports[0]
    return Report(
        target=first.target,
        seed=first.seed,
        inputs=sum(each.inputs for each in reports),
        past_framing=sum(each.past_framing for each in reports),
        cpu_s=sum(each.cpu_s for each in reports),
        outcomes=max(each.outcomes for each in reports),
        peak_bytes=max(each.peak_bytes for each in reports),
        grown_bytes=max(each.grown_bytes for each in reports),
        lines_hit=first.lines_hit,
        lines_all=first.lines_all,
        findings=tuple(finding for each in reports for finding in each.findings),
    )


HEAD = f"{'target':30} {'inputs':>7} {'past':>5} {'us':>6} {'kinds':>6} {'peak':>7} {'grown':>7} {'lines':>5}"


def row_of(report: Report) -> str:
    """Return one line of the table; `us` is CPU time an input."""
    each_us = report.cpu_s / max(1, report.inputs) * 1e6
    lines = f"{100 * report.lines_hit // report.lines_all:>4}%" if report.lines_all else "    -"
    return (
        f"{report.target:30} {report.inputs:>7} {100 * report.share:>4.0f}% {each_us:>6.0f} {report.outcomes:>6}"
        f" {report.peak_bytes // 1024:>6}K {report.grown_bytes // 1024:>6}K {lines}"
    )


def complaints_of(report: Report) -> list[str]:
    """Return what is wrong with a campaign besides its findings."""
    if report.share < SHARE_MIN:
        return [f"{report.target}: only {100 * report.share:.0f} % of the inputs got past the outer framing"]
    return []


def repeat_line(finding: Finding, path: Path) -> str:
    """Return the command that feeds a finding's input again."""
    return f"python -m testnet.fuzz --target {finding.target} --replay {path}"


def replay(name: str, paths: Sequence[Path]) -> int:
    """Feed the inputs of these files; return the exit status."""
    findings = Campaign(all_targets()[name], seed=0).replay([path.read_bytes() for path in paths])
    for finding in findings:
        print(f"{name}: {finding.what}\n{finding.details}")
    if not findings:
        print(f"{name}: keeps its promise for {len(paths)} inputs")
    return bool(findings)


def fuzz(names: Sequence[str], options: argparse.Namespace) -> int:
    """Run all campaigns and print the table; return the exit status."""
    started = time.monotonic()
    jobs = jobs_of(names, inputs=options.inputs, seed=options.seed)
    print(f"seed {options.seed}, {len(names)} targets, {sum(job.inputs for job in jobs)} inputs\n{HEAD}", flush=True)
    reports: list[Report] = []
    finished: list[Report] = []
    for job, report in zip(jobs, spread(run_job, jobs, processes=options.processes), strict=True):
        reports.append(report)
        position = len(reports)
        if position == len(jobs) or jobs[position].target != job.target:
            whole = merged([each for each in reports if each.target == job.target])
            finished.append(whole)
            print(row_of(whole), flush=True)
    status = 0
    for report in finished:
        for complaint in complaints_of(report):
            print(complaint)
            status = 1
        for finding in report.findings:
            path = write_finding(finding, options.findings)
            print(f"{finding.target}: {finding.what}\n{finding.details}  repeat: {repeat_line(finding, path)}")
            status = 1
    total = sum(report.inputs for report in finished)
    print(
        f"{total} inputs in {time.monotonic() - started:.0f} s, {sum(len(each.findings) for each in finished)} findings"
    )
    return status


def parser() -> argparse.ArgumentParser:
    """Return the options of the command."""
    made = argparse.ArgumentParser(prog="python -m testnet.fuzz", description=__doc__)
    made.add_argument("--target", action="append", default=[], help="a target, or the start of several names")
    made.add_argument("--inputs", type=int, default=INPUTS_DEFAULT, help="inputs for each target")
    made.add_argument("--seed", type=int, default=None, help="drawn and printed unless given")
    made.add_argument("--processes", type=int, default=None, help="as many as there are cores unless given")
    made.add_argument("--findings", type=Path, default=_FINDINGS, help="where inputs that break a promise are written")
    made.add_argument("--replay", type=Path, nargs="+", help="feed these files to the one target, and nothing else")
    made.add_argument("--list", action="store_true", help="print the names of the targets")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    options = parser().parse_args(arguments)
    known = all_targets()
    names = [name for name in known if not options.target or name.startswith(tuple(options.target))]
    if options.list:
        print("\n".join(names))
        return 0
    if not names:
        print(f"no target is called {', '.join(options.target)}: --list names them", file=sys.stderr)
        return 2
    if options.replay:
        exact = options.target[0] if options.target and options.target[0] in known else names[0]
        return replay(exact, options.replay)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    return fuzz(names, options)

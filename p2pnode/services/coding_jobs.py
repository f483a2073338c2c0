"""Encoding and decoding in worker threads: the parts of a job side by side, none of it in the event loop's thread.

The threads work outside of Python's lock, so the event loop goes on meanwhile. A part that is still running when its
caller is cancelled writes into memory that it owns itself, see `p2pnode.coding.memory`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from p2pnode.coding import CodingError, Job, Part, run
from p2pnode.seams import Offload
from p2pnode.services.nursery import open_nursery

THREADS_PER_JOB = 2
"""A put or a get has two segments on their way, so four threads may compute: all that the node has for such work."""

R = TypeVar("R")


async def run_job(offload: Offload, job: Job[R]) -> R:
    """Do a job and return its result, or raise its error. A small one is done in a single call."""
    if job.is_small:
        return await offload.run(run, job)
    stages = job.stages()
    while True:
        stage = await offload.run(_next_stage, stages)
        if stage is None:
            return await offload.run(job.finish)
        parts = iter(stage)
        failures: list[CodingError] = []
        async with open_nursery() as nursery:
            for _ in range(min(THREADS_PER_JOB, len(stage))):
                nursery.start_soon(_run_parts, offload, parts, failures)
        if failures:
            raise failures[0]


async def _run_parts(offload: Offload, parts: Iterator[Part], failures: list[CodingError]) -> None:
    """Do parts until none is left or one has failed; others take from the same iterator."""
    for part in parts:
        if failures:
            return
        try:
            await offload.run(part)
        except CodingError as error:
            failures.append(error)  # Two may fail at the same moment, and the caller expects one error.


def _next_stage(stages: Iterator[Sequence[Part]]) -> Sequence[Part] | None:
    return next(stages, None)

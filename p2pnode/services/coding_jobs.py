"""Encoding and decoding in worker threads: the parts of a job side by side, none of it in the event loop's thread.

The threads work outside of Python's lock, so the event loop goes on meanwhile. A part that is still running when its
caller is cancelled writes into memory that it owns itself, see `p2pnode.coding.memory`.

Each thread is called once a job and goes from stage to stage by itself. Handing out each part or stage from the event
loop costs a fifth of the second core: two threads that are woken together start on one core, and the system moves one
of them away only milliseconds later.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

import trio

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
    team = _Team(job)
    async with open_nursery() as watch:
        watch.start_soon(_stop_in_the_end, team)
        async with open_nursery() as threads:
            for _ in range(THREADS_PER_JOB):
                threads.start_soon(offload.run, team.work)
        watch.cancel_scope.cancel()
    return await offload.run(team.finish)


async def _stop_in_the_end(team: _Team[R]) -> None:
    """Let a cancelled caller, who waits until the threads have returned, wait for no more than the part that runs."""
    try:
        await trio.sleep_forever()
    finally:
        team.stop()


class _Team(Generic[R]):
    """The threads that share a job. Whichever of them is alone in a stage when that is done begins the next one."""

    def __init__(self, job: Job[R]) -> None:
        self._job = job
        self._changed = threading.Condition()
        self._stages = job.stages()
        self._parts: Iterator[Part] = iter(())
        self._running = 0
        self._is_done = False
        self._failure: CodingError | None = None

    def work(self) -> None:
        """Do parts until none is left, one has failed, or the team is stopped."""
        try:
            while (part := self._take()) is not None:
                try:
                    part()
                finally:
                    self._put_down()
        except CodingError as error:
            self._fail(error)
        except BaseException:
            self.stop()
            raise

    def finish(self) -> R:
        """Return the result. Raises the error of the first part that failed, alone: others may have failed with it."""
        if self._failure is not None:
            raise self._failure
        return self._job.finish()

    def stop(self) -> None:
        """Let nobody begin another part."""
        with self._changed:
            self._is_done = True
            self._changed.notify_all()

    def _take(self) -> Part | None:
        with self._changed:
            while not self._is_done:
                part = next(self._parts, None)
                if part is not None:
                    self._running += 1
                    return part
                if self._running:  # In another thread, which is busy and will tell.
                    self._changed.wait()
                else:
                    self._begin_stage()
        return None

    def _begin_stage(self) -> None:
        stage = next(self._stages, None)
        if stage is None:
            self._is_done = True
        else:
            self._parts = iter(stage)
        self._changed.notify_all()

    def _put_down(self) -> None:
        with self._changed:
            self._running -= 1
            if not self._running:
                self._changed.notify_all()

    def _fail(self, error: CodingError) -> None:
        with self._changed:
            self._failure = self._failure or error
        self.stop()

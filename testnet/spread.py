"""Long work spread over this machine's cores, in fresh processes: seeds, planted bugs, crash images, fuzzing."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

TASKS_PER_PROCESS = 50
"""A process is replaced after so many: simulated worlds run without the cyclic garbage collector."""


def processes_default() -> int:
    """Return how many processes may compute at a time here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    function: Callable[[Item], Result], items: Iterable[Item], *, processes: int | None = None
) -> Iterator[Result]:
    """Yield `function(item)` in the order of the items; both must be picklable. Raises what it raises."""
    count = processes or processes_default()
    if count == 1:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(count, maxtasksperchild=TASKS_PER_PROCESS) as pool:
        yield from pool.imap(function, items)

"""Long work spread over this machine's cores, in fresh processes: seeds, planted bugs, crash images, fuzzing."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

TASKS_PER_PROCESS = 250
"""Processes are replaced after about so many: simulated worlds run without the cyclic garbage collector. To start one
takes as long as two worlds."""


def processes_default() -> int:
    """Return how many processes may compute at a time here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    function: Callable[[Item], Result], items: Iterable[Item], *, processes: int | None = None
) -> Iterator[Result]:
    """Yield `function(item)` in the order of the items; both must be picklable.

    Raises what it raises, and `BrokenProcessPool` when a process dies, for want of memory perhaps.
    """
    count = processes or processes_default()
    if count == 1:
        yield from map(function, items)
        return
    for batch in _batches(items, TASKS_PER_PROCESS * count):
        with _pool(count) as pool:
            yield from pool.map(function, batch)


def twice(
    function: Callable[[Item], Result],
    other_function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    processes: int | None = None,
) -> Iterator[tuple[Result, Result]]:
    """Yield both functions' results for each item, in the order of the items: for what must be the same in both.

    Each function has processes of its own. They differ in the order of their sets, unless PYTHONHASHSEED is set for
    this process. Raises as `spread` does.
    """
    each = max(1, (processes or processes_default()) // 2)
    for batch in _batches(items, TASKS_PER_PROCESS * each):
        with _pool(each) as one, _pool(each) as other:
            yield from zip(one.map(function, batch), other.map(other_function, batch), strict=True)


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _pool(count: int) -> ProcessPoolExecutor:
    """Return a pool of fresh processes, which says so when one of them dies instead of waiting for it for ever."""
    return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))

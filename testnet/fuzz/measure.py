"""What one input costs: CPU time, memory while it is worked on, and an end to what would never end."""

from __future__ import annotations

import resource
import signal
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

CEILING_BYTES = 768 * 1024 * 1024
"""Address space that a process may take beyond what it has: an unbounded decoder fails instead of the machine."""

ENDLESS_S = 10.0
"""CPU seconds after which one input is given up: it would never end."""


class EndlessError(BaseException):
    """An input used up its CPU time. No `except Exception` of the code under test can catch it."""


@contextmanager
def bounded_memory(more_bytes: int = CEILING_BYTES) -> Iterator[None]:
    """Let this process take only so much more address space; beyond it Python raises `MemoryError`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _address_space_bytes() + more_bytes
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def peak_resident_kib() -> int:
    """Return the most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _address_space_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - no file on any disk
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:  # No Linux: then a bound that is too high does no harm.
        return 1 << 40


@contextmanager
def alarms() -> Iterator[None]:
    """Make `EndlessError` possible within the block; only the main thread can be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise EndlessError

    before = signal.signal(signal.SIGVTALRM, ring)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class Stopwatch:
    """The CPU time of one input, measured in a `with` block; past ENDLESS_S it is interrupted, within `alarms`.

    The alarm is not taken back at the end of the block, but set anew by the next one: there are millions of inputs.
    What runs between two inputs is short, or a task of the node's own, which belongs to the earlier one.
    """

    __slots__ = ("_has_alarm", "_started", "cpu_s")

    def __init__(self) -> None:
        """Start at nothing."""
        self.cpu_s = 0.0
        self._started = 0.0
        self._has_alarm = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        """Set the alarm and begin."""
        if self._has_alarm:
            signal.setitimer(signal.ITIMER_VIRTUAL, ENDLESS_S)
        self._started = time.thread_time()

    def __exit__(self, *_: object) -> None:
        """Note the time."""
        self.cpu_s = time.thread_time() - self._started


class Scales:
    """The memory that a block of Python code takes at its worst moment, beyond what was there before."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.peak_bytes = 0

    @contextmanager
    def weighing(self) -> Iterator[None]:
        """Measure a block; it runs at about a third of its speed."""
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            yield
        finally:
            self.peak_bytes = tracemalloc.get_traced_memory()[1] - before
            tracemalloc.stop()

"""Peak memory of processes: their resident set sizes, sampled ten times a second."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

SAMPLES_PER_S = 10
_PROC = Path("/proc")
_KIB = 1024


def resident_bytes(pid: int) -> int:
    """Return the resident set size of a process in bytes; 0 when it has ended."""
    if not (_PROC / "self" / "statm").exists():
        return _resident_by_ps(pid)
    try:
        pages = int((_PROC / str(pid) / "statm").read_text("ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used so far, user and system; 0 when it has ended."""
    try:
        line = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return 0.0
    fields = line.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class PeakMemory:
    """Samples processes in a thread of its own while the `with` block runs; `peaks` then has the largest by label."""

    def __init__(self) -> None:
        """Start with no process; `watch` adds them, before or during the block."""
        self.peaks: dict[str, int] = {}
        self._pids: dict[int, str] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="peak-memory", daemon=True)

    def watch(self, label: str, pid: int) -> None:
        """Sample this process from now on, under this label; a label's peak is over all its processes."""
        with self._lock:
            self._pids[pid] = label

    def __enter__(self) -> Self:
        """Start sampling."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sampling."""
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            with self._lock:
                watched = list(self._pids.items())
            for pid, label in watched:
                self.peaks[label] = max(self.peaks.get(label, 0), resident_bytes(pid))
            if self._done.wait(1 / SAMPLES_PER_S):
                return


def _resident_by_ps(pid: int) -> int:
    """Ask `ps`, where there is no /proc (macOS)."""
    command = ["ps", "-o", "rss=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return int(answer.stdout.strip() or 0) * _KIB

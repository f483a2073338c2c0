"""Which process is meant: a pid together with the moment of its start, so that a recycled pid is never killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_STATE_FIELD = 0
_START_FIELD = 19
"""Positions in /proc/PID/stat counted after the command's name, which may itself hold spaces and brackets."""
_ENDED_STATES = ("Z", "X")
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """One process and no other: no later process with the same pid has the same start."""

    pid: int
    started: str


def mark_of(pid: int) -> ProcessMark | None:
    """Return the mark of a live process; None when there is none, or only one that waits to be reaped."""
    started = _started_by_proc(pid) if (_PROC / "self" / "stat").exists() else _started_by_ps(pid)
    return ProcessMark(pid, started) if started else None


def is_running(mark: ProcessMark) -> bool:
    """Tell whether exactly this process still runs."""
    return mark_of(mark.pid) == mark


def send_signal(mark: ProcessMark, number: signal.Signals) -> bool:
    """Signal exactly this process; False when it has ended already."""
    if not is_running(mark):
        return False
    try:
        os.kill(mark.pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_ended(marks: list[ProcessMark], *, timeout_s: float) -> list[ProcessMark]:
    """Wait until all have ended; return those that still run after the timeout."""
    deadline = time.monotonic() + timeout_s
    running = [mark for mark in marks if is_running(mark)]
    while running and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        running = [mark for mark in running if is_running(mark)]
    return running


@cache
def _boot() -> str:
    """Name the machine's current boot: start times are counted from it, so after a reboot they mean something else."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return "boot"


def _started_by_proc(pid: int) -> str | None:
    try:
        line = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = line.rpartition(")")[2].split()
    if fields[_STATE_FIELD] in _ENDED_STATES:
        return None
    return f"{_boot()}/{fields[_START_FIELD]}"


def _started_by_ps(pid: int) -> str | None:
    """Ask `ps`, where there is no /proc (macOS)."""
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    state, _, started = answer.stdout.strip().partition(" ")
    if not started or state.startswith(_ENDED_STATES):
        return None
    return started.strip()

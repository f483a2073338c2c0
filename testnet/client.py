"""Running `p2pnode` as a user would: a process of its own that speaks to one node by its home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from testnet.memory import PeakMemory

COMMAND = (sys.executable, "-m", "p2pnode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a command did."""

    exit_code: int
    stdout: bytes
    stderr: str
    seconds: float
    """From before its start until after its end, so with the start of Python."""

    def json(self) -> dict[str, Any]:
        """Return what it printed, as JSON."""
        answer: dict[str, Any] = json.loads(self.stdout)
        return answer


def environment(home: Path) -> dict[str, str]:
    """Return the environment in which `p2pnode` uses this home."""
    return {**os.environ, "P2PNODE_HOME": str(home), "PYTHONUNBUFFERED": "1"}


def run(
    home: Path, *arguments: str, timeout_s: float = 120, stdin: bytes | None = None, memory: PeakMemory | None = None
) -> Finished:
    """Run a command to its end. It is killed and `subprocess.TimeoutExpired` raised when it takes too long."""
    started = time.monotonic()
    source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
    with subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(home),
        stdin=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        if memory is not None:
            memory.watch(f"p2pnode {arguments[0]}", process.pid)
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout_s)
        except BaseException:
            process.kill()
            raise
    seconds = time.monotonic() - started
    return Finished(
        exit_code=process.returncode, stdout=stdout, stderr=stderr.decode("utf-8", "replace"), seconds=seconds
    )

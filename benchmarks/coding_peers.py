"""The contestants of `benchmarks/coding.py`: their set-up, and the worker processes that they run in.

The peers are installed by nothing but this, into a folder below `build` that git ignores, and never into the project's
environment. What is installed is fixed by the lock files in `benchmarks/peers`, down to the hashes.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from benchmarks.coding_questions import Question

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "benchmarks" / "peers"
INSTALLED = ROOT / "build" / "benchmark-peers"

INSTALL_S = 300
ANSWER_S = 600
END_S = 10
NODE_MAJOR_MIN = 20

WASM = "walrus-wasm"
WHEEL = "leopard + hashlib"


class SetupError(Exception):
    """A peer cannot be installed here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """How to start one."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    folder: Path = ROOT


def ours(kernel: str, *, threads: int = 1) -> Contestant:
    """Return our code with one kernel."""
    command = (sys.executable, "-m", "benchmarks.coding_worker", "ours", "--threads", str(threads))
    name = kernel if threads == 1 else f"{kernel}, {threads} threads"
    return Contestant(name, command, (("P2PNODE_KERNEL", kernel),))


def install_walrus() -> Contestant:
    """Install the public Walrus encoder and return it. Raises `SetupError`."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            message = f"{WASM} needs Node {NODE_MAJOR_MIN} or later with npm, and there is no '{program}' on the PATH"
            raise SetupError(message)
    folder = INSTALLED / "walrus"
    locks = [LOCKS / name for name in ("package.json", "package-lock.json", ".npmrc")]
    if not _is_installed(folder, locks):
        for path in locks:
            shutil.copy(path, folder)
        _run(["npm", "ci", "--ignore-scripts"], folder)
        _remember(folder, locks)
    # Node looks for packages beside the program.
    shutil.copy(LOCKS / "walrus.mjs", folder)
    return Contestant(WASM, ("node", "walrus.mjs"), folder=folder)


def install_wheel() -> Contestant:
    """Install the wheel and return it. Raises `SetupError`."""
    folder = INSTALLED / f"python-{sys.version_info.major}.{sys.version_info.minor}"
    locks = [LOCKS / "python.txt"]
    if not _is_installed(folder, locks):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _run([*pip, "--require-hashes", "--target", str(folder), "-r", str(locks[0])], folder)
        _remember(folder, locks)
    command = (sys.executable, "-m", "benchmarks.coding_worker", "wheel")
    # What of it is not the wheel's is hashlib's, as for somebody who has no compiler.
    return Contestant(WHEEL, command, (("P2PNODE_KERNEL", "reference"), ("PYTHONPATH", str(folder))))


def _stamp(locks: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in locks)).hexdigest()


def _is_installed(folder: Path, locks: list[Path]) -> bool:
    """Whether the folder was made from these locks; if not it is empty afterwards."""
    stamp = folder / ".installed"
    if stamp.exists() and stamp.read_text("ascii") == _stamp(locks):
        return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return False


def _remember(folder: Path, locks: list[Path]) -> None:
    (folder / ".installed").write_text(_stamp(locks), "ascii")


def _run(command: list[str], folder: Path) -> None:
    try:
        ended = subprocess.run(  # noqa: S603 - arguments of our own
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=INSTALL_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(str(error)) from error
    if ended.returncode:
        message = f"{' '.join(command)} ended with {ended.returncode}: {(ended.stderr or ended.stdout).strip()}"
        raise SetupError(message)


class Process:
    """A contestant at work. It ends with the `with` block."""

    def __init__(self, contestant: Contestant) -> None:
        """Start it."""
        self.name = contestant.name
        self._process = subprocess.Popen(  # noqa: S603 - arguments of our own
            contestant.command,
            cwd=contestant.folder,
            env={**os.environ, **dict(contestant.environment)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        try:
            self._process.communicate(timeout=END_S if kind is None else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def ask(self, question: Question) -> dict[str, object]:
        """Return the answer. Raises `RuntimeError` when it does not come."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(question.line())
        self._process.stdin.flush()
        if select.select([self._process.stdout], [], [], ANSWER_S)[0]:
            line = self._process.stdout.readline()
            if line:
                answer: dict[str, object] = json.loads(line)
                return answer
        message = f"{self.name} did not answer {question.line().strip()[:200]}"
        raise RuntimeError(message)

    def memory_bytes(self) -> tuple[int, int]:
        """Return the resident set size now and its peak; zeros where there is no /proc."""
        try:
            text = Path(f"/proc/{self._process.pid}/status").read_text("utf-8", "replace")
        except OSError:
            return 0, 0
        lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        now, peak = (int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
        return now, peak

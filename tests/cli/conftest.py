"""A home, a daemon on it, and the program called as a user would call it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from p2pnode.cli import solving
from p2pnode.cli.main import main
from p2pnode.config import PROFILES
from p2pnode.storage.home import HomeSettings, create_home
from p2pnode.system import SystemRng
from tests.cli.fake_daemon import FakeDaemon

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command did."""

    code: int
    out: bytes
    err: str

    def json(self) -> dict[str, object]:
        """Return the JSON that it printed: one line."""
        assert self.out.count(b"\n") == 1
        answer: dict[str, object] = json.loads(self.out)
        return answer

    def error(self) -> str:
        """Return the one line that it said on stderr."""
        assert self.err.startswith("p2pnode: ")
        assert self.err.count("\n") == 1
        assert "Traceback" not in self.err
        return self.err.strip()


@dataclass(frozen=True, slots=True)
class Cli:
    """Calls the program, here or in a process of its own."""

    home: Path
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[bytes]

    def __call__(self, *arguments: str | Path) -> Ended:
        """Run `main` here."""
        self.patch.setenv("P2PNODE_HOME", str(self.home))
        self.patch.setattr(sys, "argv", ["p2pnode", *map(str, arguments)])
        self.capture.readouterr()
        code = main()
        out, err = self.capture.readouterr()
        return Ended(code, out, err.decode())

    def start(self, *arguments: str | Path, **options: object) -> subprocess.Popen[bytes]:
        """Start the program as a process; the caller ends it."""
        given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        environment = {**os.environ, "P2PNODE_HOME": str(self.home), "COLUMNS": "100"}
        environment.pop("PYTHONUNBUFFERED", None)  # Output waits in a buffer until the end, as it does for users.
        command = [sys.executable, "-m", "p2pnode", *map(str, arguments)]
        return subprocess.Popen(command, env=environment, **given)  # type: ignore[call-overload, no-any-return] # passed on

    def process(self, *arguments: str | Path, given: bytes | None = None) -> Ended:
        """Run the program as a process, with bytes on stdin."""
        with self.start(*arguments, stdin=subprocess.PIPE) as process:
            try:
                out, err = process.communicate(given, timeout=TIMEOUT_S)
            finally:
                process.kill()
        return Ended(process.returncode, out, err.decode())


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> Iterator[None]:
    """Whoever starts the tests in the background of a shell has them ignore Ctrl-C, and so the processes they start."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A new node's home."""
    path = tmp_path / "home"
    create_home(path, settings=HomeSettings(profile="testnet"), rng=SystemRng())
    return path


@pytest.fixture(autouse=True)
def _cheap_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the admission work cost milliseconds: what is done is the same."""
    cheap = {name: replace(each, admission_work=min(each.admission_work, 1)) for name, each in PROFILES.items()}
    monkeypatch.setattr(solving, "PROFILES", cheap)


@pytest.fixture
def cli(home: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Cli:
    """The program, on that home."""
    return Cli(home, monkeypatch, capfdbinary)


@pytest.fixture
def daemon(home: Path) -> Iterator[FakeDaemon]:
    """A daemon on that home."""
    with FakeDaemon(home) as running:
        yield running

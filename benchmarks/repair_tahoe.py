"""What Tahoe-LAFS moves for the same loss: ten storage nodes, any four of ten shares, on a loopback of its own.

Nobody repairs there unless told to: once as many new nodes have joined as were lost, the client is told to check and
repair each file. Counted are the bytes over the interface meanwhile, less what idle nodes move. Run by
`benchmarks.repair` in a network namespace; `install` makes the environment that it needs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import venv
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.loopback import bring_up, looped_bytes
from benchmarks.repair_loopback import FILE_BYTES, IDLE_S, NODES
from testnet import signals

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "benchmarks" / "peers" / "tahoe.txt"
INSTALLED = ROOT / "build" / "benchmark-peers" / "tahoe"

NEEDED, HAPPY = 4, 7
FIRST_PORT = 29_100
WEB_PORT = FIRST_PORT + 99
INSTALL_S = 900
WITHIN_S = 300.0
REQUEST_S = 600.0
CONNECTED = "connected"


class TahoeError(Exception):
    """It cannot be installed or run here; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TahoeCase:
    """What one loss has cost."""

    version: str
    nodes: int
    lost: int
    files: int
    file_bytes: int
    bytes_lost: int
    """Files of shares on the disks of those who left."""
    bytes_looped: int
    idle_bytes_per_s: float
    seconds: float
    """That the repair has taken."""
    looped_per_byte: float


def install() -> Path:
    """Return the program, installed as the lock file says. Raises `TahoeError`."""
    program = INSTALLED / "bin" / "tahoe"
    if not program.exists():
        venv.create(INSTALLED, with_pip=True, clear=True)
        pip = [str(INSTALLED / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(LOCK)]
        done = subprocess.run(pip, capture_output=True, text=True, timeout=INSTALL_S, check=False)  # noqa: S603
        if done.returncode:
            message = f"pip ended with {done.returncode}: {done.stderr[-500:]}"
            raise TahoeError(message)
    return program


class Grid:
    """An introducer, storage nodes and a client, whose processes end with the block."""

    def __init__(self, program: Path, place: Path) -> None:
        """Nothing is started yet."""
        self._program = str(program)
        self._place = place
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._introducer = ""
        self._ports = iter(range(FIRST_PORT, WEB_PORT))

    def tahoe(self, *arguments: str) -> str:
        """Run the program. Raises `TahoeError`."""
        command = [self._program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)  # noqa: S603
        if done.returncode:
            message = f"tahoe {arguments[0]} ended with {done.returncode}: {done.stderr[-500:]}"
            raise TahoeError(message)
        return done.stdout

    def start(self) -> None:
        """Start all, and wait until the client is connected with every storage node. Raises `TahoeError`."""
        place = self._place / "introducer"
        self.tahoe("create-introducer", "--listen=tcp", *self._listen(), str(place))
        self._run("introducer")
        furl = place / "private" / "introducer.furl"
        self._wait(furl.exists)
        self._introducer = furl.read_text("ascii").strip()
        self.add([f"s{number}" for number in range(NODES)])
        self._create("create-client", "client", f"--webport=tcp:{WEB_PORT}:interface=127.0.0.1")
        self._run("client")
        self.wait_connected()

    def add(self, names: Iterable[str]) -> None:
        """Start further storage nodes."""
        for name in names:
            self._create("create-node", name, "--webport=none", *self._listen())
            self._run(name)

    def kill(self, names: Iterable[str]) -> None:
        """End nodes as a power cut would."""
        for name in names:
            process = self._processes.pop(name)
            process.send_signal(signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """End every process."""
        self.kill(list(self._processes))

    def wait_connected(self) -> None:
        """Wait until the client is connected with NODES storage nodes."""

        def is_connected() -> bool:
            try:
                servers = json.loads(self.ask("GET", "/?t=json"))["servers"]
            except OSError:
                return False
            return len([each for each in servers if each["connection_status"].lower().startswith(CONNECTED)]) >= NODES

        self._wait(is_connected)

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Ask the client. Raises `TahoeError`."""
        connection = http.client.HTTPConnection("127.0.0.1", WEB_PORT, timeout=REQUEST_S)
        connection.request(method, path, body)
        reply = connection.getresponse()
        data = reply.read()
        connection.close()
        if reply.status >= http.client.BAD_REQUEST:
            message = f"{method} {path[:40]}: {reply.status} {data[:200]!r}"
            raise TahoeError(message)
        return data

    def shares_bytes(self, names: Iterable[str]) -> int:
        """Return the bytes of all shares on the disks of these nodes."""
        places = [self._place / name / "storage" / "shares" for name in names]
        return sum(path.stat().st_size for place in places for path in place.rglob("*") if path.is_file())

    def _listen(self) -> tuple[str, str]:
        port = next(self._ports)
        return f"--port=tcp:{port}:interface=127.0.0.1", f"--location=tcp:127.0.0.1:{port}"

    def _create(self, verb: str, name: str, *options: str) -> None:
        shares = (f"--shares-needed={NEEDED}", f"--shares-happy={HAPPY}", f"--shares-total={NODES}")
        self.tahoe(
            verb, f"--nickname={name}", f"--introducer={self._introducer}", *shares, *options, str(self._place / name)
        )

    def _run(self, name: str) -> None:
        with (self._place / f"{name}.log").open("wb") as log:
            command = [self._program, "run", "--allow-stdin-close", str(self._place / name)]
            self._processes[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603

    @staticmethod
    def _wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            if time.monotonic() > deadline:
                message = f"its nodes did not find each other within {WITHIN_S:.0f} s"
                raise TahoeError(message)
            time.sleep(0.5)


def measure(grid: Grid, *, lost: int, files: int, seed: str) -> TahoeCase:
    """Store files, lose nodes, let as many join, and let the client repair each file."""
    rng = random.Random(seed)  # noqa: S311 - a benchmark repeats its data
    grid.start()
    caps = [grid.ask("PUT", "/uri", rng.randbytes(FILE_BYTES)).decode("ascii") for _ in range(files)]
    leavers = [f"s{number}" for number in range(lost)]
    bytes_lost = grid.shares_bytes(leavers)
    grid.kill(leavers)
    grid.add([f"x{number}" for number in range(lost)])
    grid.wait_connected()
    before = looped_bytes()
    time.sleep(IDLE_S)
    idle_per_s = (looped_bytes() - before) / IDLE_S
    started, before = time.monotonic(), looped_bytes()
    for cap in caps:
        grid.ask("POST", f"/uri/{urllib.parse.quote(cap)}?t=check&repair=true&output=json")
    seconds, looped = time.monotonic() - started, looped_bytes() - before
    return TahoeCase(
        version=grid.tahoe("--version").split()[0],
        nodes=NODES,
        lost=lost,
        files=files,
        file_bytes=FILE_BYTES,
        bytes_lost=bytes_lost,
        bytes_looped=looped,
        idle_bytes_per_s=round(idle_per_s),
        seconds=round(seconds, 1),
        looped_per_byte=round((looped - idle_per_s * seconds) / bytes_lost, 3),
    )


def main() -> None:
    """Measure one case and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("--lost", type=int, required=True)
    parser.add_argument("--files", type=int, required=True)
    parser.add_argument("--seed", default="benchmark")
    options = parser.parse_args()
    bring_up()
    with signals.raising(), tempfile.TemporaryDirectory(prefix="p2pnode-benchmark-") as place:
        grid = Grid(options.program, Path(place))
        try:
            case = measure(grid, lost=options.lost, files=options.files, seed=options.seed)
        except TahoeError as error:
            sys.exit(str(error))
        finally:
            grid.stop()
    sys.stdout.write(json.dumps(asdict(case)))


if __name__ == "__main__":
    main()

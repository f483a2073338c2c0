"""Show that a file survives: ten real nodes, three of them killed, the file read back and compared."""

from __future__ import annotations

import filecmp
import hashlib
import json
import random
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from p2pnode import bft
from p2pnode.errors import CallerError, ExitCode, IntegrityError, P2PNodeError
from testnet import api, client, signals
from testnet.processes import Testnet
from testnet.state import NodeState
from testnet.terminal import one_line_errors

MB = 1000 * 1000
NODES_MIN = 4
NODES_MAX = 40
_TEXT_BYTES = 3 * MB
_RANDOM_BYTES = 1 * MB
_COMMAND_TIMEOUT_S = 150
_HASH_PIECE_BYTES = 1 << 20
_PAIRS = Path("data", "pairs")
_INVENTED = "an invented lighthouse log of 3 MB in plain text, then 1 MB of random bytes"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class StepError(P2PNodeError):
    """A command of the demo failed; the exit code is that command's."""

    reason = "DEMO"

    def __init__(self, message: str, exit_code: int) -> None:
        """Keep the command's exit code."""
        super().__init__(message)
        self.exit_code = ExitCode(exit_code) if exit_code in set(ExitCode) else ExitCode.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Which node does what."""

    writer: str
    reader: str
    killed: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Story:
    """The demo as it is told: on the terminal step by step, and as facts for `--json`."""

    console: Console
    facts: dict[str, Any] = field(default_factory=dict)
    steps: int = 0

    def step(self, headline: str, *lines: str) -> None:
        """Tell one step."""
        self.steps += 1
        # Without markup: a file's name may have square brackets.
        self.console.print(f"{self.steps}. {headline}", style="bold", markup=False, soft_wrap=True)
        for line in lines:
            self.console.print(f"   {line}", markup=False, soft_wrap=True)


@app.command()
@one_line_errors
def demo(
    file: Annotated[Path | None, typer.Argument(help=f"The file to store. Default: {_INVENTED}.")] = None,
    nodes: Annotated[int, typer.Option(min=NODES_MIN, max=NODES_MAX, help="How many nodes.")] = 10,
    kill: Annotated[int | None, typer.Option(min=0, help="How many to kill. Default: a third, as many as may.")] = None,
    kill_names: Annotated[str | None, typer.Option(help="Which to kill, with commas: node-00,node-04.")] = None,
    through: Annotated[str | None, typer.Option(help="The node that stores the file.")] = None,
    seed: Annotated[str | None, typer.Option(help="Repeat the keys, the file and the choice of nodes.")] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the facts as JSON on stdout, the story on stderr.")
    ] = False,
) -> None:
    """Show that a file survives: start nodes, store it, kill some of them, read it back, compare.

    Unless told otherwise the killed nodes include the one that stored the file and the one that all others started
    from. Nothing is left behind.
    """
    story = Story(console=Console(stderr=as_json, highlight=False))
    rng = random.Random(seed)
    cast = _cast(nodes, kill=kill, kill_names=kill_names, through=through, rng=rng)
    with signals.raising(), tempfile.TemporaryDirectory(prefix="p2pnode-demo-", ignore_cleanup_errors=True) as place:
        source = _choose_file(file, Path(place), story, rng)
        with Testnet(Path(place, "net")) as testnet:
            _tell(story, testnet, source, cast=cast, count=nodes, seed=seed)
    if as_json:
        typer.echo(json.dumps(story.facts))


command = typer.main.get_command(app)


def _tell(story: Story, testnet: Testnet, source: Path, *, cast: Cast, count: int, seed: str | None) -> None:
    started = time.monotonic()
    with story.console.status(f"starting {count} nodes"):
        testnet.start(count, seed=seed)
    story.facts["start_seconds"] = seconds = round(time.monotonic() - started, 2)
    story.step(
        f"{count} nodes: each a process with its own keys and directory, no one in charge",
        f"Each was told one address, that of node-00. After {seconds:.1f} s each knows all others.",
    )
    reference, n = _put(story, testnet, source, cast)
    _kill(story, testnet, cast, n=n)
    copy = testnet.directory.parent / "copy"
    _get(story, testnet, reference, copy, cast=cast, size=source.stat().st_size)
    _compare(story, source, copy)
    total = time.monotonic() - started
    story.facts["total_seconds"] = round(total, 2)
    died = f"after {', '.join(cast.killed)} had been killed without warning" if cast.killed else "with all nodes alive"
    story.console.print(
        f"Proved: what {cast.writer} stored, {cast.reader} gave back byte for byte, {died} ({total:.0f} s in all).",
        style="bold green",
        soft_wrap=True,
    )


def _cast(count: int, *, kill: int | None, kill_names: str | None, through: str | None, rng: random.Random) -> Cast:
    """Choose who stores, who is killed and who reads. Raises `CallerError`."""
    names = [f"node-{index:02}" for index in range(count)]
    chosen = [name.strip() for name in kill_names.split(",") if name.strip()] if kill_names is not None else None
    for name in [*(chosen or []), *([through] if through else [])]:
        if name not in names:
            raise CallerError(f"no node {name!r} in this demo: there are {names[0]} to {names[-1]}")
    writer = through or rng.choice(names[1:])
    if chosen is None:
        killed_count = bft.faulty(count) if kill is None else kill
        others = rng.sample([name for name in names[1:] if name != writer], count - (1 if writer == names[0] else 2))
        chosen = list(dict.fromkeys([writer, names[0], *others]))[:killed_count]
    elif kill is not None and kill != len(set(chosen)):
        raise CallerError(f"--kill {kill} and --kill-names {kill_names} differ: give one of them")
    alive = [name for name in names if name not in chosen]
    if not alive:
        raise CallerError("somebody must be left to read the file: kill fewer nodes")
    readers = [name for name in alive if name != writer] or alive
    return Cast(writer=writer, reader=rng.choice(readers), killed=tuple(sorted(set(chosen))))


def _choose_file(file: Path | None, place: Path, story: Story, rng: random.Random) -> Path:
    """Return the user's file, or make one. Raises `StepError` for a file that cannot be read."""
    source, what = file, str(file)
    if source is None:
        source, what = place / "lighthouse.log", _INVENTED
        source.write_bytes(_invented(rng))
    try:
        digest, size = _sha256(source), source.stat().st_size
    except OSError as error:
        raise StepError(f"cannot read {source}: {error.strerror}", ExitCode.ERROR) from error
    story.facts.update(file=str(file) if file else None, size=size, sha256=digest)
    story.step(f"A file of {_mb(size)}: {what}", f"SHA-256 {digest}")
    return source


def _invented(rng: random.Random) -> bytes:
    lines: list[str] = []
    length = 0
    while length < _TEXT_BYTES:
        hour, wind, ships = len(lines) % 24, rng.choice(("calm", "breeze", "gale")), rng.randrange(9)
        lines.append(f"day {len(lines) // 24:05}, {hour:02}:00, {wind}, {ships} ships in sight, the lamp burns.\n")
        length += len(lines[-1])
    return "".join(lines).encode()[:_TEXT_BYTES] + rng.randbytes(_RANDOM_BYTES)


def _put(story: Story, testnet: Testnet, source: Path, cast: Cast) -> tuple[str, int]:
    """Store the file through one node; return its reference and n."""
    writer = testnet.node(cast.writer)
    answer = _run(writer, "put", str(source.resolve()), "--json").json()
    reference, n, seconds = str(answer["id"]), int(answer["n"]), float(answer["seconds"])
    status = api.blob_status(writer, reference)
    story.facts.update(id=reference, n=n, put_seconds=round(seconds, 2), healthy=status["healthy"])
    story.facts.update(stored_through=cast.writer, put_mb_per_s=_rate(answer["size"], seconds))
    story.step(
        f"{cast.writer} stores it: p2pnode put {source.name}",
        f"{reference}",
        f"{_blobs(answer['segments'])} coded into {n} sliver pairs; any {bft.primary_source(n)} of them give it back.",
        f"{status['healthy']} of {n} shards are held and signed for, after {seconds:.1f} s"
        f" ({_rate(answer['size'], seconds)} MB/s).",
    )
    story.console.print(_holdings(story, testnet, cast))
    return reference, n


def _holdings(story: Story, testnet: Testnet, cast: Cast) -> Table:
    """Show who holds what, read from the nodes' directories."""
    table = Table("node", "pairs held", "on disk", "part in this demo", title="who holds what")
    story.facts["pairs"] = {}
    for node in testnet.nodes:
        sizes = [path.stat().st_size for path in (node.home / _PAIRS).rglob("*") if path.is_file()]
        story.facts["pairs"][node.name] = len(sizes)
        parts = ["all others started from it"] if node is testnet.nodes[0] else []
        parts += ["stored the file"] if node.name == cast.writer else []
        parts += ["will be killed"] if node.name in cast.killed else []
        parts += ["will read it back"] if node.name == cast.reader else []
        table.add_row(node.name, str(len(sizes)), _mb(sum(sizes)), ", ".join(parts))
    return table


def _kill(story: Story, testnet: Testnet, cast: Cast, *, n: int) -> None:
    testnet.kill(cast.killed)
    pairs: dict[str, int] = story.facts["pairs"]
    total = sum(pairs.values())
    left = total - sum(pairs[name] for name in cast.killed)
    story.facts.update(killed=list(cast.killed), pairs_total=total, pairs_left=left)
    story.step(
        f"Killed with SIGKILL: {', '.join(cast.killed) or 'nobody'}",
        f"{len(testnet.running)} of {len(testnet.nodes)} nodes and {left} of {total} pairs are left;"
        f" a blob needs {bft.primary_source(n)} of its {n}.",
    )


def _get(story: Story, testnet: Testnet, reference: str, copy: Path, *, cast: Cast, size: int) -> None:
    finished = _run(testnet.node(cast.reader), "get", reference, "-o", str(copy))
    rate = _rate(size, finished.seconds)
    story.facts.update(read_through=cast.reader, get_seconds=round(finished.seconds, 2), get_mb_per_s=rate)
    story.step(
        f"{cast.reader} reads it back: p2pnode get {reference[:16]}..",
        f"{_mb(size)} after {finished.seconds:.1f} s ({rate} MB/s, the start of the command included).",
    )


def _compare(story: Story, source: Path, copy: Path) -> None:
    """Compare every byte, and the hashes. Raises `IntegrityError` when anything differs."""
    digest = _sha256(copy)
    equal = filecmp.cmp(source, copy, shallow=False) and digest == story.facts["sha256"]
    story.facts["equal"] = equal
    if not equal:
        raise IntegrityError(f"the file that came back differs: SHA-256 {digest}, expected {story.facts['sha256']}")
    story.step("Compared: equal in every byte", f"SHA-256 {digest}")


def _run(node: NodeState, *arguments: str) -> client.Finished:
    """Run a command on a node. Raises `StepError` with what it said when it failed."""
    try:
        finished = client.run(node.home, *arguments, timeout_s=_COMMAND_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        message = f"p2pnode {arguments[0]} on {node.name} took more than {_COMMAND_TIMEOUT_S} s"
        raise StepError(message, ExitCode.SILENT) from error
    # A write that is certified but has not reached every shard is safe, and worth showing all the more.
    if finished.exit_code not in {ExitCode.OK, ExitCode.PARTIAL}:
        said = finished.stderr.strip() or "nothing"
        raise StepError(
            f"p2pnode {arguments[0]} on {node.name} ended with {finished.exit_code}: {said}", finished.exit_code
        )
    return finished


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_HASH_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _mb(size: int) -> str:
    return f"{size / MB:.1f} MB" if size >= MB // 10 else f"{size:,} bytes"


def _blobs(segments: int) -> str:
    return "One blob," if segments == 1 else f"{segments} segments and the list of them, each"


def _rate(size: int, seconds: float) -> float:
    return round(size / MB / seconds, 2) if seconds else 0.0

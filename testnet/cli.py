"""Start and stop networks of real node processes on this machine, or play scenarios in the simulator."""

from __future__ import annotations

import importlib
import json
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from p2pnode.errors import CallerError, NoDaemonError, NotFoundError, P2PNodeError
from testnet import api, signals, state
from testnet.processes import START_TIMEOUT_S, Testnet
from testnet.state import NodeState
from testnet.terminal import one_line_errors

NODES_MAX = 100
POLL_S = 0.5

app = typer.Typer(
    help="Start and stop networks of real node processes on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Directory = Annotated[
    Path | None, typer.Option("--dir", help="The testnet's directory. Default: the one that runs, else the latest.")
]
NewDirectory = Annotated[
    Path | None,
    typer.Option("--dir", help="Where everything is kept; empty or not there yet. Default: a place in the cache."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Names = Annotated[list[str], typer.Argument(help="Nodes, such as node-03.")]


class NotHealthyError(P2PNodeError):
    """The blob or file did not become healthy in time."""

    reason = "NOT_HEALTHY"


@app.command()
@one_line_errors
def up(
    nodes: Annotated[int, typer.Option(min=1, max=NODES_MAX, help="How many nodes.")] = 10,
    directory: NewDirectory = None,
    seed: Annotated[str | None, typer.Option(help="Derive the nodes' keys from this text.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds until the nodes must know each other.")] = START_TIMEOUT_S,
    *,
    as_json: Json = False,
) -> None:
    """Start nodes, wait until each knows every other, and leave them running."""
    place = _empty_directory(directory)
    started = time.monotonic()
    try:
        with signals.noted() as check, state.locked(place):
            testnet = Testnet(place, tied=False, check=check)
            testnet.start(nodes, seed=seed, timeout_s=timeout)
    except BaseException:
        _keep_logs_only(place, directory)
        raise
    state.register(place)
    _show(testnet, as_json=as_json)
    if not as_json:
        seconds = time.monotonic() - started
        typer.echo(f"{nodes} nodes know each other after {seconds:.1f} s.")
        typer.echo(f"Speak to one:  P2PNODE_HOME={testnet.nodes[0].home} p2pnode peers")
        typer.echo(f"End them all:  python -m testnet down --dir {place}")


@app.command()
@one_line_errors
def status(directory: Directory = None, *, as_json: Json = False) -> None:
    """Show the nodes: which run, and how many others each knows."""
    _show(Testnet.load(state.chosen(directory)), as_json=as_json)


@app.command()
@one_line_errors
def logs(
    name: Annotated[str, typer.Argument(help="A node, such as node-03.")],
    directory: Directory = None,
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines.")] = 1_000,
) -> None:
    """Print the end of a node's log."""
    typer.echo(Testnet.load(state.chosen(directory)).log_end(name, lines))


@app.command()
@one_line_errors
def wait(
    healthy: Annotated[str, typer.Option(help="The id of a blob or file, as `put` printed it.")],
    directory: Directory = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 120,
) -> None:
    """Wait until all n shards of a blob or file have live holders."""
    deadline = time.monotonic() + timeout
    testnet = Testnet.load(state.chosen(directory))
    running = testnet.running
    if not running:
        message = f"no node of {testnet.directory} runs: `python -m testnet restart NAME` starts one"
        raise NoDaemonError(message)
    while True:
        found = _healthiest(running, healthy)
        if found["healthy"] >= found["n"]:
            typer.echo(f"healthy: {found['healthy']} of {found['n']}")
            return
        if time.monotonic() > deadline:
            message = f"after {timeout:.0f} s only {found['healthy']} of {found['n']} shards have a live holder"
            raise NotHealthyError(message)
        time.sleep(POLL_S)


@app.command()
@one_line_errors
def kill(names: Names, directory: Directory = None) -> None:
    """End nodes at once, as a power cut would (SIGKILL)."""
    place = state.chosen(directory)
    with state.locked(place):
        Testnet.load(place).kill(names)
    typer.echo(f"killed {', '.join(names)}")


@app.command()
@one_line_errors
def restart(names: Names, directory: Directory = None) -> None:
    """Start ended nodes again, with their data and, where it is free, their address."""
    place = state.chosen(directory)
    with signals.noted() as check, state.locked(place):
        testnet = Testnet.load(place, check=check)
        testnet.restart(names)
    for name in names:
        typer.echo(f"{name} listens on {testnet.node(name).address}")


@app.command()
@one_line_errors
def down(
    directory: Directory = None,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Keep what the nodes wrote.")] = False,
) -> None:
    """End all nodes and remove what they wrote."""
    place = state.chosen(directory)
    with state.locked(place):
        testnet = Testnet.load(place)
        testnet.stop()
        if not keep:
            testnet.remove()
    if not keep:
        state.forget(place)
    typer.echo(f"ended {len(testnet.nodes)} nodes; {'kept' if keep else 'removed'} {place}")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def sim(context: typer.Context) -> None:
    """Play scenarios in the simulator: whole nodes, every fault, virtual time."""
    # Loaded only now: it brings the whole node with it, which the other commands do not need.
    command = importlib.import_module("testnet.sim.command").command
    code = command.main(context.args, prog_name=context.command_path, standalone_mode=False)
    if code:
        raise typer.Exit(code)


command = typer.main.get_command(app)


def _empty_directory(directory: Path | None) -> Path:
    """Return where a new testnet may be written. Raises `CallerError` when something is there already."""
    if directory is None:
        return state.fresh_directory()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        message = f"{directory} is not an empty directory: choose another, or end the testnet in it with `down`"
        raise CallerError(message)
    return directory.resolve()


def _keep_logs_only(place: Path, asked: Path | None) -> None:
    """After a failed start remove everything but the logs, which say why; all of it when the user chose no place."""
    if asked is None:
        shutil.rmtree(place, ignore_errors=True)
        return
    for path in place.glob("node-*/home"):
        shutil.rmtree(path, ignore_errors=True)
    for name in (state.STATE_FILE, state.LOCK_FILE):
        (place / name).unlink(missing_ok=True)


def _healthiest(nodes: tuple[NodeState, ...], reference: str) -> dict[str, Any]:
    """Return the status of the node that knows the most holders: a put's tail is known first where it was made."""
    found: list[dict[str, Any]] = []
    unknown: NotFoundError | None = None
    for node in nodes:
        try:
            found.append(api.blob_status(node, reference))
        except NotFoundError as error:
            unknown = error
        except NoDaemonError:
            continue
        else:
            if found[-1]["healthy"] >= found[-1]["n"]:
                break
    if found:
        return max(found, key=lambda answer: int(answer["healthy"]))
    raise unknown or NoDaemonError("no node answers")


def _show(testnet: Testnet, *, as_json: bool) -> None:
    rows = [_row(node) for node in testnet.nodes]
    if as_json:
        typer.echo(json.dumps({"dir": str(testnet.directory), "nodes": rows}))
        return
    table = Table("node", "pid", "state", "knows", "address", title=str(testnet.directory))
    for row in rows:
        table.add_row(
            row["name"],
            str(row["pid"] or "-"),
            "running" if row["running"] else "ended",
            "-" if row["knows"] is None else str(row["knows"]),
            row["address"].partition("/p2p/")[0],
        )
    Console().print(table)


def _row(node: NodeState) -> dict[str, Any]:
    running = node.is_running()
    return {
        "name": node.name,
        "pid": node.process.pid if node.process else None,
        "running": running,
        "knows": _known_count(node) if running else None,
        "peer_id": node.peer_id,
        "home": str(node.home),
        "address": node.address,
        "api": node.api,
    }


def _known_count(node: NodeState) -> int | None:
    try:
        return len(api.active_peers(node) - {node.peer_id})
    except P2PNodeError:
        return None

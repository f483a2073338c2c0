"""The program `p2pnode`: finds the command that is named, loads that one only, and turns every end into an exit code.

The contract of a command, for the table below and for the entry-point group `p2pnode.commands` (through which `run`,
`demo` and `testnet` come, so that nothing here imports them):

- it is named as `module:attribute`, and the attribute is what `typer.main.get_command` makes of a `typer.Typer` app
  (built with `add_completion=False`): one command, or a group of them;
- the first line of the module's docstring is what `p2pnode --help` shows, read from the source without importing it;
- it ends by returning, by `typer.Exit(code)`, or by raising a `P2PNodeError`, whose message and exit code are shown.
  Anything else that it raises counts as a bug of ours: one line, and the traceback with P2PNODE_TRACEBACK=1.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from p2pnode.cli.output import print_error, print_usage_error
from p2pnode.errors import ExitCode, P2PNodeError
from wire.errors import WireError
from wire.ids import BlobId

ENTRY_POINTS = "p2pnode.commands"

_OWN_COMMANDS = {
    "init": "p2pnode.cli.init:command",
    "invite": "p2pnode.cli.invite:command",
    "join": "p2pnode.cli.join:command",
    "put": "p2pnode.cli.put:command",
    "get": "p2pnode.cli.get:command",
    "stat": "p2pnode.cli.stat:command",
    "ls": "p2pnode.cli.ls:command",
    "renew": "p2pnode.cli.renew:command",
    "rm": "p2pnode.cli.rm:command",
    "trash": "p2pnode.cli.trash:command",
    "quota": "p2pnode.cli.quota:command",
    "data": "p2pnode.cli.data:command",
    "status": "p2pnode.cli.status:command",
    "events": "p2pnode.cli.events:command",
    "plan": "p2pnode.cli.plan:command",
    "peers": "p2pnode.cli.peers:command",
    "audit": "p2pnode.cli.audit:command",
    "verify": "p2pnode.cli.verify:command",
    "evidence": "p2pnode.cli.evidence:command",
    "repair": "p2pnode.cli.repair:command",
    "maintenance": "p2pnode.cli.maintenance:command",
    "drain": "p2pnode.cli.drain:command",
    "check": "p2pnode.cli.check:command",
    "id": "p2pnode.cli.identity:command",
    "blob-id": "p2pnode.cli.blob_id:command",
    "bench": "p2pnode.cli.bench:command",
    "version": "p2pnode.cli.version:command",
}

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Store files in a network of volunteers, and offer room to it."""
    if version:
        print(importlib.metadata.version("p2pnode"))
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> int:
    """Run the command that the arguments name; return its exit code."""
    _open_missing_standard_streams()
    try:
        code = _run(_with_ids_last(sys.argv[1:]))
        if sys.stdout is not None:
            sys.stdout.flush()  # Here, so that a full disk is an error and not a message of the interpreter's end.
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        code = ExitCode.ERROR  # Whoever read our output has had enough: nothing to say.
    except P2PNodeError as error:
        code = print_error(error, as_json=False)
    except OSError as error:
        _forget_stdout()
        code = print_error(P2PNodeError(str(error)), as_json=False)
    except Exception as error:  # noqa: BLE001 - the outermost frame of the program
        code = _print_bug(error)
    return int(code)


def _run(arguments: list[str]) -> int:
    try:
        result = _group(arguments).main(arguments, prog_name="p2pnode", standalone_mode=False)
    except typer.TyperException as error:  # The arguments are wrong.
        return print_usage_error(error)
    return result if isinstance(result, int) else ExitCode.OK


def _with_ids_last(arguments: list[str]) -> list[str]:
    """Put ids that begin with a dash (one of 64 does) behind `--`, where they are not taken for options."""
    if "--" in arguments:
        return arguments
    ids = [argument for argument in arguments if argument.startswith("-") and _is_blob_id(argument)]
    return [*(argument for argument in arguments if argument not in ids), "--", *ids] if ids else arguments


def _is_blob_id(text: str) -> bool:
    try:
        BlobId.parse(text)
    except WireError:
        return False
    return True


def _group(arguments: list[str]) -> TyperGroup:
    """Return the program with the command that is named; with a line on each, when none of our own is."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    named = arguments[0] if arguments else ""
    commands = dict(_OWN_COMMANDS)
    if named in commands:
        commands = {named: commands[named]}
    else:
        commands.update({entry.name: entry.value for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)})
    for name, target in commands.items():
        module, _, attribute = target.partition(":")
        if name == named:
            group.add_command(getattr(importlib.import_module(module), attribute), name)
        else:
            group.add_command(TyperCommand(name, help=_summary(module)), name)
    return group


def _summary(module: str) -> str:
    """Return the first line of a module's docstring without importing the module."""
    try:
        spec = importlib.util.find_spec(module)
        source = Path(spec.origin).read_text("utf-8") if spec is not None and spec.origin is not None else ""
        return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    except (ImportError, OSError, SyntaxError, ValueError):
        return ""  # The help of the others must not depend on one that is broken.


def _open_missing_standard_streams() -> None:
    """Put the null device where stdin, stdout or stderr is closed: else the next file would take its number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # The lowest free number, which is this one.


def _forget_stdout() -> None:
    """Let the interpreter's last flush succeed: what could not be written has been dealt with."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _print_bug(error: Exception) -> ExitCode:
    if os.environ.get("P2PNODE_TRACEBACK"):
        traceback.print_exception(error)
    kind = type(error).__name__
    message = f"internal error, please report it: {kind}: {error} (P2PNODE_TRACEBACK=1 shows where)"
    return print_error(P2PNodeError(message), as_json=False)

"""Show, move and give up the directories in which your node keeps its data."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption
from p2pnode.cli.output import print_json, reporting
from p2pnode.cli.progress import progress_bar
from p2pnode.errors import ExitCode, HomeInUseError
from p2pnode.storage.data_directories import DirectoryState, forget, states
from p2pnode.storage.directory_move import bytes_to_move, move_directory
from p2pnode.storage.home import lock_home, open_home
from p2pnode.wording import human_bytes

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def about() -> None:
    """Show, move and give up the directories in which your node keeps its data, one a disk."""


@app.command(name="ls")
def listing(*, as_json: JsonOption = False, home: HomeOption = HOME_DEFAULT) -> None:
    """List the data directories; ends with 1 when one is not here."""
    with reporting(as_json=as_json):
        found = states(open_home(home.expanduser()))
        if as_json:
            print_json({"directories": [dataclasses.asdict(each) for each in found]})
        else:
            for each in found:
                print(f"{each.id or 'new':<32}  {_figures(each)}  {each.path}")
    if any(each.id and not each.is_here for each in found):
        raise typer.Exit(ExitCode.ERROR)


@app.command()
def move(
    old: Annotated[Path, typer.Argument(help="The data directory.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="Where it goes: an empty directory, or none yet.", show_default=False)],
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Move a data directory to another disk; stop the node first. Interrupted, the same command goes on."""
    with reporting(as_json=as_json):
        path = home.expanduser()
        with _stopped(path):
            wanted = not as_json and not quiet
            with progress_bar(f"moving {old}", size=bytes_to_move(old), wanted=wanted) as progress:
                move_directory(open_home(path), old, new, progress)
        if as_json:
            print_json({"moved": str(old), "to": str(new)})
        elif not quiet:
            print(f"moved {old} to {new}, checked every file, and removed the old ones")


@app.command(name="forget")
def give_up(
    directory: Annotated[Path, typer.Argument(help="The data directory that is gone for good.", show_default=False)],
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Give up a data directory whose disk is gone; stop the node first. Its pairs count as lost from then on."""
    with reporting(as_json=as_json):
        path = home.expanduser()
        with _stopped(path):
            forget(open_home(path), directory)
        if as_json:
            print_json({"forgotten": str(directory)})
        elif not quiet:
            print(f"forgot {directory}: the node retracts what was there when it starts, so that others replace it")


@contextlib.contextmanager
def _stopped(path: Path) -> Iterator[None]:
    """Keep the node from running meanwhile. Raises `HomeInUseError` that says to stop it first."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock_home(path))
        except HomeInUseError as error:
            message = f"the node of {path} runs: stop it first, then try again"
            raise HomeInUseError(message) from error
        yield


def _figures(each: DirectoryState) -> str:
    if not each.is_here:
        return "is not here: mount its disk" if each.id else "not begun yet"
    return f"{human_bytes(each.used)} used, {human_bytes(each.free)} free"


command = typer.main.get_command(app)

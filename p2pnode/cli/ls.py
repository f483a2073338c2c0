"""List what you stored: name, size, lease end, health."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption, new_app
from p2pnode.cli.output import one_line, print_json, reporting
from p2pnode.cli.owner_client import owned
from p2pnode.cli.peers import WIDTH_WITHOUT_TERMINAL
from p2pnode.services.owner_face import OwnedThing
from p2pnode.wording import human_bytes, human_date

app = new_app()


@app.command()
def ls(
    *,
    with_removed: Annotated[bool, typer.Option("--all", help="Also what was removed.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """List what you stored, the oldest first; with -q the references only."""
    with reporting(as_json=as_json):
        things = owned(daemon_of(home), with_removed=with_removed)
        if as_json:
            print_json({"things": [dataclasses.asdict(each) for each in things]})
        elif quiet:
            for each in things:
                print(each.id)
        elif things:
            _print_table(things)
        else:
            print("nothing is stored by this owner; 'p2pnode put FILE' stores something")


def _print_table(things: list[OwnedThing]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("name", "size", "lease until", "renewed", "shards", "state"):
        table.add_column(title)
    table.add_column("id", no_wrap=True, min_width=max(len(each.id) for each in things))
    for each in things:
        cells = [
            each.name or "-",
            human_bytes(each.size),
            human_date(each.lease_end),
            _renewed(each),
            f"? of {each.n}" if each.healthy is None else f"{each.healthy} of {each.n}",
            each.state,
            each.id,
        ]
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL).print(table)


def _renewed(thing: OwnedThing) -> str:
    """Return how long the owner's daemons renew a thing."""
    if thing.state == "removed":
        return "no"
    return "always" if thing.wanted_until is None else f"to {human_date(thing.wanted_until).split()[0]}"


command = typer.main.get_command(app)

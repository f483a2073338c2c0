"""List what you stored: name, size, lease end, health."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption, new_app
from p2pnode.cli.output import print_json, reporting
from p2pnode.cli.owner_client import owned
from p2pnode.cli.tables import Row, print_table
from p2pnode.services.owner_face import OwnedThing
from p2pnode.wording import human_bytes, human_date

app = new_app()

_TITLES = Row(("name", "size", "lease until", "renewed", "shards", "state"), ("id",))


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
            print_table(_TITLES, [_row(each) for each in things], cuts_first=True)
        else:
            print("nothing is stored by this owner; 'p2pnode put FILE' stores something")


def _row(thing: OwnedThing) -> Row:
    cells = (
        thing.name or "-",
        human_bytes(thing.size),
        human_date(thing.lease_end),
        _renewed(thing),
        f"? of {thing.n}" if thing.healthy is None else f"{thing.healthy} of {thing.n}",
        thing.state,
    )
    return Row(cells, (thing.id,))


def _renewed(thing: OwnedThing) -> str:
    """Return how long the owner's daemons renew a thing."""
    if thing.state == "removed":
        return "no"
    return "always" if thing.wanted_until is None else f"to {human_date(thing.wanted_until).split()[0]}"


command = typer.main.get_command(app)

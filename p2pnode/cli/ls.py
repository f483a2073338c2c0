"""List what you stored: name, size, lease end, health."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from typing import Annotated

import typer
from rich.cells import cell_len, set_cell_size

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption, new_app
from p2pnode.cli.output import one_line, print_json, reporting
from p2pnode.cli.owner_client import owned
from p2pnode.services.owner_face import OwnedThing
from p2pnode.wording import human_bytes, human_date

app = new_app()

_TITLES = ("name", "size", "lease until", "renewed", "shards", "state")
_GAP = "  "
_NAME_MIN = 8
"""Columns that a name has on the narrowest terminal: of less nobody recognizes a file."""


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
    """Print a line a thing. A terminal that is too narrow gets each id on a line of its own, so that it stays whole."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table_lines(things, width=width):
        print(line)


def table_lines(things: list[OwnedThing], *, width: int | None) -> list[str]:
    """Return the lines of the list for a terminal of this width; None has no end."""
    rows = [list(_TITLES), *(_cells(each) for each in things)]
    ids = ["id", *(each.id for each in things)]
    length = _length(rows) + len(_GAP) + max(len(each) for each in ids)
    is_narrow = width is not None and length > width
    if width is not None and is_narrow:
        name_length = max(_NAME_MIN, max(cell_len(row[0]) for row in rows) + width - _length(rows))
        rows = [[_cut(row[0], name_length), *row[1:]] for row in rows]
    lengths = _lengths(rows)
    lines = [_GAP.join(set_cell_size(cell, lengths[at]) for at, cell in enumerate(row)) for row in rows]
    if is_narrow:
        return [part for line, each in zip(lines, ids, strict=True) for part in (line.rstrip(), f"  {each}")]
    return [f"{line}{_GAP}{each}" for line, each in zip(lines, ids, strict=True)]


def _cells(thing: OwnedThing) -> list[str]:
    return [
        one_line(thing.name) or "-",
        human_bytes(thing.size),
        human_date(thing.lease_end),
        _renewed(thing),
        f"? of {thing.n}" if thing.healthy is None else f"{thing.healthy} of {thing.n}",
        one_line(thing.state),
    ]


def _lengths(rows: list[list[str]]) -> list[int]:
    return [max(cell_len(cell) for cell in column) for column in zip(*rows, strict=True)]


def _length(rows: list[list[str]]) -> int:
    lengths = _lengths(rows)
    return sum(lengths) + len(_GAP) * (len(lengths) - 1)


def _cut(text: str, length: int) -> str:
    return text if cell_len(text) <= length else set_cell_size(text, length - 1).rstrip() + "…"


def _renewed(thing: OwnedThing) -> str:
    """Return how long the owner's daemons renew a thing."""
    if thing.state == "removed":
        return "no"
    return "always" if thing.wanted_until is None else f"to {human_date(thing.wanted_until).split()[0]}"


command = typer.main.get_command(app)

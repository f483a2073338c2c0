"""Show what happened: leases that end, renewals, removals; with --follow as it happens."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import one_line, print_json, reporting
from p2pnode.cli.owner_client import events_after, follow_events
from p2pnode.services.owner_face import Event
from p2pnode.wording import human_date

app = new_app()


@app.command()
def events(
    *,
    after: Annotated[int, typer.Option(min=0, help="Only those with a higher number.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C or the daemon's end.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Show the node's events since its start, a line each; with --json an object a line."""
    with reporting(as_json=as_json):
        daemon = daemon_of(home)
        for event in follow_events(daemon, after=after) if follow else events_after(daemon, after):
            if as_json:
                print_json(dataclasses.asdict(event))
            else:
                print(_line(event), flush=True)


def _line(event: Event) -> str:
    about = "" if event.reference is None else f" ({event.reference})"
    return f"{event.id:>5}  {human_date(event.time)}  {event.kind}: {one_line(event.message)}{about}"


command = typer.main.get_command(app)

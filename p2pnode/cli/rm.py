"""Remove something that you stored: your lease on it ends."""

from __future__ import annotations

import dataclasses

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption, ReferenceArgument, new_app
from p2pnode.cli.output import print_json, reporting
from p2pnode.cli.owner_client import remove

app = new_app()


@app.command()
def rm(
    reference: ReferenceArgument,
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Remove something that you stored. Others' leases on it go on; holders keep it in their trash for a week."""
    with reporting(as_json=as_json):
        done = remove(daemon_of(home), reference)
        if as_json:
            print_json(dataclasses.asdict(done))
        elif not quiet:
            away = done.holders - done.told
            later = "" if away == 0 else f"; {away} are away and are told when they come back"
            print(f"removed: {done.told} of {done.holders} holders have ended your lease{later}")
            print(f"'p2pnode renew {done.id}' brings it back while it is in their trash")


command = typer.main.get_command(app)

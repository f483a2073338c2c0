"""Tell the others before your node is away for a while, so that they wait for it."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app, seconds_of
from p2pnode.cli.output import print_json, reporting
from p2pnode.cli.owner_client import absence, announce_absence, end_absence
from p2pnode.errors import CallerError
from p2pnode.services.owner_face import AbsenceState
from p2pnode.wording import human_date

app = new_app()


@app.command()
def maintenance(
    *,
    lasting: Annotated[
        str | None, typer.Option("--for", help="How long the node may be away, at most 24h.", show_default=False)
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="Take it back: the node stays.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Tell the others before your node is away for a while, so that they wait for it.

    Until then they give it no new data, and rebuild nothing of what it keeps unless data would be in danger. Then stop
    it; when it starts again all is as before. Without an option it shows what is announced.
    """
    with reporting(as_json=as_json):
        if end and lasting is not None:
            raise CallerError("give --for or --end, not both")
        for_s = None if lasting is None else seconds_of(lasting, option="--for")
        daemon = daemon_of(home)
        if end:
            state = end_absence(daemon)
        elif for_s is not None:
            state = announce_absence(daemon, for_s)
        else:
            state = absence(daemon)
        if as_json:
            print_json(dataclasses.asdict(state))
        else:
            print(_line(state))


def _line(state: AbsenceState) -> str:
    if state.until is None:
        return "no absence is announced"
    return f"the others wait for this node until {human_date(state.until)}: stop it when you like"


command = typer.main.get_command(app)

"""Keep something longer: renew your lease on it, or add one to what others stored."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import (
    HOME_DEFAULT,
    HomeOption,
    JsonOption,
    QuietOption,
    ReferenceArgument,
    new_app,
    seconds_of,
)
from p2pnode.cli.output import print_facts, print_json, print_warning, reporting
from p2pnode.cli.owner_client import renew as ask_to_renew
from p2pnode.errors import ExitCode
from p2pnode.wording import human_date, human_duration

app = new_app()


@app.command()
def renew(
    reference: ReferenceArgument,
    *,
    keep_for: Annotated[
        str | None,
        typer.Option(
            "--for", help="How long from now your node renews it, such as 90d; else as before.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Renew your lease on something now, or add one to what others stored. It also brings back what you removed."""
    with reporting(as_json=as_json):
        keep_for_s = None if keep_for is None else seconds_of(keep_for, option="--for")
        done = ask_to_renew(daemon_of(home), reference, keep_for_s=keep_for_s)
        if as_json:
            print_json(dataclasses.asdict(done))
        elif not quiet:
            print_facts(
                [
                    ("id", done.id),
                    ("kept until", f"{human_date(done.lease_end)}{_renewed(keep_for_s)}"),
                    ("shards", f"{done.healthy} of {done.n} are under the new lease"),
                ]
            )
        if done.healthy < done.n:
            message = f"renewed on {done.healthy} of {done.n} shards; your node tries the others again"
            print_warning(message, reason="PARTIAL", exit_code=ExitCode.PARTIAL, as_json=as_json)
            raise typer.Exit(ExitCode.PARTIAL)


def _renewed(keep_for_s: int | None) -> str:
    return "" if keep_for_s is None else f", renewed by your node for {human_duration(keep_for_s)} from now on"


command = typer.main.get_command(app)

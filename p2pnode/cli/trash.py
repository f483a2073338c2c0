"""Look into the trash of your own disk, and empty it."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption
from p2pnode.cli.output import print_json, reporting
from p2pnode.cli.owner_client import empty_trash, restore_trashed, trash
from p2pnode.wording import counted, human_bytes, human_date

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def about() -> None:
    """Look into the trash of your own disk: what others' leases do not keep any more. It empties itself with time."""


@app.command(name="ls")
def listing(*, as_json: JsonOption = False, home: HomeOption = HOME_DEFAULT) -> None:
    """List what is in the trash, the earliest first."""
    with reporting(as_json=as_json):
        found = trash(daemon_of(home))
        if as_json:
            print_json({"trash": [dataclasses.asdict(each) for each in found]})
            return
        for each in found:
            print(f"{each.blob_id}  shard {each.shard}  {human_bytes(each.size)}  goes {human_date(each.removed_at)}")
        if not found:
            print("the trash is empty")


@app.command()
def restore(
    blob_id: Annotated[str, typer.Argument(metavar="BLOB", help="The id of a blob.", show_default=False)],
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Let a blob's time in the trash begin anew, so that its owner can renew it: only a lease takes it out."""
    with reporting(as_json=as_json):
        pairs = restore_trashed(daemon_of(home), blob_id)
        if as_json:
            print_json({"blob_id": blob_id, "pairs": pairs})
        elif not quiet:
            print(
                f"{counted(pairs, 'pair')} in the trash for its whole time again; a renewal by its owner takes it out"
            )


@app.command()
def empty(*, as_json: JsonOption = False, quiet: QuietOption = False, home: HomeOption = HOME_DEFAULT) -> None:
    """Remove what is in the trash now. Owners that think again will not find it here."""
    with reporting(as_json=as_json):
        done = empty_trash(daemon_of(home))
        if as_json:
            print_json(dataclasses.asdict(done))
        elif not quiet:
            print(f"removed {counted(done.pairs, 'pair')}, {human_bytes(done.bytes_freed)}")


command = typer.main.get_command(app)

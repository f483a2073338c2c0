"""Tell what storing a file of some size would mean: shards, room, and how much may fail."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, bytes_of, new_app
from p2pnode.cli.output import overhead, print_facts, print_json, reporting
from p2pnode.services.results import StoragePlan
from p2pnode.wording import human_bytes
from wire import limits

app = new_app()


@app.command()
def plan(
    *,
    size: Annotated[str, typer.Option(help="How large the file is, such as 1GB.", show_default=False)],
    shards: Annotated[
        int | None,
        typer.Option(
            min=limits.SHARDS_MIN, max=limits.SHARDS_MAX, help="Number of shards, instead of the node's choice."
        ),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Tell what storing a file would mean now, without storing anything."""
    with reporting(as_json=as_json):
        found = daemon_of(home).plan(bytes_of(size, option="--size"), shards=shards)
        if as_json:
            print_json(dataclasses.asdict(found))
        else:
            _print_for_a_person(found)


def _print_for_a_person(found: StoragePlan) -> None:
    cut = f" in {found.segments} segments of {human_bytes(found.segment_bytes)}" if found.segments > 1 else ""
    print_facts(
        [
            ("size", f"{human_bytes(found.size)}{cut}"),
            ("shards", f"{found.n}; any {found.shards_to_read} give the data back"),
            ("why not more", found.limited_by),
            ("takes", overhead(found.stored_bytes, found.size)),
            ("nodes", f"{found.nodes} of {found.members}; any {found.nodes_that_may_fail} may fail"),
            ("domains", f"{found.domains} failure domains; any {found.domains_that_may_fail} may fail together"),
            ("spares", f"{found.spares} more members may take over"),
            ("stored when", f"{found.shards_to_store} shards are signed for"),
        ]
    )


command = typer.main.get_command(app)

"""List what convicts peers, or this node itself."""

from __future__ import annotations

import dataclasses

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import one_line, print_json, reporting
from p2pnode.services.results import Convicted
from p2pnode.wording import human_date

app = new_app()


@app.command()
def evidence(*, as_json: JsonOption = False, home: HomeOption = HOME_DEFAULT) -> None:
    """List the evidence that this node keeps: what peers signed that no honest node signs."""
    with reporting(as_json=as_json):
        found = daemon_of(home).evidence()
        if as_json:
            print_json({"evidence": [dataclasses.asdict(each) for each in found]})
            return
        for each in found:
            _print_for_a_person(each)
        if not found:
            print("no evidence against anybody is known")


def _print_for_a_person(found: Convicted) -> None:
    whom = f"{found.accused} (this node)" if found.is_us else found.accused
    print(f"{human_date(found.heard_at)}  {one_line(whom)}")
    print(f"  {one_line(found.kind)} about shard {found.shard} of {one_line(found.blob_id)}")
    print(f"  {one_line(found.reason)}")


command = typer.main.get_command(app)

"""List what convicts peers, or this node itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import one_line, print_json, reporting
from p2pnode.cli.proof_files import bytes_of, write_proof
from p2pnode.errors import CallerError
from p2pnode.services.results import Convicted
from p2pnode.wording import human_date

app = new_app()


@app.command()
def evidence(
    evidence_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="With --save: which piece, as the list shows it.")
    ] = None,
    *,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the piece there; 'verify' checks it.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """List the evidence that this node keeps: what peers signed that no honest node signs; or save a piece of it."""
    with reporting(as_json=as_json):
        if (evidence_id is None) != (save is None):
            raise CallerError("--save FILE goes with the id of a piece of evidence: 'p2pnode evidence' lists them")
        daemon = daemon_of(home)
        if evidence_id is not None and save is not None:
            write_proof(save, bytes_of(daemon.piece_of_evidence(evidence_id).evidence))
            return
        found = daemon.evidence()
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
    print(f"  {one_line(found.kind)} about {one_line(found.about)}")
    print(f"  {one_line(found.reason)}")
    print(f"  id {one_line(found.id)}")


command = typer.main.get_command(app)

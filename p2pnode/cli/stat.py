"""Show how a stored file is doing, and how much may fail."""

from __future__ import annotations

import dataclasses

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, ReferenceArgument, new_app
from p2pnode.cli.output import overhead, print_facts, print_json, reporting
from p2pnode.services.results import BlobStatus
from p2pnode.wording import human_bytes, human_date

app = new_app()


@app.command()
def stat(reference: ReferenceArgument, *, as_json: JsonOption = False, home: HomeOption = HOME_DEFAULT) -> None:
    """Show how a stored file is doing."""
    with reporting(as_json=as_json):
        status = daemon_of(home).stat(reference)
        if as_json:
            print_json(dataclasses.asdict(status))
        else:
            _print_for_a_person(status)


def _print_for_a_person(status: BlobStatus) -> None:
    parts = "" if status.segments == 1 else f", {status.segments} segments"
    end = "no certificate is known"
    if status.lease_end is not None:
        end = human_date(status.lease_end)
    print_facts(
        [
            ("id", status.id),
            ("kind", f"{status.kind}, {human_bytes(status.size)}{parts}"),
            ("shards", f"{status.healthy} of {status.n} healthy, {status.reachable} reachable now"),
            ("to read", f"any {status.shards_to_read} of them give the data back"),
            ("takes", overhead(status.stored_bytes, status.size)),
            ("nodes", f"{status.nodes}; any {status.nodes_that_may_fail} may fail before it cannot be read"),
            ("domains", f"{status.domains} failure domains; any {status.domains_that_may_fail} may fail together"),
            ("certified", "yes" if status.certified else "no"),
            ("kept until", end),
        ]
    )


command = typer.main.get_command(app)

"""Have a peer prove that it keeps what it has signed for."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import one_line, print_facts, print_json, reporting
from p2pnode.errors import ExitCode
from p2pnode.reputation.scores import Verdict
from p2pnode.services.results import Audited
from p2pnode.wording import human_bytes

app = new_app()

_EXIT_CODES: dict[str, ExitCode] = {
    Verdict.OK: ExitCode.OK,
    Verdict.WRONG: ExitCode.INTEGRITY,
    Verdict.ABSENT: ExitCode.INTEGRITY,
    Verdict.TIMEOUT: ExitCode.SILENT,
    Verdict.OFFLINE: ExitCode.SILENT,
    Verdict.BUSY: ExitCode.SILENT,
}


@app.command()
def audit(
    peer: Annotated[str, typer.Argument(help="The peer id, as 'p2pnode peers' shows it.")],
    *,
    as_json: JsonOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Have a peer prove now that it keeps a pair, drawn from those that it has signed for."""
    with reporting(as_json=as_json):
        audited = daemon_of(home).audit(peer)
        if as_json:
            print_json(dataclasses.asdict(audited))
        else:
            _print_for_a_person(audited)
    code = _EXIT_CODES.get(audited.verdict, ExitCode.ERROR)
    if code:
        raise typer.Exit(code)


def _print_for_a_person(audited: Audited) -> None:
    print_facts(
        [
            ("peer", audited.peer_id),
            ("asked for", f"shard {audited.shard} of {audited.blob_id}"),
            ("verdict", f"{audited.verdict}: {one_line(audited.reason)}"),
            ("answer", f"{human_bytes(audited.answer_bytes)} after {audited.seconds:.2f} s"),
            ("score", f"{audited.score:.3f}"),
        ]
    )


command = typer.main.get_command(app)
